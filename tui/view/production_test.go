package view

import (
	"strings"
	"testing"

	"flydeploy/engine"
)

func TestWhatProductionRuns(t *testing.T) {
	of := func(n int, o engine.MachineOutcome, runs string) []engine.MachineResult {
		all := make([]engine.MachineResult, n)
		for i := range all {
			all[i] = engine.MachineResult{Outcome: o, Runs: runs}
		}
		return all
	}
	join := func(all ...[]engine.MachineResult) (joined []engine.MachineResult) {
		for _, some := range all {
			joined = append(joined, some...)
		}
		return joined
	}
	for _, test := range []struct {
		machines []engine.MachineResult
		says     string
	}{
		{of(6, engine.OutcomeCommitted, "2.0.0"), "6 of 6 machines run it"},
		{of(1, engine.OutcomeUpToDate, "2.0.0"), "1 of 1 machine runs it"},
		{of(4, engine.OutcomeRolledBack, "1.0.0"), "0 of 4 machines took it, all run 1.0.0 as before, nothing was lost"},
		{of(1, engine.OutcomeRolledBackWithLosses, "1.0.0"), "0 of 1 machine took it, it runs 1.0.0 as before, processes were lost on 1"},
		{of(2, engine.OutcomeAborted, "1.0.0"), "0 of 2 machines took it, all run 1.0.0 as before"},
		{of(2, engine.OutcomeAborted, ""), "0 of 2 machines took it"}, // results of older versions
		{join(of(2, engine.OutcomeMachineUnhealthy, "2.0.0"), of(4, engine.OutcomeNotStarted, "1.0.0")), "2 of 6 machines run it, 4 run 1.0.0 as before"},
		{join(of(2, engine.OutcomeAborted, "1.0.0"), of(1, engine.OutcomeAborted, "1.1.0")), "0 of 3 machines took it, 2 run 1.0.0 and 1 runs 1.1.0 as before"},
		{join(of(1, engine.OutcomeUnknown, ""), of(1, engine.OutcomeCommitted, "2.0.0")), "1 of 2 machines run it, 1 unknown"},
		{join(of(1, engine.OutcomeCommitted, "2.0.0"), of(2, engine.OutcomeRestarted, ""), of(1, engine.OutcomeGone, "")), "1 of 4 machines run it, 2 restarted, 1 destroyed"},
		{of(2, engine.OutcomeRestarted, ""), "0 of 2 machines run it, 2 restarted"}, // they had taken it
		{of(3, engine.OutcomeTakenBack, "1.0.0"), "0 of 3 machines run it, all run 1.0.0 again"},
		{join(of(1, engine.OutcomeTakenBack, "1.0.0"), of(2, engine.OutcomeAborted, "1.0.0")), "0 of 3 machines run it, 2 run 1.0.0 as before, 1 runs 1.0.0 again"},
	} {
		if got := Production(test.machines); got != test.says {
			t.Errorf("%v:\n%s\nwant: %s", test.machines, got, test.says)
		}
	}
}

// What a resumed deploy could not watch again is no part of what is well.
func TestHeadlineOfMachinesThatWereNotWatchedAgain(t *testing.T) {
	had := engine.MachineResult{Outcome: engine.OutcomeUpToDate, Health: engine.HealthNotWatched, Runs: "2.0.0"}
	took := engine.MachineResult{Outcome: engine.OutcomeCommitted, Health: engine.HealthHealthy, Runs: "2.0.0"}
	for _, test := range []struct {
		machines []engine.MachineResult
		health   engine.Health
		says     string
		never    string
	}{
		{[]engine.MachineResult{had, took}, engine.HealthHealthy, ", and it is well; 1 machine had it before, and was not watched again, after", ""},
		{[]engine.MachineResult{had, had}, engine.HealthNotWatched, "; 2 machines had it before, and were not watched again, after", "well"},
		{[]engine.MachineResult{{Outcome: engine.OutcomeUpToDate, Runs: "2.0.0"}, took}, engine.HealthHealthy, ", and it is well, after", "again"},
	} {
		got := Headline(engine.Result{Outcome: engine.OutcomeSucceeded, Health: test.health, Machines: test.machines})
		if !strings.Contains(got, test.says) || test.never != "" && strings.Contains(got, test.never) {
			t.Errorf("%q lacks %q", got, test.says)
		}
	}
}

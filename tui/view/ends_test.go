package view

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// The word above the machines' rows is theirs.
func TestAnOutcomeHasOneWord(t *testing.T) {
	of := func(outcomes ...engine.MachineOutcome) engine.Result {
		r := engine.Result{Outcome: engine.OutcomeFailed}
		for _, o := range outcomes {
			r.Machines = append(r.Machines, engine.MachineResult{Outcome: o, Runs: "1.0.0"})
		}
		return r
	}
	for _, test := range []struct {
		r    engine.Result
		word string
	}{
		{of(engine.OutcomeRolledBack, engine.OutcomeRolledBack), "rolled back"},
		{of(engine.OutcomeRolledBackWithLosses, engine.OutcomeAborted), "rolled back"},
		{of(engine.OutcomeRolledBack, engine.OutcomeMachineFailed), "failed"},
		{of(engine.OutcomeMachineFailed), "failed"},
		{of(), "failed"},
	} {
		if got := OutcomeWord(test.r); got != test.word {
			t.Errorf("%v: %s, want %s", test.r.Machines, got, test.word)
		}
	}
}

// Whether what runs is well stands in the first sentence, and so does that nobody has looked.
func TestTheHeadlineSaysWhetherItIsWell(t *testing.T) {
	for health, says := range map[engine.Health]string{
		engine.HealthHealthy: "shop 2.0.0: succeeded, 2 of 2 machines run it, and it is well, after 0s", engine.HealthNotWatched: "shop 2.0.0: succeeded, 2 of 2 machines run it, not watched, after 0s",
		engine.HealthUnknown: "shop 2.0.0: succeeded, 2 of 2 machines run it, whether it is well is not known, after 0s", "": "shop 2.0.0: succeeded, 2 of 2 machines run it, after 0s",
	} {
		r := engine.Result{Outcome: engine.OutcomeSucceeded, Health: health, Upgrade: engine.Upgrade{App: "shop", Version: "2.0.0"}, Machines: []engine.MachineResult{{Outcome: engine.OutcomeCommitted}, {Outcome: engine.OutcomeUpToDate}}}
		if got := Headline(r); got != says {
			t.Errorf("%q, want %q", got, says)
		}
	}
	nothing := engine.Result{Outcome: engine.OutcomeCancelled, Health: engine.HealthNotWatched, Machines: []engine.MachineResult{{Outcome: engine.OutcomeAborted}}}
	if got := Headline(nothing); strings.Contains(got, "watched") {
		t.Errorf("nothing was to be watched: %q", got)
	}
}

func TestWhatIsWantedIsNotRed(t *testing.T) {
	stopped := engine.NewProblem(engine.ProblemStopped, "stopped by the operator", nil, "")
	for problem, want := range map[*engine.Problem]cells.Tone{stopped: cells.Warn, engine.NewProblem("timeout", "late", nil, ""): cells.Fail} {
		if _, got := ResultLook(engine.Result{Outcome: engine.OutcomePartial, Problem: problem}); got != want {
			t.Errorf("%s: tone %v", problem.Name, got)
		}
		if red := Problem(problem, 80)[0][0].Tone == cells.Fail; red != (want == cells.Fail) {
			t.Errorf("%s: red %t", problem.Name, red)
		}
	}
}

func TestWhatIsLeftBehind(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.Local)
	for what, says := range map[string]string{
		engine.LeftLock:      "the deploy lock was not released: it ends by itself by 12:05:00 (in 5m 00s); at once with `do it`",
		engine.LeftAgent:     "an agent may be left on machine m1: it ends",
		engine.LeftTemporary: "the temporary machine m1 was not destroyed: it ends",
		engine.LeftLease:     "our lease of machine m1 was not released, and keeps others from changing it: it ends",
	} {
		if got := LeftBehind(engine.Left{What: what, Machine: "m1", EndsAt: now.Add(5 * time.Minute), EndNow: "do it"}, now); !strings.HasPrefix(got, says) {
			t.Errorf("%s", got)
		}
	}
}

func TestWhatOnlyEndsByItself(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.Local)
	got := LeftBehind(engine.Left{What: engine.LeftAgent, Machine: "m1", EndsAt: now.Add(5 * time.Minute)}, now)
	if got != "an agent may be left on machine m1: it ends by itself by 12:05:00 (in 5m 00s)" {
		t.Error(got)
	}
}

// The same stack is told once, with its machines.
func TestTheSameFailureIsToldOnce(t *testing.T) {
	raised := func(count int, exception string) []engine.Failure {
		return []engine.Failure{{Module: "Counter.Server", Reason: "raised", Exception: exception, Stack: []string{"server.ex:71"}, Count: count}}
	}
	got := Failures([]engine.MachineResult{{ID: "m1", Failures: raised(3, "no")}, {ID: "m2", Failures: raised(4, "no")}, {ID: "m3", Failures: raised(1, "yes")}})
	if len(got) != 2 || got[0].Count != 7 || strings.Join(got[0].Machines, " ") != "m1 m2" || got[1].Machines[0] != "m3" {
		t.Errorf("%+v", got)
	}
}

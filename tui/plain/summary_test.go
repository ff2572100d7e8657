package plain

import (
	"strings"
	"testing"

	"flydeploy/engine"
)

// A crash on several machines is told once, with its stack and its machines.
func TestTheSummaryTellsCrashesOnce(t *testing.T) {
	crash := func(n int) []engine.Crash {
		return []engine.Crash{{Module: "Shop.Cart", Exception: "KeyError :step", At: "cart.ex:41", Stack: []string{"lib/cart.ex:41: Shop.Cart.handle_call/3"}, Count: n}}
	}
	r := engine.Result{
		Outcome: engine.OutcomeUnhealthy, Health: engine.HealthUnhealthy, Upgrade: engine.Upgrade{App: "shop", Version: "2.1.0"},
		Machines: []engine.MachineResult{
			{ID: "m1", Outcome: engine.OutcomeMachineUnhealthy, Runs: "2.1.0", Crashes: crash(200)},
			{ID: "m2", Outcome: engine.OutcomeMachineUnhealthy, Runs: "2.1.0", Crashes: crash(14)},
			{ID: "m3", Outcome: engine.OutcomeAborted, Runs: "2.0.0"},
		},
		Problem: engine.NewProblem("unhealthy", "2.1.0 runs on 2 of 3 machines, and is not well: 214 crashes of Shop.Cart", nil, "Look at them."),
	}
	got := Summary(r)
	for _, want := range []string{
		"shop 2.1.0: unhealthy, 2 of 3 machines run it, 1 runs 2.0.0 as before, after 0s",
		"  214 crashes of Shop.Cart: KeyError :step at cart.ex:41, on m1, m2\n    lib/cart.ex:41: Shop.Cart.handle_call/3\n",
		"not well",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	if strings.Count(got, "handle_call/3") != 1 {
		t.Errorf("the stack is told more than once:\n%s", got)
	}
	const notice = "shop 2.1.0: unhealthy, 2 of 3 machines run it, 1 runs 2.0.0 as before, after 0s: 2.1.0 runs on 2 of 3 machines, and is not well: 214 crashes of Shop.Cart"
	if got := Notice(r); got != notice {
		t.Errorf("whoever is called reads %q", got)
	}
}

// What is wrong with many machines alike is told once; a report in the bucket only where it has more.
func TestTheSummaryTellsErrorsOnce(t *testing.T) {
	rolledBack := func(id, process, failed string, total int) engine.MachineResult {
		return engine.MachineResult{
			ID: id, Outcome: engine.OutcomeRolledBack, Runs: "2.0.0", Error: "rolled back: " + process + " of Shop.Cart raised: " + failed,
			Failures: []engine.Failure{{Module: "Shop.Cart", PID: process, Reason: "raised", Exception: failed, Count: total}}, FailuresTotal: total, FullReport: "reports/" + id,
		}
	}
	got := Summary(engine.Result{Outcome: engine.OutcomeFailed, Machines: []engine.MachineResult{
		rolledBack("m1", "#PID<0.300.0>", "no", 1), rolledBack("m2", "#PID<0.417.0>", "no", 1), rolledBack("m3", "#PID<0.5.0>", "never", 3),
	}})
	for _, want := range []string{
		"\n  m1, m2: rolled back: #PID<0.300.0> of Shop.Cart raised: no\n", "\n  m3: rolled back: #PID<0.5.0> of Shop.Cart raised: never\n",
		"\n  m3: all 3 failures: reports/m3 in the bucket\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("want once %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "417") || strings.Contains(got, "reports/m1") {
		t.Errorf("it tells more than that:\n%s", got)
	}
}

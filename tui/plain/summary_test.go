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
	got := Summary(engine.Result{
		Outcome: engine.OutcomeUnhealthy, Health: engine.HealthUnhealthy, Upgrade: engine.Upgrade{App: "shop", Version: "2.1.0"},
		Machines: []engine.MachineResult{
			{ID: "m1", Outcome: engine.OutcomeMachineUnhealthy, Runs: "2.1.0", Crashes: crash(200)},
			{ID: "m2", Outcome: engine.OutcomeMachineUnhealthy, Runs: "2.1.0", Crashes: crash(14)},
			{ID: "m3", Outcome: engine.OutcomeAborted, Runs: "2.0.0"},
		},
	})
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
}

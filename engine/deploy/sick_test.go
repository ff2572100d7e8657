package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// Structs that no code_change brings up to date, accepted by name: the first crash is the outcome, with exception and line.
func TestACarelessUpgradeIsNotWell(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 1)
	s := settings()
	s.Accept = append(s.Accept, "stale_struct", "stale_shape", "children_changed", engine.NothingHot)
	s.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: deploy.MaxBake}
	d := deploy.Start(t.Context(), s, w.ports(4))
	var crashed, told time.Time
	var vitals *engine.Vitals
	p := w.watch(d, func(p *engine.Progress) {
		m := p.Machine(w.ids[0])
		switch {
		case m == nil:
		case m.Phases[engine.PhaseWatch].Status == engine.StatusRunning && crashed.IsZero():
			crashed = time.Now()
			if _, err := w.client(w.ids[0]).Increment(t.Context(), 1); err == nil {
				t.Error("the counter has not crashed")
			}
		case m.State == engine.MachineUnhealthy && told.IsZero():
			told, vitals = time.Now(), m.Vitals
		}
	})
	r := d.Result()
	wants(t, p, r, engine.OutcomeUnhealthy, w.ids[0]+" unhealthy")
	if r.Problem == nil || !strings.HasPrefix(r.Problem.What, "4.0.0 runs on 1 of 1 machine, and is not well: 1 crash of Counter.Server in ") ||
		!strings.HasSuffix(r.Problem.What, ": KeyError :step at server.ex:27") {
		t.Errorf("problem: %v", r.Problem)
	}
	if c := r.Machines[0].Crashes; len(c) == 0 || c[0].Module != "Counter.Server" || c[0].Before != 0 || !strings.Contains(strings.Join(c[0].Stack, "\n"), "Counter.Server.handle_call/3") {
		t.Errorf("crashes: %+v", c)
	}
	if told.IsZero() || vitals == nil || vitals.Crashes == 0 || vitals.Before == nil || vitals.Before.Crashes != 0 || vitals.Memory == 0 || vitals.Processes < counters {
		t.Errorf("vitals %+v", vitals)
	}
	t.Logf("not well %.1f s after its first crash", told.Sub(crashed).Seconds())
	w.expectNothingLeft()
}

package deploy_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// Structs that no code_change brings up to date, accepted by name: the canary's first crash is the outcome, with exception and line, and
// nothing further starts. It is taken back: the states that fit the old code are kept, and nobody still runs the new one.
func TestACarelessUpgradeIsNotWell(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	s := settings()
	s.Accept = append(s.Accept, "stale_struct", "stale_shape", "children_changed", engine.NothingHot)
	s.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: deploy.MaxBake}
	s.OnSick = engine.OnSickBack
	d := deploy.Start(t.Context(), s, w.ports(4))
	var crashed, told time.Time
	var vitals *engine.Vitals
	p := w.watch(d, func(p *engine.Progress) {
		for _, m := range p.Machines {
			switch {
			case m.Phases[engine.PhaseWatch].Status == engine.StatusRunning && crashed.IsZero():
				crashed = time.Now()
				if _, err := w.client(m.ID).Increment(t.Context(), 1); err == nil {
					t.Error("the counter has not crashed")
				}
			case m.State == engine.MachineUnhealthy && told.IsZero():
				told, vitals = time.Now(), m.Vitals
			}
		}
	})
	r := d.Result()
	if r.Outcome != engine.OutcomeUnhealthy || len(r.Machines) != 2 {
		t.Fatalf("outcome %s (%s): %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
	}
	if a, b := r.Machines[0].Outcome, r.Machines[1].Outcome; a != "taken_back" || b != "aborted" && b != "not_started" {
		t.Errorf("the canary ended %s, the other machine %s", a, b)
	}
	w.expectVersion(r.Machines[1].ID, "1.0.0")
	if r.Problem == nil || r.Problem.Remedy == "" || !strings.HasPrefix(r.Problem.What, "4.0.0 was not well, and was taken back from 1 machine (") || !strings.Contains(r.Problem.What, "): 1 crash of Counter.Server in ") ||
		!strings.HasSuffix(r.Problem.What, ": KeyError :step at server.ex:27") {
		t.Errorf("problem: %v", r.Problem)
	}
	if c := r.Machines[0].Crashes; len(c) == 0 || c[0].Module != "Counter.Server" || c[0].Before != 0 || !strings.Contains(strings.Join(c[0].Stack, "\n"), "Counter.Server.handle_call/3") {
		t.Errorf("crashes: %+v", c)
	}
	// Of a KeyError's text the struct is left out, which is a process' state.
	if all, err := json.Marshal(r); err != nil || bytes.Contains(all, []byte("not found in")) {
		t.Errorf("%s, %v", all, err)
	}
	if told.IsZero() || vitals == nil || vitals.Crashes == 0 || vitals.Before == nil || vitals.Before.Crashes != 0 || vitals.Memory == 0 || vitals.Processes < counters {
		t.Errorf("vitals %+v", vitals)
	}
	t.Logf("not well %.1f s after its first crash", told.Sub(crashed).Seconds())
	w.expectNothingLeft()
	if back := r.Machines[0].Back; back == nil || back.Kept < counters || back.Fresh == 0 {
		t.Errorf("the processes went back as %+v", back)
	}
	if task, err := w.client(r.Machines[0].ID).Task(t.Context()); err != nil || task.Version != 1 {
		t.Errorf("the task runs version %d: %v", task.Version, err)
	}
	if md := w.current(); md.NamesUpgrades() || len(md.TakenBack()) != 1 {
		t.Errorf("current.json names %v and %v, and that %v was taken back", md.HotUpgrade, md.MachineUpgrades, md.TakenBack())
	}
	// The one that had crashed was born in the new code, and the old one can take its state.
	if now := w.snapshot(r.Machines[0].ID); now.Versions.Version != "1.0.0" || now.Counters.InCurrentShape != counters-1 {
		t.Errorf("it runs %s, with %d states of its shape", now.Versions.Version, now.Counters.InCurrentShape)
	}
}

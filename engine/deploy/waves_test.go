package deploy_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

func canary(bake time.Duration) engine.Settings {
	s := settings()
	s.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: bake}
	return s
}

// A process of the canary crashes while it is watched: nothing further starts.
func TestASickCanaryEndsTheDeploy(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	s := canary(deploy.MaxBake)
	d := deploy.Start(t.Context(), s, w.ports(2))
	crashed := false
	p := w.watch(d, func(p *engine.Progress) {
		for _, m := range p.Machines {
			if m.Phases[engine.PhaseResume].Status == engine.StatusDone && !crashed {
				crashed = true
				w.rpc(m.ID, `for {_, pid, _, _} <- Enum.take(Supervisor.which_children(Counter.Pool), 2), do: GenServer.cast(pid, "a secret")`)
			}
		}
	})

	r := d.Result()
	says := regexp.MustCompile(`^2\.0\.0 runs on 1 of 2 machines, and is not well: 2 crashes of Counter\.Server in \d+ s: RuntimeError at \w+\.ex:\d+$`)
	if r.Outcome != engine.OutcomeUnhealthy || !says.MatchString(r.Problem.What) || r.Problem.Remedy == "" {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	if a, b := r.Machines[0].Outcome, r.Machines[1].Outcome; a != "unhealthy" || b != "aborted" && b != "not_started" {
		t.Errorf("the canary ended %s, the other machine %s", a, b)
	}
	w.expectVersion(r.Machines[1].ID, "1.0.0")
	told, err := json.Marshal(r)
	if err != nil || bytes.Contains(told, []byte("a secret")) || len(r.Machines[0].Crashes) != 1 || len(r.Machines[0].Crashes[0].Stack) == 0 {
		t.Errorf("%s, %v", told, err)
	}
	w.expectNothingLeft()
}

// rpc evaluates an expression in a machine's VM.
func (w *world) rpc(id, expression string) {
	w.t.Helper()
	out, err := w.fleet.Exec(w.t.Context(), id, []string{"/app/bin/counter", "rpc", expression}, "", 20*time.Second)
	if err != nil || out.ExitCode != 0 {
		w.t.Errorf("rpc on machine %s: %+v, %v", id, out, err)
	}
}

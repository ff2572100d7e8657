package tui

import (
	"context"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
	"flydeploy/engine/doctor"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// The console on a terminal, over whole deploys of a fleet in memory: what becomes of an upgrade that is not well, has failed, or is on trial, by key.

// fleetInMemory gives the console of canary deploys to w.
func fleetInMemory(w *agenttest.World, strategy engine.Strategy) Options {
	storage := engine.Storage{Locks: w.Storage, Records: w.Storage, Tarballs: w.Storage, Now: w.Storage.Now}
	settings := engine.Settings{
		App: agenttest.App, Owner: "ann@laptop", MaxConcurrency: 20, Timeout: time.Minute, SuspendTimeout: 250 * time.Millisecond,
		LockTimeout: 2 * time.Minute, Ask: true, Strategy: strategy,
	}
	return Options{App: agenttest.App, Backend: &tuitest.Backend{
		OnOverview: func(ctx context.Context) (engine.Overview, error) {
			return doctor.Look(ctx, agenttest.App, w.Fleet, w.Storage, w.Storage)
		},
		OnDeploy: func(r engine.Request) (plain.Deployment, error) {
			s := settings
			if s.Meant = r.Meant; r.EndTrial != engine.TrialGoesOn {
				s.EndTrial, s.Strategy.Trial = r.EndTrial, 0
			}
			return deploy.Start(context.Background(), s, deploy.Ports{
				Fleet: w.Fleet, Leases: w.Fleet, Build: w.Build,
				Storage: func(context.Context, string, map[string]string) (engine.Storage, error) { return storage, nil },
			}), nil
		},
	}}
}

// deploysInMemory begins a deploy to three machines, and confirms its plan.
func deploysInMemory(t *testing.T, s size, w *agenttest.World, strategy engine.Strategy) *running {
	o := fleetInMemory(w, strategy)
	o.StartDeploy = true
	r := runOn(t.Context(), newTerminal(t, s), o)
	r.waitFor("[ D Deploy ]")
	r.press("GD")
	return r
}

func TestTheConsoleOnAFleetThatIsNotWell(t *testing.T) {
	canary := engine.Strategy{Kind: engine.StrategyCanary, Bake: 5 * time.Minute}
	sick := func(r *running, w *agenttest.World) {
		r.waitFor("watched, ")
		w.Crash("m00", 20)
		r.waitFor("It is not well")
		r.waitFor("20 crashes of")
	}
	for name, test := range map[string]struct {
		strategy engine.Strategy
		prepare  func(w *agenttest.World)
		play     func(r *running, w *agenttest.World)
		outcome  engine.Outcome
		versions [3]string // of the canary, and of the others
	}{
		"held, then promoted": {strategy: canary, play: func(r *running, w *agenttest.World) {
			r.waitFor("wave 1 of 2: watched, ")
			r.press("H")
			r.waitFor("held, watched for ")
			r.press("N")
			r.waitFor("wave 2 of 2: watched, ")
			r.press("N")
		}, outcome: engine.OutcomeSucceeded, versions: [3]string{"2.0.0", "2.0.0", "2.0.0"}},
		"stopped": {strategy: canary, play: func(r *running, w *agenttest.World) {
			sick(r, w)
			r.press("s")
		}, outcome: engine.OutcomeUnhealthy, versions: [3]string{"2.0.0", "1.0.0", "1.0.0"}},
		"taken back": {strategy: canary, play: func(r *running, w *agenttest.World) {
			sick(r, w)
			r.press("b")
		}, outcome: engine.OutcomeUnhealthy, versions: [3]string{"1.0.0", "1.0.0", "1.0.0"}},
		"taken back, with fresh states": {strategy: canary, play: func(r *running, w *agenttest.World) {
			w.Behave("m00", func(b *agenttest.Behaviour) {
				b.Findings = []agent.Finding{{Name: "lingering", Severity: "block", Subject: "Counter.Heartbeat", Detail: "is still run", Processes: 2}}
			})
			sick(r, w)
			r.press("b")
			r.waitFor("Taking it back ends processes")
			r.waitFor("Counter.Heartbeat: 1 process starts again")
			r.press("b")
		}, outcome: engine.OutcomeUnhealthy, versions: [3]string{"1.0.0", "1.0.0", "1.0.0"}},
		"gone on with": {strategy: canary, play: func(r *running, w *agenttest.World) {
			sick(r, w)
			r.press("g")
			r.waitFor("wave 2 of 2: watched, ")
			r.press("N")
		}, outcome: engine.OutcomeUnhealthy, versions: [3]string{"2.0.0", "2.0.0", "2.0.0"}},
		"tried again": {strategy: engine.Strategy{Kind: engine.StrategyCanary}, prepare: func(w *agenttest.World) {
			w.Behave("m00", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		}, play: func(r *running, w *agenttest.World) {
			r.waitFor("Machines have failed")
			w.Behave("m00", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
			r.press("r")
		}, outcome: engine.OutcomeSucceeded, versions: [3]string{"2.0.0", "2.0.0", "2.0.0"}},
	} {
		for _, s := range []size{{80, 24}, {120, 40}} {
			t.Run(name+" at "+s.String(), func(t *testing.T) {
				t.Parallel()
				w := agenttest.NewWorld(3)
				if test.prepare != nil {
					test.prepare(w)
				}
				r := deploysInMemory(t, s, w, test.strategy)
				test.play(r, w)
				ends := map[engine.Outcome]string{engine.OutcomeSucceeded: "succeeded, 3 of 3 machines run it", engine.OutcomeUnhealthy: "unhealthy, "}
				r.waitFor("2.0.0: " + ends[test.outcome])
				r.press("q")
				r.over()
				if r.end.Result == nil || r.end.Result.Outcome != test.outcome {
					t.Fatalf("ended with %+v, %v", r.end.Result, r.err)
				}
				for i, id := range []string{"m00", "m01", "m02"} {
					if got := w.State(id).Code.Version; got != test.versions[i] {
						t.Errorf("%s runs %s, want %s", id, got, test.versions[i])
					}
				}
			})
		}
	}
}

// A trial that has begun from the console is ended from it, at the deploy's end.
func TestTheConsoleEndsATrial(t *testing.T) {
	for key, version := range map[string]string{"K": "2.0.0", "B": "1.0.0"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			w := agenttest.NewWorld(2)
			r := deploysInMemory(t, size{80, 24}, w, engine.Strategy{Kind: engine.StrategyAll, Trial: 10 * time.Minute})
			r.waitFor("B take it back")
			if md := w.Current(); md.NamesUpgrades() || md.Trial() == nil {
				t.Errorf("current.json: %+v", md)
			}
			r.press(key)
			r.waitFor("[ y ")
			r.press("y")
			r.waitFor("2.0.0: " + map[string]string{"K": "confirmed", "B": "taken back"}[key] + ", ")
			r.press("q")
			r.over()
			if r.end.Result == nil || r.end.Result.Outcome != engine.OutcomeSucceeded || w.Current().Trial() != nil || w.Current().NamesUpgrades() != (key == "K") {
				t.Errorf("ended with %+v; current.json: %+v", r.end.Result, w.Current())
			}
			for _, id := range []string{"m00", "m01"} {
				if got := w.State(id).Code.Version; got != version {
					t.Errorf("%s runs %s, want %s", id, got, version)
				}
			}
		})
	}
}

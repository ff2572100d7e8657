package agenttest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
)

func ports(c *agenttest.Console) deploy.Ports {
	return deploy.Ports{
		Fleet: c.Fleet,
		Storage: func(context.Context, string, map[string]string) (engine.Storage, error) {
			return engine.Storage{Locks: c.Storage, Records: c.Storage, Tarballs: c.Storage, Now: c.Storage.Now}, nil
		},
		Build: c.Build,
	}
}

func settings() engine.Settings {
	return engine.Settings{
		App: agenttest.App, Owner: "ann@laptop", MaxConcurrency: 20, Timeout: time.Minute, SuspendTimeout: 250 * time.Millisecond,
		LockTimeout: 2 * time.Minute, Yes: true,
	}
}

// runDeploy runs a whole deploy.
func runDeploy(t *testing.T, c *agenttest.Console, s engine.Settings) engine.Result {
	t.Helper()
	d := deploy.Start(t.Context(), s, ports(c))
	progress := engine.NewProgress()
	for {
		events, err := d.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			progress.Apply(e)
		}
	}
	r := d.Result()
	if t.Failed() || testing.Verbose() {
		t.Logf("%s after %v: %v", r.Outcome, time.Duration(r.DurationMS)*time.Millisecond, r.Problem)
	}
	return r
}

func expectSuccess(t *testing.T, w *agenttest.World, r engine.Result, machines int) {
	t.Helper()
	if r.Outcome != engine.OutcomeSucceeded || r.Problem != nil || len(r.Machines) != machines {
		t.Fatalf("%s on %d machines: %v", r.Outcome, len(r.Machines), r.Problem)
	}
	md := w.Current()
	if md == nil || md.ImageRef != agenttest.Image1 || md.HotUpgrade == nil || md.HotUpgrade.Version != "2.0.0" || md.HotUpgrade.ID != r.Upgrade.ID {
		t.Errorf("current.json: %+v", md)
	}
	for _, m := range r.Machines {
		if s := w.State(m.ID); s.Code.Version != "2.0.0" || s.Agent != "" {
			t.Errorf("machine %s runs %s, its agent is %q", m.ID, s.Code.Version, s.Agent)
		}
	}
	if left := w.Temporaries(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWholeDeploy(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(3)
	expectSuccess(t, w, runDeploy(t, w.Console, settings()), 3)
}

func TestWholeDeployInUsualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(3)
		w.SetTiming(agenttest.Usual)
		w.Behave("", func(b *agenttest.Behaviour) {
			b.Stages, b.Arms, b.Commits = 2*time.Second, 300*time.Millisecond, 20*time.Millisecond
		})
		begun := time.Now()
		expectSuccess(t, w, runDeploy(t, w.Console, settings()), 3)
		if took := time.Since(begun); took < time.Minute || took > 3*time.Minute {
			t.Errorf("took %v", took)
		}
		// A restart leads back to the upgrade.
		w.Restart("m01", agenttest.Boot{})
		if s := w.State("m01"); s.Code.Version != "2.0.0" {
			t.Errorf("after its restart machine m01 runs %s", s.Code.Version)
		}
	})
}

func TestWholeDeployOfManyMachines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(many)
		w.SetTiming(agenttest.Usual)
		s := settings()
		s.MaxConcurrency = 100
		expectSuccess(t, w, runDeploy(t, w.Console, s), many)
	})
}

// A request or an answer that is lost once, wherever it is, keeps no deploy from its end.
func TestADeploySurvivesWhatIsLostOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []agenttest.Kind{
		agenttest.Discover, agenttest.StorageEnv, agenttest.StorageConfig, agenttest.Inject, agenttest.Wait,
		agenttest.Arm, agenttest.Commit, agenttest.LoadedCode, agenttest.Finish, agenttest.StartJob, agenttest.PollJob,
	} {
		for name, fault := range map[string]agenttest.Hook{"request": agenttest.LoseRequest, "answer": agenttest.LoseAnswer} {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := agenttest.NewWorld(3)
					w.SetTiming(agenttest.Usual)
					w.On(agenttest.Match{Kind: kind, Times: 1}, fault)
					r := runDeploy(t, w.Console, settings())
					if len(w.Calls(agenttest.Match{Kind: kind})) == 0 {
						t.Fatal("no such call")
					}
					if kind == agenttest.Finish { // an agent that was not told to end ends by itself
						time.Sleep(10 * time.Minute)
					}
					expectSuccess(t, w, r, 3)
				})
			})
		}
	}
}

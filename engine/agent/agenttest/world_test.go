package agenttest_test

import (
	"context"
	"errors"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

func execOn(w *agenttest.World, id string) agent.Exec {
	return func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		return w.Fleet.Exec(ctx, id, command, stdin, timeout)
	}
}

func discover(t *testing.T, w *agenttest.World, id string) (agent.VM, error) {
	t.Helper()
	return agent.Discover(t.Context(), execOn(w, id), engine.Release{})
}

// inject stages an upgrade to Image2 on a machine.
func inject(t *testing.T, w *agenttest.World, id string) *agent.Session {
	t.Helper()
	vm, err := discover(t, w, id)
	if err != nil {
		t.Fatal(err)
	}
	r := agenttest.ReleaseOf(agenttest.Image2)
	o := agent.Order{ID: agent.NewID("01TEST"), SHA256: r.SHA256, Size: r.Size, OTPApp: agenttest.App, Owner: "ann", Version: r.Version, SourceImage: r.Image}
	if o.TarballURL, err = w.Storage.PresignGet(t.Context(), w.PutTarball(r), time.Hour); err != nil {
		t.Fatal(err)
	}
	o.Agent = w.PutAgent()
	if o.AgentURL, err = w.Storage.PresignGet(t.Context(), "releases/"+path.Base(o.Agent.URL), time.Hour); err != nil {
		t.Fatal(err)
	}
	s, err := agent.Inject(t.Context(), execOn(w, id), vm, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHooksSeeEveryCallAndDecideItsAnswer(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(2)
	var seen []string
	note := func(who string) agenttest.Hook {
		return func(_ context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			seen = append(seen, who+" "+string(c.Kind)+" "+c.Machine)
			return carryOut()
		}
	}
	remove := w.Hook(note("inner"))
	w.On(agenttest.Match{Kind: agenttest.Discover, Machine: "m01", After: 1, Times: 1}, note("outer"))
	for range 3 {
		if _, err := discover(t, w, "m01"); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	if _, err := w.Fleet.Machines(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"inner discover m01", "outer discover m01", "inner discover m01", "inner discover m01"}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q", seen)
	}
	if calls := w.Calls(agenttest.Match{}); len(calls) != 4 || calls[3].Kind != agenttest.ListMachines {
		t.Errorf("calls: %+v", calls)
	}
	w.On(agenttest.Match{Kind: agenttest.ListMachines}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
		a := carryOut()
		a.Value = a.Value.([]engine.Machine)[:1]
		return a
	})
	if all, err := w.Fleet.Machines(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%v %v", all, err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	own := errors.New("own")
	for _, test := range []struct {
		name    string
		fault   agenttest.Hook
		arrives bool // the abort, at the agent
		takes   time.Duration
		err     error
	}{
		{"Fail", agenttest.Fail(own), false, 0, own},
		{"LoseRequest", agenttest.LoseRequest, false, 0, engine.ErrUnknownOutcome},
		{"LoseAnswer", agenttest.LoseAnswer, true, 0, engine.ErrUnknownOutcome},
		{"Hang", agenttest.Hang, false, 15 * time.Second, engine.ErrUnknownOutcome},
		{"HangAfter", agenttest.HangAfter, true, 15 * time.Second, engine.ErrUnknownOutcome},
		{"Delay", agenttest.Delay(2 * time.Second), true, 2 * time.Second, nil},
		{"a long Delay", agenttest.Delay(time.Minute), false, 15 * time.Second, engine.ErrUnknownOutcome},
		{"DelayAnswer", agenttest.DelayAnswer(2 * time.Second), true, 2 * time.Second, nil},
		{"Silent", agenttest.Silent, true, 0, engine.ErrUnknownOutcome},
		{"Truncate in the marker", agenttest.Truncate(5), true, 0, engine.ErrUnknownOutcome},
		{"Truncate in the status", agenttest.Truncate(100), true, 0, engine.ErrUnknownOutcome},
		{"Outage", agenttest.Outage(time.Second), false, 0, engine.ErrUnknownOutcome},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := agenttest.NewWorld(1)
				s := inject(t, w, "m00")
				w.On(agenttest.Match{Kind: agenttest.Abort, Times: 1}, test.fault)
				at := time.Now()
				_, err := s.Abort(t.Context(), 0)
				if !errors.Is(err, test.err) || test.err == nil && err != nil {
					t.Errorf("got %v", err)
				}
				if took := time.Since(at); took != test.takes {
					t.Errorf("took %v", took)
				}
				if arrived := w.State("m00").Status.State == agent.Aborted; arrived != test.arrives {
					t.Errorf("the agent is %s", w.State("m00").Status.State)
				}
			})
		})
	}
}

func TestAnOutageEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(1)
		w.On(agenttest.Match{Kinds: agenttest.Kind.IsExec}, agenttest.Outage(time.Second))
		if _, err := discover(t, w, "m00"); !errors.Is(err, engine.ErrUnknownOutcome) {
			t.Errorf("during the outage: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := discover(t, w, "m00"); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

func TestABootTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(1)
		before, err := discover(t, w, "m00")
		if err != nil {
			t.Fatal(err)
		}
		w.Restart("m00", agenttest.Boot{Found: 5 * time.Second, Answers: 8 * time.Second})
		if _, err := discover(t, w, "m00"); !errors.Is(err, agent.ErrNoVM) {
			t.Errorf("at once: %v", err)
		}
		time.Sleep(5 * time.Second)
		vm, err := discover(t, w, "m00")
		if err != nil || vm.Boot() == before.Boot() {
			t.Fatalf("after 5 s: %+v %v", vm, err)
		}
		if _, err := agent.Loaded(t.Context(), execOn(w, "m00"), vm); engine.AsProblem(err).Name != "vm_unreachable" {
			t.Errorf("after 5 s: %v", err)
		}
		time.Sleep(3 * time.Second)
		if _, err := agent.Loaded(t.Context(), execOn(w, "m00"), vm); err != nil {
			t.Errorf("after 8 s: %v", err)
		}
		if _, err := agent.Loaded(t.Context(), execOn(w, "m00"), before); !errors.Is(err, agent.ErrGone) {
			t.Errorf("the boot before: %v", err)
		}
		w.EndVM("m00")
		if _, err := discover(t, w, "m00"); !errors.Is(err, agent.ErrNoVM) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// What happens to a machine ends the execs that wait there.
func TestWhatHappensToAMachineWhileItsAgentIsAsked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		does func(*agenttest.World)
		err  error
	}{
		{"restarts", func(w *agenttest.World) { w.Restart("m00", agenttest.Boot{}) }, agent.ErrGone},
		{"is replaced", func(w *agenttest.World) { w.Replace("m00", agenttest.Image2) }, agent.ErrGone},
		{"ends its VM", func(w *agenttest.World) { w.EndVM("m00") }, agent.ErrGone},
		{"stops", func(w *agenttest.World) { w.Stop("m00") }, engine.ErrUnknownOutcome},
		{"is suspended", func(w *agenttest.World) { w.Suspend("m00") }, engine.ErrUnknownOutcome},
		{"is removed", func(w *agenttest.World) { w.Remove("m00") }, engine.ErrUnknownOutcome},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := agenttest.NewWorld(1)
				s := inject(t, w, "m00")
				seen := w.State("m00").Status.Seq
				time.AfterFunc(time.Second, func() { test.does(w) })
				at := time.Now()
				if _, err := s.Wait(t.Context(), seen); !errors.Is(err, test.err) || time.Since(at) != time.Second {
					t.Errorf("after %v: %v", time.Since(at), err)
				}
			})
		})
	}
}

func TestASuspendedMachineIsAsItWasWhenItResumes(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(1)
	s := inject(t, w, "m00")
	w.Suspend("m00")
	if _, err := s.Wait(t.Context(), 0); err == nil || errors.Is(err, engine.ErrUnknownOutcome) {
		t.Errorf("suspended: %v", err)
	}
	w.Resume("m00")
	if status, err := s.Wait(t.Context(), 0); err != nil || status.State != agent.Staged {
		t.Errorf("resumed: %s %v", status.State, err)
	}
}

func TestARestartReappliesTheUpgradeThatIsRecorded(t *testing.T) {
	t.Parallel()
	r := agenttest.ReleaseOf(agenttest.Image2)
	for _, test := range []struct {
		name   string
		change func(*agenttest.World, *engine.Metadata)
		want   string
	}{
		{"the fleet's", func(*agenttest.World, *engine.Metadata) {}, "2.0.0"},
		{"the machine's own", func(_ *agenttest.World, md *engine.Metadata) {
			md.MachineUpgrades, md.HotUpgrade = map[string]engine.HotUpgrade{"m00": *md.HotUpgrade}, nil
		}, "2.0.0"},
		{"another machine's", func(_ *agenttest.World, md *engine.Metadata) {
			md.MachineUpgrades, md.HotUpgrade = map[string]engine.HotUpgrade{"m01": *md.HotUpgrade}, nil
		}, "1.0.0"},
		{"another image's", func(_ *agenttest.World, md *engine.Metadata) { md.ImageRef = agenttest.Image3 }, "1.0.0"},
		{"no hook", func(w *agenttest.World, _ *engine.Metadata) { w.SetHook("m00", agent.HookUncalled) }, "1.0.0"},
		{"another tarball", func(_ *agenttest.World, md *engine.Metadata) { md.HotUpgrade.SHA256 = "other" }, "1.0.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := agenttest.NewWorld(1)
			md := engine.Metadata{ImageRef: agenttest.Image1, HotUpgrade: &engine.HotUpgrade{
				Version: r.Version, SourceImageRef: r.Image, SHA256: r.SHA256, Size: r.Size, TarballURL: w.Storage.URL(w.PutTarball(r)),
			}}
			test.change(w, &md)
			w.SetCurrent(md)
			w.Restart("m00", agenttest.Boot{})
			if got := w.State("m00").Code.Version; got != test.want {
				t.Errorf("runs %s", got)
			}
		})
	}
}

func TestTemporaryMachinesEndByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(1)
		m, err := w.Fleet.CreateTemporary(t.Context(), engine.TemporaryMachine{UpgradeID: "01A", Image: agenttest.Image2, Temporary: engine.Temporary{Regions: []string{"ams"}}, LiveFor: time.Minute})
		if err != nil || m.Temporary != "01A" || !slices.Equal(w.Temporaries(), []string{m.ID}) {
			t.Fatalf("%+v %v", m, err)
		}
		if err := w.Fleet.Destroy(t.Context(), "m00"); err == nil {
			t.Error("a machine of the fleet was destroyed")
		}
		time.Sleep(time.Minute)
		if all, err := w.Fleet.Machines(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("after its time: %+v %v", all, err)
		}
		if err := w.Fleet.Destroy(t.Context(), m.ID); err != nil {
			t.Errorf("destroying what is gone: %v", err)
		}
	})
}

func TestTemporaryMachinesMayFail(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]agenttest.Temporary{
		"image_without_release": {NoRelease: true}, "temporary_disk_full": {NoSpace: true}, "tarball_failed": {PackError: "no"}, "job_died": {Dies: "tarball"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := agenttest.NewWorld(0)
			w.SetTemporary(fault)
			m, err := w.Fleet.CreateTemporary(t.Context(), engine.TemporaryMachine{UpgradeID: "01A", Image: agenttest.Image2})
			if err != nil {
				t.Fatal(err)
			}
			_, err = agent.MakeTarball(t.Context(), execOn(w, m.ID), "01A", "/app", agenttest.App, false, nil)
			if engine.AsProblem(err).Name != name {
				t.Errorf("got %v", err)
			}
		})
	}
}

package deploy_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/engine/doctor"
)

// restarting is a fleet in which a machine restarts at a moment that is named: before an exec that contains a text.
type restarting struct {
	engine.Fleet
	world   *world
	machine string
	before  string
	once    sync.Once
}

func (f *restarting) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	if id == f.machine && strings.Contains(strings.Join(command, " "), f.before) {
		f.once.Do(func() { f.world.restartByItself(id) })
	}
	return f.Fleet.Exec(ctx, id, command, stdin, timeout)
}

// A machine restarts between its commit and the moment in which that is recorded: it boots old code, is named, and stays
// out of the record until a deploy has brought it back.
func TestAMachineThatRestartsAfterItsCommitIsNoticed(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	if !full {
		t.Skip("a soak: on the fake TestEveryFaultOfEveryCall restarts machines at every call")
	}
	w := newWorld(t, 2)
	ports := w.ports(2)
	ports.Fleet = &restarting{Fleet: w.fleet, world: w, machine: w.ids[0], before: "FLYDEPLOY1 code"}
	d := deploy.Start(t.Context(), settings(), ports)
	p := w.watch(d, nil)
	r := d.Result()
	if r.Outcome != engine.OutcomePartial {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	ends := map[string]string{}
	for _, m := range r.Machines {
		ends[m.ID] = string(m.Outcome)
	}
	if ends[w.ids[0]] != "restarted" || ends[w.ids[1]] != "committed" {
		t.Errorf("machines ended %v", ends)
	}
	md, _, err := w.bucket().Metadata(t.Context())
	if err != nil || md.HotUpgrade != nil || len(md.MachineUpgrades) != 1 || md.MachineUpgrades[w.ids[1]].Version != "2.0.0" {
		t.Errorf("current.json: %+v, %v", md, err)
	}
	w.expectTrueMetadata()
	w.expectVersion(w.ids[0], "1.0.0")
	o := w.inspected()
	if c := o.Code[w.ids[0]]; c.Applied || c.Stale || c.Problem != nil {
		t.Errorf("the machine that restarted: %+v", c)
	}
	if c := o.Code[w.ids[1]]; !c.Applied || c.Version != "2.0.0" || c.Hook != engine.HookCalled || c.Drift != 0 {
		t.Errorf("the other one: %+v", c)
	}

	s := settings()
	s.Resume = true
	if _, r := w.deploy(s, 3); r.Outcome != engine.OutcomeSucceeded { // the code is the first deploy's
		t.Fatalf("resumed: %s, %v", r.Outcome, r.Problem)
	}
	w.expectVersion(w.ids[0], "2.0.0")
	o = w.inspected()
	if md := o.Metadata; md.HotUpgrade == nil || len(md.MachineUpgrades) != 0 || !o.Code[w.ids[0]].Applied || !o.Code[w.ids[1]].Applied {
		t.Errorf("afterwards: %+v, %+v", md, o.Code)
	}
}

// inspected is what `flydeploy status` shows.
func (w *world) inspected() engine.Overview {
	w.t.Helper()
	return w.inspectedOn(w.fleet)
}

func (w *world) inspectedOn(fleet engine.Fleet) engine.Overview {
	w.t.Helper()
	o, err := doctor.Look(w.t.Context(), "counter", fleet, w.bucket(), w.bucket())
	if err != nil || o.Storage != nil {
		w.t.Fatalf("look: %v, %v", err, o.Storage)
	}
	o.OTPApp = "counter"
	doctor.Inspect(w.t.Context(), &o, fleet, nil)
	return o
}

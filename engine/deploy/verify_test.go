package deploy_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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
		f.once.Do(func() { f.world.restart(id) })
	}
	return f.Fleet.Exec(ctx, id, command, stdin, timeout)
}

// A machine restarts between its commit and the moment in which that is recorded: it boots old code, is named, and stays
// out of the record until a deploy has brought it back.
func TestAMachineThatRestartsAfterItsCommitIsNoticed(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
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

// changing is a fleet that changes once, before it is listed for the first time after every machine's code was checked.
type changing struct {
	engine.Fleet
	unchecked atomic.Int32
	change    sync.Once
	how       func()
}

func (f *changing) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	out, err := f.Fleet.Exec(ctx, id, command, stdin, timeout)
	if err == nil && strings.Contains(out.Stdout, "FLYDEPLOY1 code") {
		f.unchecked.Add(-1)
	}
	return out, err
}

func (f *changing) Machines(ctx context.Context) ([]engine.Machine, error) {
	if f.unchecked.Load() == 0 {
		f.change.Do(f.how)
	}
	return f.Fleet.Machines(ctx)
}

// While a deploy verifies, one of its machines is stopped, another destroyed, and a third comes up: none of them counts as
// upgraded, each is named, and the record says what is true.
func TestAFleetThatChangesAfterTheCommitIsToldAsItIs(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 3)
	image := w.imageOf(w.ids[0])
	stays, stops, goes := w.ids[0], w.ids[1], w.ids[2]
	fleet := &changing{Fleet: w.fleet, how: func() {
		w.order(http.MethodPost, stops, "/stop")
		w.order(http.MethodGet, stops, "/wait?state=stopped&timeout=30")
		w.order(http.MethodDelete, goes, "?force=true")
		w.launch(image, "ams")
	}}
	fleet.unchecked.Store(3)
	ports := w.ports(2)
	ports.Fleet = fleet
	d := deploy.Start(t.Context(), settings(), ports)
	p := w.watch(d, nil)

	r := d.Result()
	ends := map[string]string{}
	for _, m := range r.Machines {
		ends[m.ID] = string(m.Outcome)
	}
	want := map[string]string{stays: "committed", stops: "stopped", goes: "gone"}
	if r.Outcome != engine.OutcomePartial || !maps.Equal(ends, want) {
		t.Errorf("outcome %s, machines ended %v: %v\n%s", r.Outcome, ends, r.Problem, logOf(p))
	}
	comes := w.ids[3]
	if m := p.Machine(comes); m == nil || m.Phases[engine.PhaseCheck].Status != engine.StatusSkipped {
		t.Errorf("the machine that came is not named:\n%s", logOf(p))
	}
	md, _, err := w.bucket().Metadata(t.Context())
	if err != nil || md.HotUpgrade != nil || len(md.MachineUpgrades) != 2 || md.MachineUpgrades[stays].Version != "2.0.0" {
		t.Errorf("current.json: %+v, %v", md, err)
	}
	w.expectVersion(comes, "1.0.0")
	w.order(http.MethodPost, stops, "/start")
	w.awaitBoot(stops)
	w.expectVersion(stops, "2.0.0") // recorded when it was checked, before it stopped
	w.expectNothingLeft()
}

// inspected is what `flydeploy status` shows.
func (w *world) inspected() engine.Overview {
	w.t.Helper()
	o, err := doctor.Look(w.t.Context(), "counter", w.fleet, w.bucket(), w.bucket())
	if err != nil || o.Storage != nil {
		w.t.Fatalf("look: %v, %v", err, o.Storage)
	}
	o.OTPApp = "counter"
	doctor.Inspect(w.t.Context(), &o, w.fleet)
	return o
}

package deploy_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/doctor"
	"flydeploy/engine/sign"
	"flydeploy/examples/counter"
	"flydeploy/examples/counter/countertest"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// restart makes a machine boot from its image again, and gives the time until the application answers.
func (w *world) restart(id string) time.Duration {
	w.t.Helper()
	asked := w.order(http.MethodPost, id, "/restart?force_stop=true")
	// From here on the machine is restarting, and the boot before cannot be reached any more.
	w.awaitBoot(id)
	return time.Since(asked)
}

// restartByItself restarts a machine as its host does: no lease keeps it from that.
func (w *world) restartByItself(id string) {
	w.t.Helper()
	if err := w.local.Restart(id); err != nil {
		w.t.Error(err)
	}
	w.awaitBoot(id)
}

func (w *world) awaitBoot(id string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 4*bootsWithin)
	defer cancel()
	if err := w.client(id).AwaitHealth(ctx); err != nil {
		w.t.Fatalf("machine %s after its boot: %v\n%s", id, err, w.local.Console(id))
	}
}

// order has the Machines API do something with a machine, and gives the time at which it accepted that.
func (w *world) order(method, id, what string) (asked time.Time) {
	w.t.Helper()
	for {
		asked = time.Now()
		r, err := http.NewRequestWithContext(w.t.Context(), method, w.local.APIURL()+"/v1/apps/counter/machines/"+id+what, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.local.Token())
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusOK:
			return asked
		case http.StatusTooManyRequests: // one a second is allowed
			time.Sleep(100 * time.Millisecond)
		default:
			w.t.Fatalf("%s %s of machine %s: %s", method, what, id, answer.Status)
		}
	}
}

// expectVersion checks code, static files, protocols and the shape of every state, which all come with the code.
func (w *world) expectVersion(id, version string) counter.Snapshot {
	w.t.Helper()
	s := w.snapshot(id)
	protocols := map[string]int{"1.0.0": 2, "2.0.0": 3, "3.0.0": 3}[version]
	protocol, err := w.client(id).Protocol(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if s.Versions.Version != version || s.Versions.Static != "counter "+version || len(protocol.Implementations) != protocols ||
		s.Counters.InCurrentShape != counters {
		w.t.Errorf("machine %s runs %s with %q, implementations %v and %d states of the loaded shape, not %s\n%s", id,
			s.Versions.Version, s.Versions.Static, protocol.Implementations, s.Counters.InCurrentShape, version, w.local.Console(id))
	}
	return s
}

// The cycle of the end-to-end test that fly_deploy's readers know: deploy, count, upgrade hot with state and the same
// pids, restart into the upgrade, deploy cold and be rid of it.
func TestAnUpgradeSurvivesRestartsUntilAColdDeploy(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorldWith(t, local.Options{}, embedded, 1)
	image := w.imageOf(w.ids[0])
	before := map[string]counter.Snapshot{}
	for _, id := range w.ids {
		if _, err := w.client(id).Increment(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		before[id] = w.expectVersion(id, "1.0.0")
	}

	p, r := w.deploy(settings(), 2)
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.expectUpgraded(p, r)
	var fingerprint string
	for _, id := range w.ids {
		after := w.expectVersion(id, "2.0.0")
		if c := counter.Compare(before[id], after, counter.Done{}); !c.PidsUnchanged || !c.CountsUnchanged || c.StatesMigrated != counters {
			t.Errorf("machine %s: %+v", id, c)
		}
		if task, err := w.client(id).Task(t.Context()); err != nil || task.Version != 1 {
			t.Errorf("machine %s: the task runs version %d, %v", id, task.Version, err)
		}
		v := after.Versions
		expectEvents(t, v.Upgrades)
		w.expectUpgrade(id, v.FlyDeploy, image, r.Upgrade.SourceImage, "2.0.0")
		if fingerprint == "" {
			fingerprint = v.FlyDeploy.Fingerprint
		}
		if v.FlyDeploy.Fingerprint != fingerprint || fingerprint == before[id].Versions.FlyDeploy.Fingerprint {
			t.Errorf("machine %s has the fingerprint %s, the first one %s", id, v.FlyDeploy.Fingerprint, fingerprint)
		}
	}

	w.launch(image, "ams") // the fleet grows: a second machine, whose first boot is like a restart
	w.restart(w.ids[0])
	for _, id := range w.ids {
		after := w.expectVersion(id, "2.0.0")
		if after.Counters.Sum != 0 || after.Versions.StartedVersion != "1.0.0" || len(after.Versions.Upgrades) != 0 {
			t.Errorf("machine %s has not started afresh from its image: %+v", id, after.Versions)
		}
		w.expectUpgrade(id, after.Versions.FlyDeploy, image, r.Upgrade.SourceImage, "2.0.0")
		if got := after.Versions.FlyDeploy.Fingerprint; got != fingerprint {
			t.Errorf("machine %s has the fingerprint %s after its start, not %s", id, got, fingerprint)
		}
		if code := w.status(id); !code.Applied || code.Hook != engine.HookCalled || code.HookProblem != nil || code.Drift != 0 {
			t.Errorf("status says of machine %s: %+v", id, code)
		}
	}

	// A cold deploy under the same tag wins as well: a VM does not know its image's digest, and tells the image by its code.
	if md := w.current(); md.ImageCode == nil || md.ImageCode.ImageRef != md.ImageRef {
		t.Errorf("current.json does not say which code the image has: %+v", md)
	}
	if _, err := w.local.Push(t.Context(), countertest.Release(t, 3), engine.Tag(image)); err != nil {
		t.Fatal(err)
	}
	w.launch(image, "fra")
	sameTag := w.ids[len(w.ids)-1]
	w.expectUpgrade(sameTag, w.expectVersion(sameTag, "3.0.0").Versions.FlyDeploy, image, "", "")
	w.order(http.MethodDelete, sameTag, "?force=true")
	w.ids = w.ids[:len(w.ids)-1]

	// A cold deploy to the version that was known to be good rolls over the fleet: for a while the new machine stands
	// beside the old ones, each with its own code.
	cold, old := w.push(1), w.ids
	w.launch(cold, "fra")
	w.restart(old[0])
	w.expectVersion(old[0], "2.0.0")
	if o := w.inspected(); o.RecordIsStale() || !slices.Equal(o.Stale, w.ids[len(old):]) || !o.Code[old[0]].Applied {
		t.Errorf("status in the middle of the cold deploy: stale on %v, %+v", o.Stale, o.Code)
	}
	for _, id := range old {
		w.order(http.MethodDelete, id, "?force=true")
	}
	w.ids = w.ids[len(old):]
	w.restart(w.ids[0])
	w.expectColdDeployed(w.ids[0], cold)

	// The next hot deploy starts clean, here with what the first one has packed.
	s := settings()
	s.To = r.Upgrade.ID
	s.Accept = append(s.Accept, "other_base") // under another reference
	if _, r = w.deploy(s, 2); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
	}
	if md := w.current(); !engine.SameImage(md.ImageRef, cold) || md.HotUpgrade == nil || md.HotUpgrade.SourceImageRef != r.Upgrade.SourceImage || len(md.MachineUpgrades) != 0 {
		t.Errorf("current.json after the next hot deploy: %+v", md)
	}
	w.restart(w.ids[0])
	w.expectUpgrade(w.ids[0], w.expectVersion(w.ids[0], "2.0.0").Versions.FlyDeploy, cold, r.Upgrade.SourceImage, "2.0.0")
	if o := w.inspected(); len(o.Stale) != 0 {
		t.Errorf("the record is still stale on %v", o.Stale)
	}
}

// current is current.json.
func (w *world) current() engine.Metadata {
	w.t.Helper()
	md, _, err := w.bucket().Metadata(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return md
}

// expectColdDeployed expects a machine that has nothing of an upgrade of the image before, and no complaint about it.
func (w *world) expectColdDeployed(id, image string) {
	w.t.Helper()
	w.expectUpgrade(id, w.expectVersion(id, "1.0.0").Versions.FlyDeploy, image, "", "")
	if log := w.local.Console(id); strings.Contains(log, "[error]") || strings.Contains(log, "reapplied") {
		w.t.Errorf("machine %s has met an upgrade that is not its own:\n%s", id, log)
	}
	o := w.inspected()
	if code := o.Code[id]; code.Applied || code.Stale || code.Hook != engine.HookCalled || code.Drift != 0 || code.Problem != nil {
		w.t.Errorf("status says of machine %s: %+v", id, code)
	}
	if !o.RecordIsStale() || !slices.Equal(o.Stale, []string{id}) {
		w.t.Errorf("status does not say that the record is stale: it is for %s, and stale on %v", o.Metadata.ImageRef, o.Stale)
	}
}

// status is what `flydeploy status` says of a machine's code.
func (w *world) status(id string) engine.MachineCode {
	w.t.Helper()
	code, ok := w.inspectedOn(only{w.fleet, id}).Code[id] // each look boots a VM beside the machine's own
	if !ok || code.Problem != nil {
		w.t.Fatalf("machine %s: %+v, %v", id, code, code.Problem)
	}
	return code
}

func (w *world) imageOf(id string) string {
	w.t.Helper()
	machines, err := w.fleet.Machines(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range machines {
		if m.ID == id {
			return m.Image
		}
	}
	w.t.Fatalf("there is no machine %s", id)
	return ""
}

func (w *world) expectUpgrade(id string, got counter.FlyDeploy, base, hot, version string) {
	w.t.Helper()
	if !engine.SameImage(got.BaseImageRef, base) || got.HotRef != hot || got.Version != version || len(got.Fingerprint) != 12 {
		w.t.Errorf("machine %s says that it runs %+v, want base %s, hot upgrade %q from %q", id, got, base, version, hot)
	}
}

// Machines of a subset restart into their upgrade, the others into the image's code: also if somebody else records that upgrade for
// them, since it was signed for the subset only.
func TestASubsetRestartsIntoItsOwnUpgrade(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	key, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"ERL_AFLAGS": `-fly_deploy public_key '<<"` + key.Public().String() + `">>'`}
	if full {
		maps.Copy(env, embedded)
	}
	w := newWorldWith(t, local.Options{}, env, 2)
	w.keys = sign.NewRing(&key, nil)
	s := settings()
	s.Select.Machines = w.ids[:1]
	w.deployThroughFaults(s)
	w.forgeEntry(w.ids[0], w.ids[1])

	for _, id := range w.ids {
		w.restart(id)
	}

	w.expectVersion(w.ids[0], "2.0.0")
	w.expectVersion(w.ids[1], "1.0.0")
	if log := w.local.Console(w.ids[1]); !strings.Contains(log, "hot upgrade 2.0.0 is refused: it was signed for another machine") {
		t.Errorf("its log:\n%s", log)
	}
	w.expectHookToBeMissed(w.ids[1])
	if full { // make soak
		w.refusesAReplayedRecord(w.ids[0])
	}
}

// forgeEntry records one machine's upgrade for another, as whoever can write to the bucket can.
func (w *world) forgeEntry(from, to string) {
	w.t.Helper()
	md, etag, err := w.bucket().Metadata(w.t.Context())
	if err == nil {
		md.MachineUpgrades[to] = md.MachineUpgrades[from]
		err = w.bucket().WriteMetadata(w.t.Context(), md, etag)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// expectHookToBeMissed makes the VM forget that the hook was called, as if the application did not call it, or called it for
// another one, and expects status and doctor to tell.
func (w *world) expectHookToBeMissed(id string) {
	w.t.Helper()
	for _, m := range []struct{ program, says string }{
		{"FlyDeploy.Hook.note(:counter, :failed, ~s(the tarball is gone))", "could not reapply the upgrade: the tarball is gone"},
		{"Application.delete_env(:fly_deploy, :hook)", "does not call the startup hook"},
		{"FlyDeploy.Hook.note(:counter_web, :none, ~s(there has been none))", "is called for counter_web, not for counter"},
	} {
		out, err := w.fleet.Exec(w.t.Context(), id, []string{"/app/bin/counter", "rpc", m.program}, "", 20*time.Second)
		if err != nil || out.ExitCode != 0 {
			w.t.Fatalf("%s: %+v, %v", m.program, out, err)
		}
		if code := w.status(id); code.HookProblem == nil || !strings.Contains(code.HookProblem.What, m.says) || code.HookProblem.Remedy == "" ||
			code.Hook.Works() != strings.Contains(m.program, "failed") {
			w.t.Errorf("status says %s, %v, without %q", code.Hook, code.HookProblem, m.says)
		}
	}
	if code := w.status(w.ids[0]); code.Hook != engine.HookCalled || code.HookProblem != nil {
		w.t.Errorf("status says of the other machine: %s, %v", code.Hook, code.HookProblem)
	}
	checks := w.examined(id)
	if c := checks["startup_hook"]; c.Status != engine.CheckWarn || !strings.Contains(c.Text, "not for counter") || c.Remedy == "" {
		w.t.Errorf("the doctor says: %+v of %+v", c, checks)
	}
}

// examined gives what the doctor says of a machine, by the checks' names.
func (w *world) examined(id string) map[string]engine.Check {
	noStorage := func(context.Context, string, map[string]string) (engine.Storage, error) {
		return engine.Storage{}, engine.ErrNotFound // its checks are not of interest here
	}
	patient := doctor.Patient{App: engine.App{OTPApp: "counter"}, Fly: "counter", Fleet: only{w.fleet, id}, Open: noStorage}
	checks := map[string]engine.Check{}
	doctor.Examine(w.t.Context(), patient, func(c engine.Check) { checks[c.Name] = c })
	return checks
}

// only is a fleet of which one machine is left.
type only struct {
	*fly.Client
	id string
}

func (o only) Machines(ctx context.Context) ([]engine.Machine, error) {
	all, err := o.Client.Machines(ctx)
	return slices.DeleteFunc(all, func(m engine.Machine) bool { return m.ID != o.id }), err
}

// A machine that sleeps through an upgrade wakes without a boot, so without the hook. It notices that it slept, and upgrades itself
// with the same window, unless a deploy is under way.
func TestASuspendedMachineCatchesUpWhenItWakes(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	awake, asleep := w.ids[0], w.ids[1]
	before := w.snapshot(asleep)
	sleeps := func(while func()) {
		w.order(http.MethodPost, asleep, "/suspend")
		w.awaitState(asleep, engine.StateSuspended)
		since := time.Now()
		while()
		time.Sleep(time.Until(since.Add(noticedAfter)))
		w.order(http.MethodPost, asleep, "/start")
		w.awaitBoot(asleep)
	}

	var held engine.Lock
	sleeps(func() {
		if _, r := w.deploy(settings(), 2); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
		}
		var err error
		if held, err = w.bucket().Acquire(t.Context(), "ann@laptop", "01K93QXXXXXXXXXXXXXXXXXXXX", 5*time.Minute, ""); err != nil {
			t.Fatal(err)
		}
	})
	w.expectVersion(awake, "2.0.0")
	code := w.awaitCatchUp(asleep, engine.CatchUpWaiting)
	if code.Applied || !code.Stale || code.Hook != engine.HookCalled || !strings.Contains(code.Behind(), "a deploy is under way") {
		t.Errorf("status says of the machine that woke: %+v, %s", code, code.Behind())
	}
	w.expectVersion(asleep, "1.0.0")

	sleeps(func() {
		if err := held.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if code := w.awaitCatchUp(asleep, engine.CatchUpDone); !code.Applied || code.Stale || code.Drift != 0 || code.Version != "2.0.0" {
		t.Errorf("status says of the machine that has caught up: %+v", code)
	}
	after := w.expectVersion(asleep, "2.0.0")
	if c := counter.Compare(before, after, counter.Done{}); !c.PidsUnchanged || !c.CountsUnchanged {
		t.Errorf("it has lost state: %+v", c)
	}
	expectEvents(t, after.Versions.Upgrades)
	if got, want := after.Versions.FlyDeploy.Fingerprint, w.snapshot(awake).Versions.FlyDeploy.Fingerprint; got != want {
		t.Errorf("it has the fingerprint %s, the machine that was awake %s", got, want)
	}
	log := w.local.Console(asleep)
	if strings.Count(log, "has caught up: hot upgrade 2.0.0") != 1 || strings.Contains(log, "[error]") || strings.Contains(log, "Signature=") {
		t.Errorf("its log:\n%s", log)
	}
}

// noticedAfter is how long a machine has to sleep to notice it for sure.
const noticedAfter = 10 * time.Second

// awaitCatchUp waits until a machine's last look at the record has ended like this.
func (w *world) awaitCatchUp(id string, outcome engine.CatchUpOutcome) engine.MachineCode {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		code := w.status(id)
		if code.CatchUp != nil && code.CatchUp.Outcome == outcome {
			return code
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("machine %s: %+v\n%s", id, code.CatchUp, w.local.Console(id))
		}
		time.Sleep(time.Second)
	}
}

func (w *world) awaitState(id string, state engine.FlyState) {
	w.t.Helper()
	for {
		machines, err := w.fleet.Machines(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range machines {
			if m.ID == id && m.State == state {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// expectEvents expects that a subscriber of the package was told of one upgrade to 2.0.0.
func expectEvents(t *testing.T, told []counter.Upgrade) {
	t.Helper()
	if len(told) != 2 || told[0].Event != "hot_upgrade_started" || told[0].Version != "2.0.0" ||
		told[1].Event != "hot_upgrade_complete" || told[1].Version != "2.0.0" || told[1].Processes < counters {
		t.Errorf("the subscriber was told %+v", told)
	}
}

package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/fly/local"
	"flydeploy/s3"
)

// watchLive follows a deploy as another console does, from the moment in which the lock is taken. Closed: it has ended.
func (w *world) watchLive(seen *engine.Progress, late *time.Duration) <-chan error {
	ended := make(chan error, 1)
	go func() {
		b := w.bucket()
		var lock engine.LockInfo
		err := engine.ErrNotFound
		for errors.Is(err, engine.ErrNotFound) {
			lock, err = b.Current(w.t.Context())
		}
		source := record.Watch(b, lock.DeploymentID, 500*time.Millisecond)
		for err == nil {
			var batch []engine.Event
			batch, err = source.Next(w.t.Context())
			for _, e := range batch {
				seen.Apply(e)
				if lock.LockedAt.Before(e.At) { // earlier events could not be seen
					*late = max(*late, time.Since(e.At))
				}
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		ended <- err
	}()
	return ended
}

// What the bucket says about a deploy: while it runs, to a second console; afterwards, to everybody; and what can be done
// with it again.
func TestTheRecordOfDeploys(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	b := observed{w.bucket()}
	ctx := t.Context()
	s := settings()
	s.Owner, s.Host, s.Message, s.GitRevision, s.CILink = "ann@example.com", "laptop", "why not", "0123abcd-dirty", "https://ci.example.com/7"

	// What others wrote into current.json by hand: what cannot be read stops a deploy before anything is built, and what
	// is not ours stays.
	image := w.imageOf(w.ids[0])
	for body, name := range map[string]string{
		`{"image_ref": `: "metadata_unreadable", `{"image_ref": 5}`: "metadata_unreadable",
		`{"image_ref": "registry.fly.io/another:1", "hot_upgrade": null}`: "foreign_metadata",
	} {
		w.replace("releases/counter-current.json", body)
		p, r := w.deploy(settings(), 2)
		if r.Outcome != engine.OutcomeFailed || p.Fleet[engine.PhaseOrchestrator].Status != "" {
			t.Errorf("current.json %s: outcome %s, orchestrator %s", body, r.Outcome, p.Fleet[engine.PhaseOrchestrator].Status)
		}
		wantNamed(t, r.Problem, name)
	}
	w.expectNothingLeft()
	for _, id := range b.upgrades(t) {
		if err := b.DeleteUpgrade(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	w.replace("releases/counter-current.json", `{ "note": ["by hand"], "image_ref": "`+image+`", "hot_upgrade": {"version": "?"} }`)

	// A machine that runs no release stands beside them, and is never selected.
	if _, err := w.local.Launch(ctx, local.MachineSpec{Image: image, Group: "cron", Command: []string{"/usr/bin/tail", "-f", "/dev/null"}, NoService: true}); err != nil {
		t.Fatal(err)
	}

	// Ann upgrades one machine; Bob watches.
	s.Select.Machines = w.ids[:1]
	seen, late := engine.NewProgress(), time.Duration(0)
	watching := w.watchLive(seen, &late)
	p, first := w.deploy(s, 2)
	if first.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v\n%s", first.Outcome, first.Problem, logOf(p))
	}
	if err := <-watching; err != nil {
		t.Fatal(err)
	}
	t.Logf("an event was seen %s after it happened at the latest", late)
	if seen.LastSeq != p.LastSeq || len(seen.Machines) != 1 {
		t.Errorf("the watcher saw %d events of %d", seen.LastSeq, p.LastSeq)
	}
	for ph, state := range p.Fleet {
		if got := seen.Fleet[ph].Status; got != state.Status {
			t.Errorf("the watcher saw phase %s %s, it was %s", ph, got, state.Status)
		}
	}

	past, err := record.History(ctx, b, 0)
	if err != nil || len(past) != 1 {
		t.Fatalf("history %+v: %v", past, err)
	}
	got := past[0]
	if got.ID != first.Upgrade.ID || got.Outcome != engine.OutcomeSucceeded || got.Version != "2.0.0" || got.Owner != s.Owner || got.Host != s.Host ||
		got.Message != s.Message || got.GitRevision != s.GitRevision || got.CILink != s.CILink || got.Machines != 1 || got.Upgraded != 1 ||
		got.MaxSuspendedUS != first.Machines[0].SuspendedUS || got.DurationMS <= 0 || got.Running || got.At.IsZero() {
		t.Errorf("the history shows %+v", got)
	}
	w.expectSeedResult(first.Upgrade.ID, w.ids[0])

	// A subset is a subset; the second one makes the fleet whole, and the record says so in the seed's own field.
	if md, _, err := b.Metadata(ctx); err != nil || md.HotUpgrade.Version != "?" || !strings.Contains(string(md.Extra["note"]), "by hand") || md.MachineUpgrades[w.ids[0]].ID != first.Upgrade.ID || md.MachineUpgrades[w.ids[0]].Fingerprint == "" {
		t.Errorf("after one machine: %+v, %v", md, err)
	}
	s = settings()
	s.Keep = 1
	s.To = first.Upgrade.ID
	s.Select.Machines = w.ids[1:]
	_, second := w.deploy(s, 3) // nothing is built: it is the first deploy's code
	if second.Outcome != engine.OutcomeSucceeded || second.Upgrade.Version != "2.0.0" || second.Upgrade.SHA256 != first.Upgrade.SHA256 {
		t.Fatalf("again: %s of %s: %v", second.Outcome, second.Upgrade.Version, second.Problem)
	}
	md, _, err := b.Metadata(ctx)
	if err != nil || md.HotUpgrade == nil || md.HotUpgrade.SHA256 != first.Upgrade.SHA256 || len(md.MachineUpgrades) != 0 {
		t.Errorf("after the whole fleet: %+v, %v", md, err)
	}
	for _, id := range w.ids {
		w.expectVersion(id, "2.0.0")
	}
	if ids := b.upgrades(t); !slices.Equal(ids, []string{second.Upgrade.ID}) {
		t.Errorf("kept: %v", ids)
	}

	s = settings()
	s.Resume = true
	if p, again := w.deploy(s, 3); again.Outcome != engine.OutcomeSucceeded || p.Fleet[engine.PhaseCommit].Status != engine.StatusSkipped {
		t.Errorf("a deploy that had succeeded is resumed: %s, commit %s: %v", again.Outcome, p.Fleet[engine.PhaseCommit].Status, again.Problem)
	}

	w.withdraws(md)
}

// observed is the bucket as a test reads it.
type observed struct{ *s3.Bucket }

func (b observed) upgrades(t *testing.T) []string {
	t.Helper()
	ids, err := b.Upgrades(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// replace writes an object as somebody else would.
func (w *world) replace(key, body string) {
	w.t.Helper()
	b := w.bucket()
	if err := b.Delete(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	if err := b.Put(w.t.Context(), key, strings.NewReader(body), strings.Repeat("0", 64), nil); err != nil {
		w.t.Fatal(err)
	}
}

// expectSeedResult reads a machine's result as fly_deploy's readers do.
func (w *world) expectSeedResult(upgrade, machine string) {
	w.t.Helper()
	doc, err := w.bucket().Result(w.t.Context(), upgrade, machine+".json")
	if err != nil {
		w.t.Fatal(err)
	}
	var seed struct {
		MachineID   string    `json:"machine_id"`
		Region      string    `json:"region"`
		Status      string    `json:"status"`
		Success     bool      `json:"success"`
		Error       *string   `json:"error"`
		Modules     int       `json:"modules_reloaded"`
		ModuleNames []string  `json:"module_names"`
		Processes   int       `json:"processes_succeeded"`
		Failed      int       `json:"processes_failed"`
		SuspendMS   float64   `json:"suspend_duration_ms"`
		TotalMS     int64     `json:"total_duration_ms"`
		AppliedAt   time.Time `json:"applied_at"`
	}
	if err := json.Unmarshal(doc.Body, &seed); err != nil {
		w.t.Fatal(err)
	}
	if seed.MachineID != machine || seed.Region == "" || seed.Status != "completed" || !seed.Success || seed.Error != nil || seed.Modules == 0 ||
		len(seed.ModuleNames) != seed.Modules || seed.Processes < counters || seed.Failed != 0 || seed.SuspendMS <= 0 || seed.TotalMS <= 0 || seed.AppliedAt.IsZero() {
		w.t.Errorf("the result is %s", doc.Body)
	}
}

// withdraws takes the upgrade out of the record again: a machine that restarts runs its image.
func (w *world) withdraws(was engine.Metadata) {
	w.t.Helper()
	ctx := w.t.Context()
	b := w.bucket()
	s := settings()
	s.Message = "it crashes at boot"
	theirs, err := b.Acquire(ctx, "bob", "01THEIRS", time.Minute, "")
	if err != nil {
		w.t.Fatal(err)
	}
	storage := engine.Storage{Locks: b, Records: b, Tarballs: b}
	var held *engine.LockHeldError
	if _, err := record.Withdraw(ctx, s, storage, nil, s.App, ""); !errors.As(err, &held) {
		w.t.Errorf("somebody deploys: %v", err)
	}
	if err := theirs.Release(ctx); err != nil {
		w.t.Fatal(err)
	}
	done, err := record.Withdraw(ctx, s, storage, nil, s.App, "")
	if err != nil || done.Fleet == nil || done.Fleet.ID != was.HotUpgrade.ID {
		w.t.Fatalf("withdrawn %+v: %v", done, err)
	}
	md, _, err := b.Metadata(ctx)
	if err != nil || md.HotUpgrade != nil || len(md.MachineUpgrades) != 0 || md.ImageRef != was.ImageRef {
		w.t.Errorf("after the withdrawal: %+v, %v", md, err)
	}
	past, err := record.History(ctx, b, 1)
	if err != nil || past[0].Outcome != engine.OutcomeWithdrawn || past[0].Message != s.Message || past[0].Owner != s.Owner {
		w.t.Errorf("history: %+v, %v", past, err)
	}
	w.restart(w.ids[0])
	w.expectVersion(w.ids[0], "1.0.0")
	w.expectVersion(w.ids[1], "2.0.0")
	_, err = record.Withdraw(context.WithoutCancel(ctx), s, storage, nil, s.App, "")
	wantNamed(w.t, err, "nothing_to_withdraw")
	w.expectNothingLeft()
}

func wantNamed(t testing.TB, err error, name string) {
	t.Helper()
	var p *engine.Problem
	if !errors.As(err, &p) || p.Name != name || p.Remedy == "" {
		t.Errorf("got %v, want the problem %s with a remedy", err, name)
	}
}

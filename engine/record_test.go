package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"flydeploy/engine"
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
		source := engine.Watch(b, lock.DeploymentID, 500*time.Millisecond)
		for err == nil {
			var batch []engine.Event
			batch, err = source.Next(w.t.Context())
			for _, e := range batch {
				seen.Apply(e)
				if lock.LockedAt.Before(e.At) { // what came before, nobody could see
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

// What the bucket tells of a deploy: while it runs, to a second console; afterwards, to everybody; and what can be done
// with it again.
func TestTheRecordOfDeploys(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	b := w.bucket()
	ctx := t.Context()
	s := settings()
	s.Owner, s.Host, s.Message, s.GitRevision, s.CILink = "ann@example.com", "laptop", "why not", "0123abcd-dirty", "https://ci.example.com/7"

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

	past, err := engine.History(ctx, b, 0)
	if err != nil || len(past) != 1 {
		t.Fatalf("history %+v: %v", past, err)
	}
	got := past[0]
	if got.ID != first.Upgrade.ID || got.Outcome != engine.OutcomeSucceeded || got.Version != "2.0.0" || got.Owner != s.Owner || got.Host != s.Host ||
		got.Message != s.Message || got.GitRevision != s.GitRevision || got.CILink != s.CILink || got.Machines != 1 || got.Upgraded != 1 ||
		got.MaxSuspendedUS != first.Machines[0].SuspendedUS || got.DurationMS <= 0 || got.Running || got.At.IsZero() {
		t.Errorf("the past is told as %+v", got)
	}
	w.expectSeedResult(first.Upgrade.ID, w.ids[0])

	// A subset is a subset; the second one makes the fleet whole, and the record says so in the seed's own field.
	if md, _, err := b.Metadata(ctx); err != nil || md.HotUpgrade != nil || md.MachineUpgrades[w.ids[0]].ID != first.Upgrade.ID || md.MachineUpgrades[w.ids[0]].Fingerprint == "" {
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
	if ids, err := b.Upgrades(ctx); err != nil || !slices.Equal(ids, []string{second.Upgrade.ID}) && len(ids) != 2 {
		t.Errorf("kept: %v, %v", ids, err)
	}

	s = settings()
	s.Resume = true
	_, none := w.deploy(s, 3)
	wantNamed(t, none.Problem, "nothing_to_resume")

	w.withdraws(md)
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
		w.t.Errorf("the result is told as %s", doc.Body)
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
	if _, err := engine.Withdraw(ctx, s, storage); !errors.As(err, &held) {
		w.t.Errorf("somebody deploys: %v", err)
	}
	if err := theirs.Release(ctx); err != nil {
		w.t.Fatal(err)
	}
	done, err := engine.Withdraw(ctx, s, storage)
	if err != nil || done.Fleet == nil || done.Fleet.ID != was.HotUpgrade.ID {
		w.t.Fatalf("withdrawn %+v: %v", done, err)
	}
	md, _, err := b.Metadata(ctx)
	if err != nil || md.HotUpgrade != nil || len(md.MachineUpgrades) != 0 || md.ImageRef != was.ImageRef {
		w.t.Errorf("after the withdrawal: %+v, %v", md, err)
	}
	past, err := engine.History(ctx, b, 1)
	if err != nil || past[0].Outcome != engine.OutcomeWithdrawn || past[0].Message != s.Message || past[0].Owner != s.Owner {
		w.t.Errorf("history: %+v, %v", past, err)
	}
	w.restart(w.ids[0])
	w.expectVersion(w.ids[0], "1.0.0")
	w.expectVersion(w.ids[1], "2.0.0")
	_, err = engine.Withdraw(context.WithoutCancel(ctx), s, storage)
	wantNamed(w.t, err, "nothing_to_withdraw")
	w.expectNothingLeft()
}

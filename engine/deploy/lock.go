package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
)

// pollLockEvery is how often we look at somebody else's lock while we wait for it.
const pollLockEvery = 2 * time.Second

// locked is the deploy lock, once it is taken; held is nil in a dry run.
type locked struct {
	*waiting
	id    string // the upgrade's, in the order in which locks were taken
	tried string // with which it was asked for, if that was not answered
	held  *lock.Held
}

// drop frees a lock that was taken and not answered.
func (l *locked) drop(ctx context.Context, locks engine.Locks) {
	if l.tried == "" {
		return
	}
	l.job.withSettleTimeout(ctx, func(ctx context.Context) { l.job.dropLock(ctx, locks, l.tried) })
}

// takeLock takes the deploy lock. The context that it returns ends when the lock is lost. A dry run changes nothing and takes no
// lock.
func (j *job) takeLock(ctx context.Context, storage engine.Storage) (context.Context, locked, error) {
	l := locked{waiting: &waiting{job: j, until: time.Now().Add(j.settings.LockWait), shown: map[string]string{}}}
	if j.settings.DryRun {
		l.id = storage.NewID(ctx)
		return ctx, l, nil
	}
	var err error
	if ctx, err = l.acquire(ctx, storage); err != nil {
		l.drop(ctx, storage.Locks)
		err = lock.AcquireProblem(err)
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: failedBy(err), Problem: engine.AsProblem(err)})
	}
	return ctx, l, err
}

// startRecord ends the phase of the lock, and starts the deploy's record; a dry run has none.
func (j *job) startRecord(ctx context.Context, s *surveyed, l locked, u engine.Upgrade) *record.Journal {
	if l.held == nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusSkipped, Text: "a dry run takes no lock", Upgrade: &u})
		return nil
	}
	journal := record.StartJournal(ctx, s.target.Storage.Records, j.rec, record.Record{
		Past: j.pastOf(s, u), Select: s.selected, Strategy: &s.strategy, Overrode: l.overridden(),
		Resumes: s.chain, Before: s.first,
	})
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusDone, Text: l.text(), Upgrade: &u})
	return journal
}

// pastOf gives what is known of a deploy when it begins.
func (j *job) pastOf(s *surveyed, u engine.Upgrade) engine.Past {
	past := engine.Past{ID: u.ID, At: s.target.Storage.Clock().UTC().Truncate(time.Millisecond), TrialEnd: j.settings.EndTrial}
	if t := s.recorded.Trial(); t != nil && past.TrialEnd != engine.TrialGoesOn {
		past.Tried = t.ID
	}
	return past
}

// waiting is the wait for the lock, and what we know of somebody else's.
type waiting struct {
	job       *job
	until     time.Time         // how long to wait without an operator
	shown     map[string]string // deploy IDs by the ETags of all locks that were met
	last      engine.LockInfo   // the last lock that was held
	shownETag string            // of the last lock that was shown
	override  string            // ETag of the lock that may be replaced
	answered  string            // ETag of the lock that the operator chose to override
}

// acquire tries until the lock is ours. It waits for somebody else's lock as long as an operator watches, or for --lock-wait, and
// overrides it only on request: by Force, or by an answer that names the lock that was shown. Each try has an ID of its own, so
// that IDs are in the order in which locks were taken. The context that it returns ends when the lock is lost.
func (l *locked) acquire(ctx context.Context, storage engine.Storage) (context.Context, error) {
	s := l.job.settings
	for {
		if err := context.Cause(ctx); err != nil {
			return ctx, err
		}
		id := storage.NewID(ctx)
		l.tried = id
		asked := time.Now()
		taken, err := storage.Locks.Acquire(ctx, s.Owner, id, s.LockTimeout, l.override)
		if err == nil {
			l.id = id
			l.held, ctx = lock.Hold(ctx, taken, s.LockTimeout, asked)
			return ctx, nil
		}
		var others *engine.LockHeldError
		if !errors.As(err, &others) {
			return ctx, err
		}
		l.tried = ""
		if err := l.next(ctx, others); err != nil {
			return ctx, err
		}
	}
}

// next decides what to do about a lock that is held: nil for another try, with or without an override, or the error that ends
// the wait.
func (w *waiting) next(ctx context.Context, held *engine.LockHeldError) error {
	s := w.job.settings
	w.last, w.override = held.Held, ""
	// A renewal changes the ETag. An operator's answer about one version is valid for the same deploy's later versions.
	w.shown[held.Held.ETag] = held.Held.DeploymentID
	if s.Force || w.answered == held.Held.ETag ||
		w.answered != "" && held.Held.DeploymentID != "" && w.shown[w.answered] == held.Held.DeploymentID {
		w.override = held.Held.ETag
		return nil
	}
	if !s.Ask && !time.Now().Before(w.until) {
		return held
	}
	w.show(held)
	if !s.Ask {
		return run.Wait(ctx, min(pollLockEvery, max(time.Until(w.until), time.Millisecond)))
	}
	answer, err := w.job.ask(ctx, engine.QuestionLock, pollLockEvery)
	switch {
	case errors.Is(err, errNoAnswer):
		return nil
	case err != nil:
		return err
	case !answer.Proceed:
		return held
	}
	w.answered = answer.OverrideETag
	return nil
}

// show emits the lock, once for each version, since a renewal moves its expiry.
func (w *waiting) show(held *engine.LockHeldError) {
	if w.shownETag == held.Held.ETag {
		return
	}
	w.shownETag = held.Held.ETag
	w.job.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: held.Error(), Held: &engine.LockHeld{
		LockInfo: held.Held.ByLocalClock(), ETag: held.Held.ETag, ExpiresInMS: held.Held.ExpiresIn().Milliseconds(),
	}})
}

// waited reports whether somebody else held the lock meanwhile.
func (w *waiting) waited() bool { return w.last.ETag != "" }

// overridden gives the lock that was taken by force, nil if none was.
func (w *waiting) overridden() *engine.LockInfo {
	if w.override == "" {
		return nil
	}
	return &w.last
}

func (w *waiting) text() string {
	owner := w.job.settings.Owner
	if o := w.overridden(); o != nil && o.Frozen() {
		return fmt.Sprintf("override: %s ended the freeze of %s (%s)", owner, o.Holder(), o.Freeze)
	} else if o != nil {
		return fmt.Sprintf("override: %s took it from %s (deploy %s, since %s)", owner, o.Holder(), o.DeploymentID, o.LockedAt.Format(time.RFC3339))
	}
	return "held by " + owner
}

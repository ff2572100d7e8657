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
	"flydeploy/engine/target"
)

// pollLockEvery is how often we look at somebody else's lock while we wait for it.
const pollLockEvery = 2 * time.Second

// takeLock takes the deploy lock and then surveys what the deploy works on. The context that it returns ends when the lock is
// lost. A dry run changes nothing and takes no lock.
func (j *job) takeLock(ctx context.Context, all *soFar, found *target.Target) (context.Context, *surveyed, error) {
	w := &waiting{job: j, until: time.Now().Add(j.settings.LockWait), shown: map[string]string{}}
	text := "a dry run takes no lock"
	end := engine.StatusSkipped
	if j.settings.DryRun {
		all.upgrade.ID = all.storage.NewID(ctx)
	} else {
		held, locked, err := w.acquire(ctx, all)
		if err != nil {
			problem := lock.AcquireProblem(err)
			j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: problem})
			return ctx, nil, problem
		}
		ctx, all.held, text, end = locked, held, w.text(), engine.StatusDone
	}
	s, err := j.survey(ctx, all, found, w.waited())
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return ctx, nil, err
	}
	if all.held != nil {
		all.journal = record.StartJournal(ctx, all.storage.Records, j.rec, record.Record{
			Past: engine.Past{ID: all.upgrade.ID, At: all.storage.Clock().UTC().Truncate(time.Millisecond)}, Select: s.selected, Overrode: w.overridden(),
		})
		all.earlier = s.earlier
	}
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: end, Text: text, Upgrade: copyOf(&all.upgrade)})
	return ctx, s, nil
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
// that IDs are in the order in which locks were taken.
func (w *waiting) acquire(ctx context.Context, all *soFar) (*lock.Held, context.Context, error) {
	s := w.job.settings
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, ctx, err
		}
		id := all.storage.NewID(ctx)
		asked := time.Now()
		taken, err := all.storage.Locks.Acquire(ctx, s.Owner, id, s.LockTimeout, w.override)
		if err == nil {
			all.upgrade.ID = id
			held, locked := lock.Hold(ctx, taken, s.LockTimeout, asked)
			return held, locked, nil
		}
		var held *engine.LockHeldError
		if !errors.As(err, &held) {
			return nil, ctx, err
		}
		if err := w.next(ctx, held); err != nil {
			return nil, ctx, err
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
	if o := w.overridden(); o != nil {
		return fmt.Sprintf("override: %s took it from %s (deploy %s, since %s)", owner, o.Holder(), o.DeploymentID, o.LockedAt.Format(time.RFC3339))
	}
	return "held by " + owner
}

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

// pollLockEvery is how often somebody else's lock is looked at while we wait for it.
const pollLockEvery = 2 * time.Second

// takeLock takes the deploy lock, and reads behind it what the deploy works on. The context that it gives is the lock. A dry
// run changes nothing and needs no lock.
func (j *job) takeLock(ctx context.Context, all *soFar, found *target.Target) (context.Context, *scope, error) {
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
	s, err := j.survey(ctx, all, found, w.shownOnce())
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return ctx, nil, err
	}
	if all.held != nil {
		sel := j.settings.Select
		if s.earlier != nil && sel.Empty() && j.settings.Resume {
			sel = s.earlier.Select
		}
		all.journal = record.StartJournal(ctx, all.storage.Records, j.rec, record.Record{
			Past: engine.Past{ID: all.upgrade.ID, At: all.storage.Clock().UTC().Truncate(time.Millisecond)}, Select: sel, Overrode: w.overridden(),
		})
		all.earlier = s.earlier
	}
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: end, Text: text, Upgrade: known(&all.upgrade)})
	return ctx, s, nil
}

// waiting is what we know of somebody else's lock.
type waiting struct {
	job      *job
	until    time.Time // without an operator
	shown    map[string]string
	last     engine.LockInfo // that was held
	told     string          // its ETag
	override string          // ETag of the version that may be replaced
	answered string          // the ETag that the operator named
}

// acquire tries until the lock is ours. Somebody else's is waited for as long as an operator looks at it, or for --lock-wait. It
// is overridden only when the operator says so: by Force, or by an answer that names the lock that was shown. Each try
// has an id of its own, so that ids have the order in which the lock was taken.
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

// next decides what follows a lock that is held: another try (nil), with or without an override, or the end.
func (w *waiting) next(ctx context.Context, held *engine.LockHeldError) error {
	s := w.job.settings
	w.last, w.override = held.Held, ""
	// A renewal is another version of the same lock: an operator's answer holds for the deploy that it was shown with.
	w.shown[held.Held.ETag] = held.Held.DeploymentID
	if s.Force || w.answered == held.Held.ETag ||
		w.answered != "" && held.Held.DeploymentID != "" && w.shown[w.answered] == held.Held.DeploymentID {
		w.override = held.Held.ETag
		return nil
	}
	if !s.Ask && !time.Now().Before(w.until) {
		return held
	}
	w.tell(held)
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

// tell shows the lock: each version once, since a renewal moves its end.
func (w *waiting) tell(held *engine.LockHeldError) {
	if w.told == held.Held.ETag {
		return
	}
	w.told = held.Held.ETag
	w.job.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: held.Error(), Held: &engine.LockHeld{
		LockInfo: held.Held.ByLocalClock(), ETag: held.Held.ETag, ExpiresInMS: held.Held.ExpiresIn().Milliseconds(),
	}})
}

// shownOnce: somebody else held the lock, so that time has passed.
func (w *waiting) shownOnce() bool { return w.last.ETag != "" }

// overridden is the lock that was taken away by force, nil for none.
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

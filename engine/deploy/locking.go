package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// pollLockEvery is how often somebody else's lock is looked at while we wait for it.
const pollLockEvery = 2 * time.Second

// acquireLock takes the deploy lock. Somebody else's is waited for as long as an operator looks at it, or for --lock-wait.
// It is overridden only when the operator says so: by Force, or by an answer that names the lock that was shown. A dry run
// changes nothing and needs no lock.
func (p *Pipeline) acquireLock(ctx context.Context) error {
	if p.settings.DryRun {
		p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusSkipped, Text: "a dry run takes no lock"})
		return nil
	}
	w := waiting{p: p, until: time.Now().Add(p.settings.LockWait), shown: map[string]string{}}
	for {
		asked := time.Now()
		lock, err := p.Target.Storage.Locks.Acquire(ctx, p.settings.Owner, p.Upgrade.ID, p.settings.LockTimeout, w.override)
		if err == nil {
			p.hold(ctx, lock, asked)
			p.startJournal(ctx, w.overridden())
			p.closeEarlier(ctx)
			p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusDone, Text: w.text(), Upgrade: p.known()})
			return nil
		}
		var held *engine.LockHeldError
		if errors.As(err, &held) {
			if err = w.next(ctx, held); err == nil {
				continue
			}
		}
		problem := target.LockProblem(err)
		p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: problem})
		return problem
	}
}

// waiting is what we know of somebody else's lock.
type waiting struct {
	p        *Pipeline
	until    time.Time // without an operator
	shown    map[string]string
	last     engine.LockInfo // that was held
	told     string          // its ETag
	override string          // ETag of the version that may be replaced
	answered string          // the ETag that the operator named
}

// next decides what follows a lock that is held: another try (nil), with or without an override, or the end.
func (w *waiting) next(ctx context.Context, held *engine.LockHeldError) error {
	w.last, w.override = held.Held, ""
	// A renewal is another version of the same lock: an operator's answer holds for the deploy that it was shown with.
	w.shown[held.Held.ETag] = held.Held.DeploymentID
	if w.p.settings.Force || w.answered == held.Held.ETag ||
		w.answered != "" && held.Held.DeploymentID != "" && w.shown[w.answered] == held.Held.DeploymentID {
		w.override = held.Held.ETag
		return nil
	}
	if !w.p.settings.Ask && !time.Now().Before(w.until) {
		return held
	}
	w.tell(held)
	if !w.p.settings.Ask {
		return run.Wait(ctx, min(pollLockEvery, max(time.Until(w.until), time.Millisecond)))
	}
	answer, err := w.p.ask(ctx, engine.QuestionLock, pollLockEvery)
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
	w.p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: held.Error(), Held: &engine.LockHeld{
		LockInfo: held.Held.Here(), ETag: held.Held.ETag, ExpiresInMS: held.Held.ExpiresIn().Milliseconds(),
	}})
}

// overridden is the lock that was taken away by force, nil for none.
func (w *waiting) overridden() *engine.LockInfo {
	if w.override == "" {
		return nil
	}
	return &w.last
}

func (w *waiting) text() string {
	text := "held by " + w.p.settings.Owner
	if o := w.overridden(); o != nil {
		text = fmt.Sprintf("override: %s took it from %s (deploy %s, since %s)", w.p.settings.Owner, o.Owner(), o.DeploymentID,
			o.LockedAt.Format(time.RFC3339))
	}
	return text
}

var errNoAnswer = errors.New("nobody answered")

// ask waits for the operator's answer to the question that the last event asked.
func (p *Pipeline) ask(ctx context.Context, question engine.Question, within time.Duration) (engine.Answer, error) {
	timer := time.NewTimer(max(within, time.Second))
	defer timer.Stop()
	for {
		select {
		case a := <-p.answers:
			if a.To == question {
				return a, nil
			}
		case <-timer.C:
			return engine.Answer{}, errNoAnswer
		case <-ctx.Done():
			return engine.Answer{}, context.Cause(ctx)
		}
	}
}

// releaseLock frees the lock once every machine is settled. Where a machine's end is not known, the lock is left to
// expire: its agent may still be at work.
func (p *Pipeline) releaseLock(ctx context.Context) {
	if p.lock == nil {
		return
	}
	p.lock.end()
	for _, r := range p.machines {
		if r.outcome() == outcomeUnknown {
			p.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: fmt.Sprintf(
				"the end on machine %s is not known: the lock stays until it expires, within %s", r.Machine.ID, p.settings.LockTimeout)})
			return
		}
	}
	if p.lock.isLost() {
		p.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: "the lock is not ours any more"})
		return
	}
	if err := target.Unlocked(p.lock.lock.Release(ctx), p.settings.LockTimeout); err != nil {
		p.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return
	}
	p.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
}

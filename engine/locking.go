package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// heldLock renews a lock until it is released, and cancels the work when the lock is lost.
type heldLock struct {
	lock Lock
	stop context.CancelFunc
	done sync.WaitGroup
}

// acquireLock takes the deploy lock. Somebody else's is overridden only when the operator says so: by Force, or by an
// answer that names exactly the lock that was shown. A dry run changes nothing and needs no lock.
func (p *pipeline) acquireLock(ctx context.Context) error {
	if p.settings.DryRun {
		p.rec.emit(Event{Phase: PhaseLock, Status: StatusSkipped, Text: "a dry run takes no lock"})
		return nil
	}
	override := ""
	for {
		lock, err := p.target.Storage.Locks.Acquire(ctx, p.settings.Owner, p.upgrade.ID, p.settings.LockTimeout, override)
		if err == nil {
			p.hold(ctx, lock)
			p.rec.emit(Event{Phase: PhaseLock, Status: StatusDone, Text: lockText(override, p.settings), Upgrade: p.known()})
			return nil
		}
		var held *LockHeldError
		if errors.As(err, &held) {
			if override, err = p.overrideOf(ctx, held); err == nil {
				continue
			}
		}
		p.rec.emit(Event{Phase: PhaseLock, Status: StatusFailed, Problem: lockProblem(err)})
		return err
	}
}

func lockText(override string, s Settings) string {
	if override != "" {
		return fmt.Sprintf("override: now held by %s", s.Owner)
	}
	return fmt.Sprintf("held by %s", s.Owner)
}

func lockProblem(err error) *Problem {
	var held *LockHeldError
	if errors.As(err, &held) {
		return NewProblem("locked", err.Error(), nil,
			"Wait until that deploy ends or its lock expires. If you know that it is dead, run again with --force: two deploys at once can leave machines on different versions.")
	}
	return AsProblem(err)
}

// overrideOf gives the ETag of the lock that may be replaced, or the error that ends the deploy; "" means: try again.
func (p *pipeline) overrideOf(ctx context.Context, held *LockHeldError) (string, error) {
	if p.settings.Force {
		return held.Held.ETag, nil
	}
	if !p.settings.Ask {
		return "", held
	}
	p.rec.emit(Event{
		Phase: PhaseLock, Status: StatusRunning, Text: held.Error(), Held: &LockHeld{LockInfo: held.Held, ETag: held.Held.ETag},
	})
	answer, err := p.ask(ctx, QuestionLock, time.Until(held.Held.ExpiresAt))
	switch {
	case errors.Is(err, errNoAnswer): // it expired: try again
		return "", nil
	case err != nil:
		return "", err
	case !answer.Proceed:
		return "", held
	default:
		return answer.OverrideETag, nil
	}
}

var errNoAnswer = errors.New("nobody answered")

// ask waits for the operator's answer to the question that the last event asked.
func (p *pipeline) ask(ctx context.Context, question Question, within time.Duration) (Answer, error) {
	timer := time.NewTimer(max(within, time.Second))
	defer timer.Stop()
	for {
		select {
		case a := <-p.answers:
			if a.To == question {
				return a, nil
			}
		case <-timer.C:
			return Answer{}, errNoAnswer
		case <-ctx.Done():
			return Answer{}, context.Cause(ctx)
		}
	}
}

// hold renews the lock three times in its life. Losing it cancels the deploy: nothing new starts.
func (p *pipeline) hold(ctx context.Context, lock Lock) {
	beat, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.lock = &heldLock{lock: lock, stop: stop}
	p.lock.done.Go(func() {
		ticker := time.NewTicker(p.settings.LockTimeout / 3)
		defer ticker.Stop()
		for {
			select {
			case <-beat.Done():
				return
			case <-ticker.C:
				if err := lock.Renew(beat); errors.Is(err, ErrLockLost) {
					p.cancel(err)
					return
				}
			}
		}
	})
}

// releaseLock frees the lock once every machine is settled. Where a machine's end is not known, the lock is left to
// expire: its agent may still be at work.
func (p *pipeline) releaseLock(ctx context.Context) {
	if p.lock == nil {
		return
	}
	p.lock.stop()
	p.lock.done.Wait()
	for _, r := range p.machines {
		if r.outcome() == outcomeUnknown {
			p.rec.emit(Event{Phase: PhaseUnlock, Status: StatusSkipped, Text: fmt.Sprintf(
				"the end on machine %s is not known: the lock stays until it expires, within %s", r.machine.ID, p.settings.LockTimeout)})
			return
		}
	}
	if err := p.lock.lock.Release(ctx); err != nil {
		err = NewProblem("unlock", "the deploy lock could not be released", err,
			fmt.Sprintf("It expires by itself within %s.", p.settings.LockTimeout))
		p.rec.emit(Event{Phase: PhaseUnlock, Status: StatusFailed, Problem: AsProblem(err)})
		return
	}
	p.rec.emit(Event{Phase: PhaseUnlock, Status: StatusDone})
}

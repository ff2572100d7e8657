// Package lock keeps the deploy lock while work is done under it. The context of that work ends when the lock is lost, so that
// nothing that changes a machine is sent after that.
package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
)

const (
	// longestBeat is the longest time between renewals, and so until an override is noticed.
	longestBeat = 10 * time.Second
	// freshFor is how long after a renewal the lock need not be renewed before something starts.
	freshFor = time.Second
	// lookEvery is how often the lock's age is checked, independently of renewals.
	lookEvery = time.Second
	// askAgainAfter is the pause after a failed renewal.
	askAgainAfter = time.Second
	// releaseWithin bounds the release at the end of With, whose context may have ended.
	releaseWithin = 30 * time.Second
)

// Held is a lock that we hold. One goroutine renews it, and another one watches its age, so that the loss is noticed even while a
// renewal hangs.
type Held struct {
	lock engine.Lock
	ttl  time.Duration
	lose context.CancelCauseFunc
	stop context.CancelFunc
	kept sync.WaitGroup

	renewing chan struct{} // holds a token while no renewal is under way
	mu       sync.Mutex
	renewed  time.Time // when the last successful renewal was sent
	lost     error     // why the lock was lost, nil while it is held
}

// Hold keeps a lock, which was requested at the time asked, until Release or Abandon. The context that it gives is for the work
// under the lock: it ends with ctx, and when the lock is lost, with that as its cause.
func Hold(ctx context.Context, l engine.Lock, ttl time.Duration, asked time.Time) (*Held, context.Context) {
	work, lose := context.WithCancelCause(ctx)
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	h := &Held{lock: l, ttl: ttl, lose: lose, stop: stop, renewing: make(chan struct{}, 1), renewed: asked}
	h.renewing <- struct{}{}
	h.keep(keep, h.renewOnBeat)
	h.keep(keep, h.watchAge)
	return h, work
}

// keep runs one of the goroutines. A panic counts as losing the lock, since it is not kept any more.
func (h *Held) keep(ctx context.Context, work func(context.Context)) {
	h.kept.Go(func() {
		if err := run.Guarded(func() error { work(ctx); return nil }); err != nil {
			h.markLost(err)
		}
	})
}

func (h *Held) renewOnBeat(ctx context.Context) {
	beat := time.NewTicker(min(h.ttl/3, longestBeat))
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if _ = h.renew(ctx, time.Time{}); h.Lost() != nil {
				return
			}
		}
	}
}

func (h *Held) watchAge(ctx context.Context) {
	look := time.NewTicker(min(h.ttl/12, lookEvery))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if h.unsafe() {
				h.markLost(fmt.Errorf("%w: it could not be renewed for %s", engine.ErrLockLost, h.age().Round(time.Second)))
				return
			}
		}
	}
}

// renew renews the lock, unless a renewal that was sent after asked has succeeded while it waited for its turn; a zero asked always
// renews. There is one renewal at a time. The loss of the lock is remembered; any other error only means that this renewal has
// failed.
func (h *Held) renew(ctx context.Context, asked time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-h.renewing:
	}
	defer func() { h.renewing <- struct{}{} }()
	if err := h.Lost(); err != nil || !asked.IsZero() && (h.age() < freshFor || h.renewedSince(asked)) {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, h.ttl/3)
	defer cancel()
	sent := time.Now()
	err := h.lock.Renew(bounded)
	switch {
	case err == nil:
		h.mu.Lock()
		h.renewed = sent
		h.mu.Unlock()
		return nil
	case errors.Is(err, engine.ErrLockLost):
		return h.markLost(err)
	}
	return err
}

// markLost remembers why the lock was lost, ends the work, and gives the problem.
func (h *Held) markLost(why error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = engine.NewProblem("lock_lost", "stopped", why,
			"Nothing more was started, and what was staged is taken back. `flydeploy lock show` and `flydeploy watch` show who deploys now, and `flydeploy status` what the machines run.")
		h.lose(h.lost)
	}
	return h.lost
}

// age gives the time since the last renewal. The wall clock counts too, since the monotonic clock stands still while the computer
// sleeps.
func (h *Held) age() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(time.Since(h.renewed), time.Now().Round(0).Sub(h.renewed.Round(0)))
}

// renewedSince reports whether a renewal that was sent at t or later has succeeded.
func (h *Held) renewedSince(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.renewed.Before(t)
}

// unsafe reports whether the lock is so old that others may soon take it as expired.
func (h *Held) unsafe() bool { return h.age() > h.ttl-h.ttl/6 }

// Lost gives why the lock was lost, nil while it is held.
func (h *Held) Lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// Confirm makes sure that the lock is held; call it before anything that others must not do at the same time. ctx must end with the
// lock's context. If the storage does not answer, Confirm retries until the lock is unsafe by its age.
func (h *Held) Confirm(ctx context.Context) error {
	asked := time.Now()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if h.age() < freshFor {
			return h.Lost()
		}
		err := h.renew(ctx, asked)
		if lost := h.Lost(); lost != nil {
			return lost
		}
		if err == nil {
			return nil
		}
		if err := run.Wait(ctx, askAgainAfter); err != nil {
			return err
		}
	}
}

// end stops the two goroutines and waits for them.
func (h *Held) end() {
	h.stop()
	h.kept.Wait()
}

// Abandon stops keeping the lock, which stays until it expires.
func (h *Held) Abandon() {
	h.end()
	h.lose(nil)
}

// Release frees the lock, or gives the error with which it was lost. ctx bounds it.
func (h *Held) Release(ctx context.Context) error {
	h.end()
	defer h.lose(nil)
	if err := h.Lost(); err != nil {
		return err
	}
	return releaseProblem(h.lock.Release(ctx), h.ttl)
}

// releaseProblem explains the error of a release; nil gives nil.
func releaseProblem(err error, expiry time.Duration) error {
	if err == nil {
		return nil
	}
	return engine.NewProblem("unlock", "the deploy lock could not be released", err, fmt.Sprintf("It expires by itself within %s.", expiry))
}

// AcquireProblem explains the error of engine.Locks.Acquire.
func AcquireProblem(err error) *engine.Problem {
	var held *engine.LockHeldError
	if errors.As(err, &held) && held.Held.Frozen() {
		return engine.NewProblem("frozen", err.Error(), nil,
			"Wait until then (--lock-wait), or ask whoever froze them to end it: `flydeploy lock release`. `flydeploy hot --force` deploys all the same, and ends the freeze for everybody.").WithCause(held)
	}
	if errors.As(err, &held) {
		return engine.NewProblem("locked", err.Error(), nil,
			"Wait until that deploy ends or its lock expires: --lock-wait 10m does that for you, and `flydeploy watch` shows the deploy. Only if you know that its console is dead, run again with --force: two deploys at once can leave machines on different versions.").WithCause(held)
	}
	return engine.AsProblem(err)
}

// With takes the lock, does the work under it, and releases it. The work's context ends when the lock is lost.
func With(ctx context.Context, locks engine.Locks, owner, id string, ttl time.Duration, work func(context.Context) error) (err error) {
	asked := time.Now()
	l, err := locks.Acquire(ctx, owner, id, ttl, "")
	if err != nil {
		return AcquireProblem(err)
	}
	held, locked := Hold(ctx, l, ttl, asked)
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
		defer cancel()
		err = errors.Join(err, held.Release(bounded))
	}()
	return work(locked)
}

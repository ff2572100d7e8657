// Package lock keeps a deploy lock: the work's context is the lock. It ends when the lock is lost, and nothing that changes
// a machine is sent under a lost lock.
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
	// longestBeat bounds the time after which an override is noticed.
	longestBeat = 10 * time.Second
	// freshFor: a lock that was renewed so lately need not be renewed again before something starts.
	freshFor = time.Second
	// lookEvery is how often the lock's age is looked at, apart from its renewals.
	lookEvery = time.Second
	// askAgainAfter is the pause after a renewal that failed, as long as the lock is safe by its age.
	askAgainAfter = time.Second
	// releaseWithin bounds the release after the work was cut short by a panic or a context that had ended.
	releaseWithin = 30 * time.Second
)

// Held is a lock that we hold. Two goroutines keep it: one renews it, the other watches its age, so that a renewal that hangs
// hides nothing.
type Held struct {
	lock engine.Lock
	ttl  time.Duration
	lose context.CancelCauseFunc
	stop context.CancelFunc
	kept sync.WaitGroup

	renewing chan struct{} // holds a token while nobody renews
	mu       sync.Mutex
	renewed  time.Time // when the last renewal that succeeded was sent
	lost     error
}

// Hold keeps a lock that was asked for at a time, until Release. The context that it gives is the lock: it ends with ctx, and
// when the lock is lost, with that as its cause.
func Hold(ctx context.Context, l engine.Lock, ttl time.Duration, asked time.Time) (*Held, context.Context) {
	work, lose := context.WithCancelCause(ctx)
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	h := &Held{lock: l, ttl: ttl, lose: lose, stop: stop, renewing: make(chan struct{}, 1), renewed: asked}
	h.renewing <- struct{}{}
	h.keep(keep, h.renewOnBeat)
	h.keep(keep, h.watchAge)
	return h, work
}

// keep runs one of the goroutines. A panic in it loses the lock: nobody keeps it any more.
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

// renew writes the lock anew, alone, unless a renewal that was sent after asked (zero: in any case) has succeeded while it waited for
// its turn. Losing the lock is remembered; another error only says that this renewal failed.
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

// markLost ends the work.
func (h *Held) markLost(why error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = engine.NewProblem("lock_lost", "stopped", why,
			"Nothing more was started, and what was staged is taken back. `flydeploy lock show` and `flydeploy watch` show who deploys now; `flydeploy status` shows what machines run.")
		h.lose(h.lost)
	}
	return h.lost
}

// age is the time since the last renewal, by the wall clock as well: a computer that slept has a monotonic clock that
// stood still.
func (h *Held) age() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(time.Since(h.renewed), time.Now().Round(0).Sub(h.renewed.Round(0)))
}

func (h *Held) renewedSince(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.renewed.Before(t)
}

// unsafe: others may judge the lock to be expired soon.
func (h *Held) unsafe() bool { return h.age() > h.ttl-h.ttl/6 }

// Lost gives why the lock was lost, nil while it is held.
func (h *Held) Lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// Confirm makes sure that the lock is held before something starts that others must not do at the same time. ctx is the lock's
// own, or ends with it. A storage that does not answer is asked again for as long as the lock is safe by its age.
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

// end stops the goroutines and waits for them.
func (h *Held) end() {
	h.stop()
	h.kept.Wait()
}

// Abandon stops renewing: the lock stays until it expires.
func (h *Held) Abandon() {
	h.end()
	h.lose(nil)
}

// Release frees the lock; one that was lost is left alone. ctx bounds it.
func (h *Held) Release(ctx context.Context) error {
	h.end()
	defer h.lose(nil)
	if err := h.Lost(); err != nil {
		return err
	}
	return releaseProblem(h.lock.Release(ctx), h.ttl)
}

// releaseProblem explains the error of a release, nil for none.
func releaseProblem(err error, expiry time.Duration) error {
	if err == nil {
		return nil
	}
	return engine.NewProblem("unlock", "the deploy lock could not be released", err, fmt.Sprintf("It expires by itself within %s.", expiry))
}

// AcquireProblem explains why a lock was not taken.
func AcquireProblem(err error) *engine.Problem {
	var held *engine.LockHeldError
	if errors.As(err, &held) {
		return engine.NewProblem("locked", err.Error(), nil,
			"Wait until that deploy ends or its lock expires: --lock-wait 10m does it for you, `flydeploy watch` shows it. If you know that it is dead, run again with --force: two deploys at once can leave machines on different versions.").WithCause(held)
	}
	return engine.AsProblem(err)
}

// With takes the lock, does the work under it, and releases it.
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

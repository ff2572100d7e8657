package deploy

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
	// maxHeartbeat bounds the time after which an override is noticed.
	maxHeartbeat = 10 * time.Second
	// confirmedFor: a lock that was renewed so lately need not be renewed again before something starts.
	confirmedFor = time.Second
)

// heldLock renews a lock until it is released, and cancels the work when the lock is lost.
type heldLock struct {
	lock   engine.Lock
	ttl    time.Duration
	cancel context.CancelCauseFunc // of the deploy's work
	stop   context.CancelFunc
	done   sync.WaitGroup

	renewing sync.Mutex
	mu       sync.Mutex
	renewed  time.Time // when the last renewal that succeeded was sent
	lost     error
}

// hold begins the heartbeat of a lock that was asked for at a time. Losing it cancels the deploy: nothing new starts.
func (p *Pipeline) hold(ctx context.Context, lock engine.Lock, asked time.Time) {
	beat, stop := context.WithCancel(context.WithoutCancel(ctx))
	h := &heldLock{lock: lock, ttl: p.settings.LockTimeout, cancel: p.cancel, stop: stop, renewed: asked}
	p.lock = h
	h.done.Go(func() {
		if err := run.Guarded(func() error { h.keep(beat); return nil }); err != nil {
			h.cancel(err)
		}
	})
}

// keep renews the lock until it is released or lost.
func (h *heldLock) keep(ctx context.Context) {
	ticker := time.NewTicker(h.heartbeat())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _ = h.beat(ctx); h.isLost() {
				return
			}
		}
	}
}

func (h *heldLock) beat(ctx context.Context) error {
	h.renewing.Lock()
	defer h.renewing.Unlock()
	return h.renew(ctx)
}

func (h *heldLock) heartbeat() time.Duration { return min(h.ttl/3, maxHeartbeat) }

// renew writes the lock anew. The lock is lost when somebody else has it, and also when it could not be renewed for so
// long that somebody else may take it. renewing is held.
func (h *heldLock) renew(ctx context.Context) error {
	if err := h.failure(); err != nil {
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
		err = lostProblem(err)
	case h.unsafe():
		err = lostProblem(fmt.Errorf("%w: it could not be renewed for %s: %v", engine.ErrLockLost, h.age().Round(time.Second), err))
	default:
		return err
	}
	h.mu.Lock()
	h.lost = err
	h.mu.Unlock()
	h.cancel(err)
	return err
}

func lostProblem(err error) *engine.Problem {
	return engine.NewProblem("lock_lost", "stopped", err,
		"Nothing more was started, and what was staged is taken back. `flydeploy lock show` and `flydeploy watch` show who deploys now; `flydeploy status` shows what machines run.")
}

// age is the time since the last renewal, by the wall clock as well: a computer that slept has a monotonic clock that
// stood still.
func (h *heldLock) age() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(time.Since(h.renewed), time.Now().Round(0).Sub(h.renewed.Round(0)))
}

// unsafe: others may judge the lock to be expired soon.
func (h *heldLock) unsafe() bool { return h.age() > h.ttl-h.ttl/6 }

// confirm makes sure that the lock is ours before something starts that others must not do at the same time. Of many that
// ask at once, one renews the lock for all.
func (h *heldLock) confirm(ctx context.Context) error {
	asked := time.Now()
	h.renewing.Lock()
	defer h.renewing.Unlock()
	if h.age() < max(confirmedFor, time.Since(asked)) {
		return h.failure()
	}
	return h.renew(ctx)
}

func (h *heldLock) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

func (h *heldLock) isLost() bool { return h.failure() != nil }

// end stops the heartbeat.
func (h *heldLock) end() {
	h.stop()
	h.done.Wait()
}

// ours makes sure that the lock is ours, where there is one.
func (p *Pipeline) ours(ctx context.Context) error {
	if p.lock == nil {
		return nil
	}
	return p.lock.confirm(ctx)
}

// lockLost: somebody else may deploy by now.
func (p *Pipeline) lockLost() bool { return p.lock != nil && p.lock.isLost() }

package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type crashingLock struct{ Lock }

func (crashingLock) Renew(context.Context) error { panic("a bug") }

// A bug in the renewal must not take the terminal with it: it stops the deploy like a lost lock.
func TestACrashInTheRenewalStopsTheDeploy(t *testing.T) {
	work, cancel := context.WithCancelCause(t.Context())
	p := &pipeline{settings: Settings{LockTimeout: 30 * time.Millisecond}, cancel: cancel}

	p.hold(work, crashingLock{}, time.Now())
	<-work.Done()
	p.lock.end()

	var problem *Problem
	if !errors.As(context.Cause(work), &problem) || problem.Name != "crash" || problem.Remedy == "" {
		t.Errorf("the deploy was stopped by %v", context.Cause(work))
	}
}

// slowLock is renewed by a storage that takes its time.
type slowLock struct {
	Lock
	renewals atomic.Int32
}

func (l *slowLock) Renew(context.Context) error {
	time.Sleep(100 * time.Millisecond)
	l.renewals.Add(1)
	return nil
}

// The machines of a wave start together: none waits for as many renewals as there are machines.
func TestOneRenewalConfirmsTheLockForAWholeWave(t *testing.T) {
	t.Parallel()
	lock := &slowLock{}
	h := &heldLock{lock: lock, ttl: 5 * time.Minute, cancel: func(error) {}, renewed: time.Now().Add(-5 * time.Second)}
	var wave sync.WaitGroup
	for range 20 {
		wave.Go(func() {
			if err := h.confirm(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wave.Wait()
	if n := lock.renewals.Load(); n < 1 || n > 2 { // who comes while one is under way needs another
		t.Errorf("the lock was renewed %d times", n)
	}
}

type refusedLocks struct {
	Locks
	err error
}

func (l refusedLocks) Acquire(context.Context, string, string, time.Duration, string) (Lock, error) {
	return nil, l.err
}

// Who looks for the cause of a withdrawal that the bucket refuses must come to an end.
func TestAWithdrawalThatTheBucketRefuses(t *testing.T) {
	refused := NewProblem("forbidden", "write the lock", errors.New("403 AccessDenied"), "Use keys that may read and write.")
	_, err := Withdraw(t.Context(), Settings{}, Storage{Locks: refusedLocks{err: refused}}, "")
	causes := 0
	for cause := err; cause != nil && causes < 10; cause = errors.Unwrap(cause) {
		causes++
	}
	var problem *Problem
	if causes == 10 || !errors.As(err, &problem) || problem.Name != "forbidden" || problem.Remedy == "" {
		t.Errorf("%d causes or more: %v", causes, problem)
	}
}

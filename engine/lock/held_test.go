package lock_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
)

// played is a lock whose storage behaves as a function says.
type played struct {
	renew    func(context.Context) error
	renewals atomic.Int32
}

func (l *played) Renew(ctx context.Context) error {
	l.renewals.Add(1)
	return l.renew(ctx)
}

func (l *played) Release(context.Context) error { return nil }

const ttl = 2 * time.Minute

func hold(t *testing.T, renew func(context.Context) error) (*played, *lock.Held, context.Context) {
	l := &played{renew: renew}
	held, work := lock.Hold(t.Context(), l, ttl, time.Now())
	t.Cleanup(held.Abandon)
	return l, held, work
}

func works(context.Context) error { return nil }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// lostAs gives the name of the problem that a lock was lost with.
func lostAs(t *testing.T, work context.Context) string {
	t.Helper()
	var p *engine.Problem
	if !errors.As(context.Cause(work), &p) || p.Remedy == "" {
		t.Fatalf("the work ended with %v", context.Cause(work))
	}
	return p.Name
}

func TestALockIsRenewedOnItsBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, held, work := hold(t, works)
		time.Sleep(time.Hour)
		if n := l.renewals.Load(); n < 359 || n > 360 || work.Err() != nil || held.Lost() != nil {
			t.Errorf("renewed %d times in an hour, lost: %v", n, held.Lost())
		}
	})
}

// A renewal that hangs does not hide the loss: the lock ends when others may soon take it, and not earlier.
func TestARenewalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, held, work := hold(t, hangs)
		<-work.Done()
		if after := time.Since(begun); after < ttl*5/6 || after > ttl*5/6+2*time.Second {
			t.Errorf("the work ended after %s", after)
		}
		if lostAs(t, work) != "lock_lost" || !errors.Is(held.Lost(), engine.ErrLockLost) {
			t.Errorf("lost: %v", held.Lost())
		}
	})
}

func TestALockThatSomebodyElseHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, held, work := hold(t, func(context.Context) error { return engine.ErrLockLost })
		<-work.Done()
		if after := time.Since(begun); after > 11*time.Second || lostAs(t, work) != "lock_lost" {
			t.Errorf("noticed after %s", after)
		}
		if err := held.Confirm(t.Context()); !errors.Is(err, engine.ErrLockLost) {
			t.Errorf("it is confirmed: %v", err)
		}
		if err := held.Release(t.Context()); !errors.Is(err, engine.ErrLockLost) {
			t.Errorf("it is released: %v", err)
		}
	})
}

// A panic in the renewal must not crash the process: it stops the deploy like a lost lock.
func TestACrashInTheRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, work := hold(t, func(context.Context) error { panic("a bug") })
		<-work.Done()
		if name := lostAs(t, work); name != "lock_lost" && name != "crash" {
			t.Errorf("it ended as %s", name)
		}
	})
}

// The machines of a wave start together: one renewal confirms the lock for all of them.
func TestOneRenewalConfirmsTheLockForAWave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, held, _ := hold(t, func(ctx context.Context) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		time.Sleep(5 * time.Second)
		var wave sync.WaitGroup
		for range 200 {
			wave.Go(func() {
				if err := held.Confirm(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wave.Wait()
		if n := l.renewals.Load(); n != 1 {
			t.Errorf("the lock was renewed %d times", n)
		}
	})
}

// A storage that is unreachable is asked again for as long as the lock is safe.
func TestConfirmOutlastsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(30 * time.Second)
		_, held, _ := hold(t, func(context.Context) error {
			if time.Now().Before(back) {
				return errors.New("503 SlowDown")
			}
			return nil
		})
		time.Sleep(2 * time.Second)
		if err := held.Confirm(t.Context()); err != nil {
			t.Errorf("after %s: %v", time.Since(back), err)
		}
	})
}

// A wait for a confirmation ends with its context.
func TestConfirmEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, held, _ := hold(t, hangs)
		time.Sleep(2 * time.Second)
		stopped := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { stop(stopped) })
		begun := time.Now()
		if err := held.Confirm(ctx); !errors.Is(err, stopped) || time.Since(begun) > 6*time.Second {
			t.Errorf("it ended after %s: %v", time.Since(begun), err)
		}
	})
}

// A lock that was renewed a moment ago is no reason to start something that was stopped.
func TestAFreshLockIsNotConfirmedForStoppedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, held, work := hold(t, works)
		ctx, stop := context.WithCancelCause(work)
		stopped := errors.New("stopped")
		stop(stopped)
		if err := held.Confirm(ctx); !errors.Is(err, stopped) {
			t.Errorf("confirmed: %v", err)
		}
	})
}

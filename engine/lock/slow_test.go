package lock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slow bucket: still one renewal for all that ask at once, as before.
func TestSlowRenewalsConfirmAWave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, held, _ := hold(t, func(ctx context.Context) error {
			time.Sleep(1500 * time.Millisecond)
			return nil
		})
		time.Sleep(5 * time.Second)
		begun := time.Now()
		var wave sync.WaitGroup
		for range 50 {
			wave.Go(func() {
				if err := held.Confirm(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wave.Wait()
		if n := l.renewals.Load(); n > 2 || time.Since(begun) > 5*time.Second {
			t.Errorf("the lock was renewed %d times in %s", n, time.Since(begun))
		}
	})
}

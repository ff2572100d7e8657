package fly

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/time/rate"
)

// limits stays within the rate limits of the Machines API: for each action on each machine one request a second with bursts of
// 3, for getting a machine 5 a second with bursts of 10. Source: Fly's documentation of the Machines API, "Rate limits". It names no
// limit for a whole client; all requests together are paced, so that a large fleet's do not come as one blow.
type limits struct {
	all     *rate.Limiter
	mu      sync.Mutex
	buckets map[limitKey]*rate.Limiter
}

const (
	clientRate  = 500 // requests a second
	clientBurst = 100
	// slack keeps requests apart that come closer together on their way, in shares of the time between two of them.
	slack = 0.05
)

type limitKey struct{ action, machine string }

const actionGet = "get"

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(clientRate, clientBurst), buckets: map[limitKey]*rate.Limiter{}}
}

// wait returns when r may be sent. It fails at once if ctx will have ended by then.
func (l *limits) wait(ctx context.Context, r request) error {
	err := l.bucket(limitKey{r.action, r.machine}).Wait(ctx)
	if err == nil {
		err = l.all.Wait(ctx)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the rate limit does not allow another request in time: %w", context.DeadlineExceeded)
	}
	return err
}

func (l *limits) bucket(key limitKey) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets[key]
	if !ok {
		bucket = rate.NewLimiter(1/(1+slack), 3)
		if key.action == actionGet {
			bucket = rate.NewLimiter(5/(1+slack), 10)
		}
		l.buckets[key] = bucket
	}
	return bucket
}

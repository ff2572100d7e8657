package fly

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/time/rate"
)

// limits keeps below what the Machines API allows: one request a second for each action on each machine, with bursts of
// 3, and 5 a second with bursts of 10 for getting a machine. Source: Fly's documentation of the Machines API, "Rate
// limits".
type limits struct {
	mu      sync.Mutex
	buckets map[limitKey]*rate.Limiter
}

type limitKey struct{ action, machine string }

const actionGet = "get"

func newLimits() *limits { return &limits{buckets: map[limitKey]*rate.Limiter{}} }

// wait until r may be sent, or fail at once where ctx ends before that.
func (l *limits) wait(ctx context.Context, r request) error {
	err := l.bucket(limitKey{r.action, r.machine}).Wait(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the rate limit leaves no time: %w", context.DeadlineExceeded)
	}
	return err
}

func (l *limits) bucket(key limitKey) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets[key]
	if !ok {
		bucket = rate.NewLimiter(1, 3)
		if key.action == actionGet {
			bucket = rate.NewLimiter(5, 10)
		}
		l.buckets[key] = bucket
	}
	return bucket
}

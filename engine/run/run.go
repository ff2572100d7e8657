// Package run has ways to run a piece of work: guarded against panics, again if its answer was lost, within a time, and for many
// items at once.
package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"flydeploy/engine"
)

// Guarded turns a panic of work into the problem "crash", so that a deploy is settled and the terminal restored.
func Guarded(work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = engine.NewProblem("crash", fmt.Sprintf("flydeploy itself has failed: %v\n%s", v, debug.Stack()), nil,
				"Please report this with the lines above. The machines are settled as after any failure.")
		}
	}()
	return work()
}

// Each runs work for every item, at most atOnce at a time. It gives the first error, with the name of its item, and says how many
// more there are. An error does not stop the work for other items. Once ctx has ended, no more work is started, and the items that
// are left have ctx's cause as their error.
func Each[T any](ctx context.Context, items []T, atOnce int, name func(T) string, work func(context.Context, T) error) error {
	errs := make([]error, len(items))
	var group errgroup.Group
	group.SetLimit(max(atOnce, 1))
	for i, item := range items {
		if errs[i] = context.Cause(ctx); errs[i] != nil {
			continue
		}
		group.Go(func() error {
			if errs[i] = context.Cause(ctx); errs[i] != nil { // meanwhile
				return nil
			}
			if err := Guarded(func() error { return work(ctx, item) }); err != nil {
				errs[i] = engine.AsProblem(err).WithPrefix(name(item))
			}
			return nil
		})
	}
	_ = group.Wait()
	return first(errs)
}

// first gives the first error and says how many more there are; nil if there is none.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	p := *engine.AsProblem(errs[0])
	p.What = fmt.Sprintf("%s; and %d more failed", p.What, len(errs)-1)
	return p.WithCause(errors.Join(errs...))
}

// The pauses between two tries of RetryUnknown.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 4 * time.Second
)

// RetryUnknown repeats a call, which must be safe to repeat, while its error is engine.ErrUnknownOutcome and until ctx ends. Each
// such error is given to lost, which may be nil. If ctx ends, the error is that of the last call.
func RetryUnknown[T any](ctx context.Context, lost func(error), call func() (T, error)) (T, error) {
	var last error
	try := func() (T, error) {
		result, err := call()
		if last = err; err != nil && !errors.Is(err, engine.ErrUnknownOutcome) {
			return result, backoff.Permanent(err)
		}
		return result, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = firstPause, longestPause, 2
	result, err := backoff.Retry(ctx, try, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, _ time.Duration) {
			if lost != nil {
				lost(err)
			}
		}))
	if err != nil && last != nil {
		return result, last
	}
	return result, err
}

// Within bounds a step by limit. If the time runs out, the error is the problem "timeout", with the step's last error and remedy. If
// ctx ends for another reason, the error is its cause.
func Within(ctx context.Context, limit time.Duration, remedy string, step func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := step(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded): // a lost lock, the operator
		return context.Cause(ctx)
	case bounded.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	what := fmt.Sprintf("did not finish within %s", limit)
	if ctx.Err() != nil {
		what = "did not finish in the remaining time"
	}
	if last := engine.AsProblem(err); !isTimeout(err) {
		what += "; the last answer: " + last.What
	}
	return engine.NewProblem("timeout", what, nil, remedy).WithCause(err)
}

// isTimeout reports whether err says nothing but that the time has run out.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, engine.ErrUnknownOutcome)
}

// Wait sleeps for d, or until ctx ends, and then gives ctx's cause.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Package run has the ways in which a deploy runs things: guarded against a panic, again where an answer was lost, within
// a time, and several at once.
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

// Guarded turns a panic into an error, so that a deploy settles and the terminal is restored whatever happens.
func Guarded(work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = engine.NewProblem("crash", fmt.Sprintf("flydeploy itself failed: %v\n%s", v, debug.Stack()), nil,
				"Please report this with the lines above. Machines are settled as after any failure.")
		}
	}()
	return work()
}

// Each runs work for every item, at most atOnce at a time, and gives the errors as one, each with the item's name. One
// item's error does not stop the others that have started. Once ctx has ended no more are started: those have ctx's cause as
// their error.
func Each[T any](ctx context.Context, items []T, atOnce int, name func(T) string, work func(context.Context, T) error) error {
	errs := make([]error, len(items))
	var group errgroup.Group
	group.SetLimit(max(atOnce, 1))
	for i, item := range items {
		if errs[i] = context.Cause(ctx); errs[i] != nil {
			continue
		}
		group.Go(func() error {
			if errs[i] = context.Cause(ctx); errs[i] != nil { // it had to wait for its turn
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

// first gives the first error and says how many more there are; nil where there is none.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	p := *engine.AsProblem(errs[0])
	p.What = fmt.Sprintf("%s; and %d more", p.What, len(errs)-1)
	return p.WithCause(errors.Join(errs...))
}

// The pauses between two tries of RetryUnknown: a platform that answers errors at once is not asked all the time.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 4 * time.Second
)

// RetryUnknown makes a call that may be made twice until its outcome is known, or until ctx ends: answers get lost. Each lost
// answer is told to lost, which may be nil. The error at ctx's end is that of the last call.
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

// Within bounds a step. Where the time ended it, the error says so, with what the step met last.
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
	what := fmt.Sprintf("nothing final within %s", limit)
	if ctx.Err() != nil {
		what = "nothing final in the time that was left"
	}
	if last := engine.AsProblem(err); !isTimeout(err) {
		what += "; the last answer: " + last.What
	}
	return engine.NewProblem("timeout", what, nil, remedy).WithCause(err)
}

// isTimeout: the error tells nothing but that the time was over.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, engine.ErrUnknownOutcome)
}

// Wait sleeps for d, or until ctx ends; then it gives ctx's cause.
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

package run_test

import (
	"context"
	"errors"
	"testing"

	"flydeploy/engine/run"
)

// Once the operator has stopped a deploy, no more work starts, whether a slot is free or becomes free.
func TestNothingStartsOnceItIsStopped(t *testing.T) {
	stopped := errors.New("stopped")
	for name, atOnce := range map[string]int{"all at once": 20, "in turn": 1} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			stop(stopped)
			started := 0
			err := run.Each(ctx, make([]int, 20), atOnce, func(int) string { return "" }, func(context.Context, int) error {
				started++
				return nil
			})
			if started > 0 || !errors.Is(err, stopped) {
				t.Errorf("%d started: %v", started, err)
			}
		})
	}
	t.Run("by the first", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		started := 0
		err := run.Each(ctx, make([]int, 20), 1, func(int) string { return "" }, func(context.Context, int) error {
			started++
			stop(stopped)
			return nil
		})
		if started != 1 || !errors.Is(err, stopped) {
			t.Errorf("%d started: %v", started, err)
		}
	})
}

package engine

import (
	"context"
	"errors"
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

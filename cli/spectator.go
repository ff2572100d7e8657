package cli

import (
	"context"
	"errors"

	"flydeploy/engine"
)

// spectator shows a deploy that it cannot change: one that another console runs, or a past one.
type spectator struct {
	engine.Source
	left   chan struct{}
	result func() (engine.Result, error)
}

func spectate(source engine.Source, result func() (engine.Result, error)) *spectator {
	return &spectator{Source: source, left: make(chan struct{}), result: result}
}

var errLeft = errors.New("left")

// Next implements plain.Deployment. Leaving ends the watching, not the deploy.
func (s *spectator) Next(ctx context.Context) ([]engine.Event, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-s.left:
			cancel(errLeft)
		case <-ctx.Done():
		}
	}()
	events, err := s.Source.Next(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errLeft) {
		err = errLeft
	}
	cancel(nil)
	<-watching
	return events, err
}

// Answer implements plain.Deployment: the owner answers.
func (s *spectator) Answer(engine.Answer) {}

// Stop implements plain.Deployment.
func (s *spectator) Stop() {
	select {
	case <-s.left:
	default:
		close(s.left)
	}
}

// Hurry implements plain.Deployment.
func (s *spectator) Hurry() { s.Stop() }

// Result implements plain.Deployment.
func (s *spectator) Result() engine.Result {
	r, err := s.result()
	if err != nil {
		r.Problem = engine.AsProblem(err)
	}
	return r
}

package tui

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// background runs the console's commands, so that none is still at work when Run returns. Bubble Tea itself does not
// wait for commands.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newBackground(ctx context.Context) *background {
	b := &background{}
	b.ctx, b.cancel = context.WithCancel(ctx)
	return b
}

// cmd turns work into a command, which does nothing once the console has ended. A panic becomes a message.
func (b *background) cmd(work func(context.Context) tea.Msg) tea.Cmd {
	return func() (msg tea.Msg) {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return nil
		}
		b.wg.Add(1)
		b.mu.Unlock()
		defer b.wg.Done()
		defer func() {
			if crash := caught(recover()); crash != nil {
				msg = crashMsg{crash}
			}
		}()
		return work(b.ctx)
	}
}

// after makes a command that waits before its work.
func (b *background) after(d time.Duration, work func(context.Context) tea.Msg) tea.Cmd {
	return b.cmd(func(ctx context.Context) tea.Msg {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return work(ctx)
		}
	})
}

func (b *background) end() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// session connects one deploy to the console: ours, or somebody else's that is only watched. What its commands bring
// waits here rather than in messages, so that nothing is lost when the console ends between a command and its message.
type session struct {
	mu     sync.Mutex
	source engine.Source
	d      plain.Deployment                             // nil where the deploy is not ours
	ended  func(context.Context) (engine.Result, error) // of a deploy that is not ours, nil where nobody can tell
	events []engine.Event
	result *engine.Result
}

// startedMsg says that the deploy runs, or why it does not.
type startedMsg struct {
	of  *session
	err error
}

// newsMsg says that events wait in the session. err is why a watched deploy cannot be followed any more.
type newsMsg struct {
	of   *session
	over bool
	err  error
}

// readEvery is the shortest time between two reads of a feed, which merges what comes in between.
const readEvery = 100 * time.Millisecond

func (s *session) start(b *background, deploy func() (plain.Deployment, error)) tea.Cmd {
	return b.cmd(func(context.Context) tea.Msg {
		d, err := deploy()
		if err == nil {
			s.follow(d)
		}
		return startedMsg{of: s, err: err}
	})
}

func (s *session) follow(d plain.Deployment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.d, s.source = d, d
}

func (s *session) deployment() plain.Deployment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d
}

// read waits for the next events, and after the last ones for the result.
func (s *session) read(b *background, wait time.Duration) tea.Cmd {
	s.mu.Lock()
	source, d, ended := s.source, s.d, s.ended
	s.mu.Unlock()
	return b.after(wait, func(ctx context.Context) tea.Msg {
		events, err := source.Next(ctx)
		news := newsMsg{of: s, over: err != nil}
		var result *engine.Result
		switch {
		case !errors.Is(err, io.EOF):
			news.err = err
		case d != nil:
			r := d.Result()
			result = &r
		case ended != nil:
			if r, err := ended(ctx); err == nil && r.Outcome != engine.OutcomeUnfinished {
				result = &r
			}
		}
		s.mu.Lock()
		s.events, s.result = append(s.events, events...), result
		s.mu.Unlock()
		return news
	})
}

// take gives what has come in since the last call.
func (s *session) take() ([]engine.Event, *engine.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events, s.result
}

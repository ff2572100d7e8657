package tuitest

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flydeploy/engine"
)

// Stopped reports whether the deploy was stopped.
func Stopped(p *Player) bool {
	select {
	case <-p.stopped:
		return true
	default:
		return false
	}
}

// Confirmed plays a script as a deploy with --yes would go: nobody is asked.
func Confirmed(before, after []engine.Event, end engine.Result) *Player {
	p := Play(append(append([]engine.Event{}, before...), after...), nil, end)
	p.asked, p.Batch = true, 1
	return p
}

// Player is a Deployment that plays a script; it stands at the plan's question until it is answered.
type Player struct {
	Before, after []engine.Event
	end           engine.Result
	Batch         int           // events for each Next
	pace          time.Duration // before each batch
	asked         bool

	mu       sync.Mutex
	answers  []engine.Answer
	answered chan engine.Answer
	stopped  chan struct{}
	stopOnce sync.Once
	Hurried  atomic.Bool
}

// Play makes a player: before up to the question, after once it is confirmed.
func Play(before, after []engine.Event, end engine.Result) *Player {
	return &Player{Before: before, after: after, end: end, Batch: 50, answered: make(chan engine.Answer, 1), stopped: make(chan struct{})}
}

// Next implements plain.Deployment.
func (p *Player) Next(ctx context.Context) ([]engine.Event, error) {
	if p.pace > 0 {
		time.Sleep(p.pace)
	}
	if len(p.Before) == 0 && !p.asked {
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
	if len(p.Before) == 0 {
		return nil, io.EOF
	}
	n := min(p.Batch, len(p.Before))
	out := p.Before[:n]
	p.Before = p.Before[n:]
	return out, nil
}

func (p *Player) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		p.end.Outcome = engine.OutcomeCancelled
	case a := <-p.answered:
		if a.Proceed {
			p.Before = p.after
		} else {
			p.end.Outcome = engine.OutcomeCancelled
		}
	}
	p.asked = true
	return nil
}

// Answer implements plain.Deployment.
func (p *Player) Answer(a engine.Answer) {
	p.mu.Lock()
	p.answers = append(p.answers, a)
	p.mu.Unlock()
	select {
	case p.answered <- a:
	default:
	}
}

// Given are the answers so far.
func (p *Player) Given() []engine.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]engine.Answer(nil), p.answers...)
}

// Stop implements plain.Deployment.
func (p *Player) Stop() { p.stopOnce.Do(func() { close(p.stopped) }) }

// Hurry implements plain.Deployment.
func (p *Player) Hurry() { p.Hurried.Store(true) }

// Result implements plain.Deployment.
func (p *Player) Result() engine.Result { return p.end }

// Recorded is the whole stream of a scripted deploy.
func Recorded(before, after []engine.Event, _ engine.Result) []engine.Event {
	return append(slices.Clone(before), after...)
}

// Stream is the events of a deploy that somebody else runs, all there at once.
type Stream struct{ events []engine.Event }

// PlayRecorded makes a stream of events.
func PlayRecorded(events []engine.Event) *Stream { return &Stream{events} }

// Next implements engine.Source.
func (s *Stream) Next(context.Context) ([]engine.Event, error) {
	if len(s.events) == 0 {
		return nil, io.EOF
	}
	events := s.events
	s.events = nil
	return events, nil
}

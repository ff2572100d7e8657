package record

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"

	"flydeploy/engine"
)

// MaxPendingLogs is how many lines of output wait for a slow reader. The oldest ones are dropped first; the record in the bucket
// keeps them.
const MaxPendingLogs = 1000

// Feed hands events to one reader and never makes the deploy wait. If the reader is slow, a newer state of the same (machine,
// attempt, phase) replaces the one that waits.
type Feed struct {
	mu     sync.Mutex
	order  []eventKey // phases that wait, oldest first
	latest map[eventKey]engine.Event
	logs   []engine.Event
	closed bool
	wake   chan struct{}
}

type eventKey struct {
	machine string
	attempt int
	phase   engine.Phase
}

// NewFeed makes an empty feed.
func NewFeed() *Feed {
	return &Feed{latest: map[eventKey]engine.Event{}, wake: make(chan struct{}, 1)}
}

// Publish adds an event. It never blocks.
func (f *Feed) Publish(e engine.Event) {
	f.mu.Lock()
	if e.Log != "" {
		if len(f.logs) == MaxPendingLogs {
			f.logs = f.logs[1:]
		}
		f.logs = append(f.logs, e)
	} else {
		k := eventKey{e.Machine, e.Attempt, e.Phase}
		waiting, ok := f.latest[k]
		if !ok {
			f.order = append(f.order, k)
		}
		f.latest[k] = e.MergedWith(waiting)
	}
	f.mu.Unlock()
	f.signal()
}

// Close ends the feed: Next still gives what waits, and then io.EOF.
func (f *Feed) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.signal()
}

func (f *Feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Next waits for events and gives all that there are, by Seq; io.EOF after the last one.
func (f *Feed) Next(ctx context.Context) ([]engine.Event, error) {
	for {
		if batch, closed := f.take(); len(batch) > 0 {
			return batch, nil
		} else if closed {
			f.signal() // for another reader that waits
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.wake:
		}
	}
}

// take gives the events that wait, by Seq, and whether the feed is closed.
func (f *Feed) take() (batch []engine.Event, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch = f.logs
	f.logs = nil
	for _, k := range f.order {
		batch = append(batch, f.latest[k])
	}
	f.order = nil
	clear(f.latest)
	slices.SortFunc(batch, func(a, b engine.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return batch, f.closed
}

package engine

import (
	"context"
	"io"
	"sync"
)

// maxPendingLogs bounds the lines of output that wait for a slow reader; older ones are dropped first. The record in
// the bucket keeps all of them.
const maxPendingLogs = 1000

// Feed hands events from the engine to one reader without ever making the engine wait. While the reader is slow, a
// newer state of the same (machine, attempt, phase) takes the place of the one that waits.
type Feed struct {
	mu     sync.Mutex
	order  []eventKey // phases that wait, oldest first
	latest map[eventKey]Event
	logs   []Event
	closed bool
	wake   chan struct{}
}

type eventKey struct {
	machine string
	attempt int
	phase   Phase
}

// NewFeed makes an empty feed.
func NewFeed() *Feed {
	return &Feed{latest: map[eventKey]Event{}, wake: make(chan struct{}, 1)}
}

func (f *Feed) publish(e Event) {
	f.mu.Lock()
	if e.Log != "" {
		if len(f.logs) == maxPendingLogs {
			f.logs = f.logs[1:]
		}
		f.logs = append(f.logs, e)
	} else {
		k := eventKey{e.Machine, e.Attempt, e.Phase}
		waiting, ok := f.latest[k]
		if !ok {
			f.order = append(f.order, k)
		}
		f.latest[k] = e.keeping(waiting)
	}
	f.mu.Unlock()
	f.signal()
}

// keeping carries over what only an earlier event of the phase told, so that merging two events loses nothing.
func (e Event) keeping(earlier Event) Event {
	if e.Facts == nil {
		e.Facts = earlier.Facts
	}
	if e.Plan == nil {
		e.Plan = earlier.Plan
	}
	if e.Report == nil {
		e.Report = earlier.Report
	}
	if e.Upgrade == nil {
		e.Upgrade = earlier.Upgrade
	}
	return e
}

func (f *Feed) close() {
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

// Next waits for events and gives all that are there, lines of output first. io.EOF after the last one.
func (f *Feed) Next(ctx context.Context) ([]Event, error) {
	for {
		if batch, closed := f.take(); len(batch) > 0 {
			return batch, nil
		} else if closed {
			f.signal() // another reader that waits shall see the end as well
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.wake:
		}
	}
}

func (f *Feed) take() (batch []Event, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch = f.logs
	f.logs = nil
	for _, k := range f.order {
		batch = append(batch, f.latest[k])
	}
	f.order = nil
	clear(f.latest)
	return batch, f.closed
}

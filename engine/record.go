package engine

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// recorder numbers the events of one deploy, keeps the whole stream for the history, and hands each on to the feed.
type recorder struct {
	feed *Feed

	mu     sync.Mutex
	seq    int64
	stream []byte // one JSON object a line
	last   map[eventKey]Event
	closed bool
}

func newRecorder(feed *Feed) *recorder {
	return &recorder{feed: feed, last: map[eventKey]Event{}}
}

// emit completes the event with what the phase's earlier events said (its start), and with its duration once it ends.
func (r *recorder) emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.seq++
	e.V, e.Seq, e.Attempt = EventVersion, r.seq, max(e.Attempt, 1)
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Log == "" {
		r.time(&e)
	}
	if line, err := json.Marshal(e); err == nil {
		r.stream = append(append(r.stream, line...), '\n')
	}
	r.feed.publish(e)
}

func (r *recorder) time(e *Event) {
	key := eventKey{e.Machine, e.Attempt, e.Phase}
	before, started := r.last[key]
	if e.StartedAt.IsZero() && e.Status != StatusPending && e.Status != StatusSkipped {
		e.StartedAt = e.At
		if started && !before.StartedAt.IsZero() {
			e.StartedAt = before.StartedAt
		}
	}
	if e.DurationUS == 0 && e.Status.Final() && !e.StartedAt.IsZero() {
		e.DurationUS = e.At.Sub(e.StartedAt).Microseconds()
	}
	r.last[key] = *e
}

// output records one line that a command printed, without colours and control characters.
func (r *recorder) output(phase Phase, line string) {
	if line = printableLine(line); strings.TrimSpace(line) != "" {
		r.emit(Event{Phase: phase, Status: StatusRunning, Log: line})
	}
}

func printableLine(line string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return -1
		}
		return c
	}, ansi.Strip(line))
}

// events gives the stream so far.
func (r *recorder) events() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]byte(nil), r.stream...)
}

func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.feed.close()
}

package record

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
)

const (
	// pieceSize is the size, in bytes, at which a stream goes on in another piece. The last piece is written again and again.
	pieceSize = 256 << 10
	// maxRecordedOutput is how many bytes of output lines a record holds at most. States are always recorded.
	maxRecordedOutput = 8 << 20
	// planLine is how many bytes of a plan's lists one event of a stream holds, about.
	planLine = 128 << 10
)

// Recorder numbers the events of one deploy, keeps the whole stream, and hands each event on to the feed.
type Recorder struct {
	feed *Feed

	mu       sync.Mutex
	seq      int64
	pieces   pieces // one JSON object per line
	output   int    // bytes of output lines in pieces
	times    map[eventKey]times
	progress *engine.Progress
	planned  *engine.Plan // the last one that is in the stream in parts
	closed   bool
	news     chan struct{} // closed with the next event, for readers of Stream
}

// times of a phase.
type times struct {
	started time.Time // that the last event has told, perhaps by a machine's clock
	began   time.Time // by ours
}

// NewRecorder makes a recorder that hands its events to feed, and closes it.
func NewRecorder(feed *Feed) *Recorder {
	return &Recorder{feed: feed, times: map[eventKey]times{}, progress: engine.NewBriefProgress(), news: make(chan struct{})}
}

// Emit numbers and records an event. It sets the phase's StartedAt from earlier events and, at its end, its DurationUS. After Close
// it does nothing.
func (r *Recorder) Emit(e engine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	e.V, e.Attempt = engine.EventVersion, max(e.Attempt, 1)
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.Log == "" {
		r.time(&e)
	}
	for _, part := range r.inParts(e) {
		r.seq++
		part.Seq = r.seq
		r.keep(part)
	}
	e.Seq = r.seq
	r.progress.Apply(e)
	r.wakeReaders()
	r.feed.Publish(e)
}

// inParts gives the events as which the stream has e. A plan that comes in parts is there once, with the first event that carries it.
func (r *Recorder) inParts(e engine.Event) []engine.Event {
	if e.Plan != nil && e.Plan == r.planned {
		e.Plan = nil
	}
	parts := e.InParts(planLine)
	if len(parts) > 1 {
		r.planned = e.Plan
	}
	return parts
}

// keep appends an event to the stream.
func (r *Recorder) keep(e engine.Event) {
	if e.Log != "" && r.output > maxRecordedOutput {
		return
	}
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	if e.Log != "" {
		r.output += len(line)
	}
	r.line(line)
}

// line appends one line to the last piece, or to a new one if that is full.
func (r *Recorder) line(line []byte) {
	if len(r.pieces.last) > pieceSize {
		r.pieces.last = appendLine(r.pieces.last, struct {
			V    int    `json:"v"`
			Type string `json:"type"`
		}{engine.EventVersion, lineContinued})
		r.pieces.next()
	}
	r.pieces.last = append(append(r.pieces.last, line...), '\n')
}

func appendLine(body []byte, v any) []byte {
	line, _ := json.Marshal(v)
	return append(append(body, line...), '\n')
}

// time sets the event's StartedAt and DurationUS.
func (r *Recorder) time(e *engine.Event) {
	key := eventKey{e.Machine, e.Attempt, e.Phase}
	t := r.times[key]
	begins := e.Status != engine.StatusPending && e.Status != engine.StatusSkipped
	if e.StartedAt.IsZero() && begins {
		e.StartedAt = cmp.Or(t.started, e.At)
	}
	switch {
	case t.began.IsZero() && begins:
		t.began = e.At
	case !t.began.IsZero() && e.DurationUS == 0 && e.Status.Final():
		e.DurationUS = e.At.Sub(t.began).Microseconds()
	}
	t.started = e.StartedAt
	r.times[key] = t
}

// Log records one line that a command printed, without colours and control characters.
func (r *Recorder) Log(phase engine.Phase, line string) {
	if line = text.Line(line); strings.TrimSpace(line) != "" {
		r.Emit(engine.Event{Phase: phase, Status: engine.StatusRunning, Log: line})
	}
}

// piece gives the n-th piece of the stream, from 1, and whether it is complete, because another one follows.
func (r *Recorder) piece(n int) (body []byte, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pieces.at(n - 1), n < r.pieces.count()
}

// Past gives a summary of the deploy so far, and its upgrade.
func (r *Recorder) Past() (engine.Past, engine.Upgrade) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.progress.Upgrade
	past := engine.Past{
		ID: u.ID, Version: u.Version, Owner: u.Owner, Host: u.Host, Message: u.Message, GitRevision: u.GitRevision, CILink: u.CILink,
		Running: true,
	}
	if p := r.progress.Plan; p != nil {
		past.Verdict = p.Verdict
	}
	for _, m := range r.progress.Machines {
		if s := m.Phases[engine.PhaseInject].Status; s == "" || s == engine.StatusSkipped { // it has come later, or runs no release
			continue
		}
		past.Machines++
		past.MaxSuspendedUS = max(past.MaxSuspendedUS, m.Report.SuspendedUS)
		if m.State.Outcome(m.Report.UpToDate).Upgraded() {
			past.Upgraded++
		}
	}
	return past, u
}

// end appends the deploy's result, the stream's last line.
func (r *Recorder) end(result engine.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line, err := json.Marshal(result); err == nil {
		r.line(line)
	}
}

// Close ends the stream and closes the feed.
func (r *Recorder) Close() {
	r.mu.Lock()
	r.closed = true
	r.wakeReaders()
	r.mu.Unlock()
	r.feed.Close()
}

func (r *Recorder) wakeReaders() {
	close(r.news)
	r.news = make(chan struct{})
}

// Stream gives a new reader of every event from the first on, unmerged, as the record in the bucket holds them.
func (r *Recorder) Stream() engine.Source { return &stream{rec: r} }

// stream is one reader's place in the recorded events.
type stream struct {
	rec       *Recorder
	piece, at int
}

// Next implements engine.Source.
func (s *stream) Next(ctx context.Context) ([]engine.Event, error) {
	for {
		fresh, news, closed := s.take()
		if len(fresh) > 0 {
			p, err := parsePiece(fresh)
			if err != nil || len(p.events) > 0 {
				return p.events, err
			}
			continue
		}
		if closed {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-news:
		}
	}
}

// take gives the lines that were not read yet, and what to wait for if there are none.
func (s *stream) take() (fresh []byte, news <-chan struct{}, closed bool) {
	r := s.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.pieces.count() - 1
	for ; s.piece < last; s.piece, s.at = s.piece+1, 0 {
		fresh = append(fresh, r.pieces.at(s.piece)[s.at:]...)
	}
	fresh = append(fresh, r.pieces.last[s.at:]...)
	s.at = len(r.pieces.last)
	return fresh, r.news, r.closed
}

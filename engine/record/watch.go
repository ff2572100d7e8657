package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
)

// Watch follows the stream of a deploy that another console writes, with a pause of every between two looks. If that console dies,
// the stream ends with the problem "silent".
func Watch(records engine.Results, upgradeID string, every time.Duration) engine.Source {
	return &follower{records: records, id: upgradeID, every: every, piece: 1}
}

// follower reads the last piece of a stream again and again, and hands on what is new in it.
type follower struct {
	records engine.Results
	id      string
	every   time.Duration

	piece   int
	read    int   // bytes of the piece that need not be looked at again: it only grows
	seq     int64 // of the last event that was handed on
	ended   bool
	missing time.Time // since when there is nothing to read; zero if there is
}

// Next implements engine.Source.
func (f *follower) Next(ctx context.Context) ([]engine.Event, error) {
	for {
		if f.ended {
			return nil, io.EOF
		}
		fresh, err := f.look(ctx)
		if err != nil || len(fresh) > 0 {
			return fresh, err
		}
		if f.ended {
			continue
		}
		if err := run.Wait(ctx, f.every); err != nil {
			return nil, err
		}
	}
}

// look reads the current piece and those that follow it, and gives the events that were not handed on yet.
func (f *follower) look(ctx context.Context) ([]engine.Event, error) {
	var fresh []engine.Event
	for {
		doc, err := f.records.Result(ctx, f.id, pieceName(f.piece))
		if err != nil {
			return fresh, f.patience(ctx, err)
		}
		if doc.Age <= silentAfter { // otherwise alive must read the record as well
			f.missing = time.Time{}
		}
		p, err := parsePiece(f.unread(doc.Body))
		if err != nil {
			return nil, err
		}
		for _, e := range p.events {
			if e.Seq > f.seq {
				fresh, f.seq = append(fresh, e), e.Seq
			}
		}
		switch {
		case p.continued:
			f.piece, f.read = f.piece+1, 0
		case p.result != nil:
			f.ended = true
			return fresh, nil
		case len(fresh) == 0 && doc.Age > silentAfter:
			return nil, f.alive(ctx, doc.Age)
		default:
			return fresh, nil
		}
	}
}

// unread gives the lines of a piece that were not read yet. The last one may be cut off: it is read again.
func (f *follower) unread(body []byte) []byte {
	fresh := body[min(f.read, len(body)):]
	f.read += bytes.LastIndexByte(fresh, '\n') + 1
	return fresh
}

// alive gives nil if the console of a deploy without events is alive, since it still writes the record. quiet is how long there was
// no event.
func (f *follower) alive(ctx context.Context, quiet time.Duration) error {
	r, err := Read(ctx, f.records, f.id)
	switch {
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		return f.patience(ctx, err)
	case r.Running:
		f.missing = time.Time{}
		return nil
	}
	return silentProblem(f.id, quiet)
}

const (
	// startsWithin is how long a record may take to begin after its lock was taken.
	startsWithin = 10 * time.Second
	// answersWithin is how long the bucket may fail to answer.
	answersWithin = 60 * time.Second
)

// patience gives nil while it is worth looking again after err, or else the error that ends the stream.
func (f *follower) patience(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.missing.IsZero() {
		f.missing = time.Now()
	}
	within, since := answersWithin, time.Since(f.missing)
	switch {
	case errors.Is(err, engine.ErrNotFound) && f.piece > 1:
		within, err = silentAfter, silentProblem(f.id, since)
	case errors.Is(err, engine.ErrNotFound):
		within, err = startsWithin, NoRecordProblem(f.id, err)
	}
	if since < within {
		return nil
	}
	return err
}

func silentProblem(id string, age time.Duration) *engine.Problem {
	return engine.NewProblem("silent", fmt.Sprintf("the console of deploy %s has written nothing for %s: it was killed, or has lost its network", id, age.Round(time.Second)), nil,
		"`flydeploy lock show` shows who holds the lock. Once it is free, `flydeploy hot --resume` finishes the deploy.")
}

// Replay gives the events of an earlier deploy at their own pace times speed; all at once if speed is 0.
func Replay(events []engine.Event, speed float64) engine.Source {
	return &replay{events: events, speed: speed}
}

type replay struct {
	events []engine.Event
	speed  float64
	// started is when the first event was handed out, and began the time of that event.
	started, began time.Time
}

// Next implements engine.Source.
func (r *replay) Next(ctx context.Context) ([]engine.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(r.events) == 0 {
		return nil, io.EOF
	}
	if r.started.IsZero() {
		r.started, r.began = time.Now(), r.events[0].At
	}
	pause := r.until(r.events[0])
	if pause > longestPause { // its time is damaged: go on from there
		r.started, r.began, pause = time.Now(), r.events[0].At, 0
	}
	if err := run.Wait(ctx, pause); err != nil {
		return nil, err
	}
	n := 1
	for n < len(r.events) && r.until(r.events[n]) <= 0 {
		n++
	}
	due := r.events[:n:n]
	r.events = r.events[n:]
	return due, nil
}

// longestPause is more than a deploy can be without an event: an operator has ten minutes to confirm its plan.
const longestPause = 30 * time.Minute

// until is the time until an event is due.
func (r *replay) until(e engine.Event) time.Duration {
	if r.speed <= 0 {
		return 0
	}
	offset := time.Duration(float64(e.At.Sub(r.began)) / r.speed)
	return time.Until(r.started.Add(offset))
}

// Package record has what is kept of deploys: their streams of events, and the records in the bucket that history, watch and replay
// read. It also withdraws upgrades from current.json.
package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/text"

	"golang.org/x/sync/errgroup"
)

// The files of one deploy below releases/<app>-results/<upgrade ID>/, apart from those of its machines. Since an object cannot be
// appended to, the stream of events is written in pieces: events.ndjson, events-2.ndjson, ….
const (
	recordFile = "deploy.json"
	beforeFile = "before.json"
	eventsFile = "events.ndjson"
)

// A console writes the record of its deploy at least every touchEvery. If it was not written for silentAfter, by the bucket's clock,
// the console is dead.
const (
	silentAfter = 60 * time.Second
	touchEvery  = 10 * time.Second
)

// Record is deploy.json. Readers ignore unknown fields.
type Record struct {
	V int `json:"v"`
	engine.Past
	Upgrade  engine.Upgrade   `json:"upgrade"`
	Select   engine.Selection `json:"select"`
	Strategy *engine.Strategy `json:"strategy,omitempty"` // nil in records of older versions
	Overrode *engine.LockInfo `json:"overrode,omitempty"` // the lock that this deploy took by force
	Resumes  []string         `json:"resumes,omitempty"`  // IDs of the deploys with which this one goes on, the first one first
	// Before is current.json as the first of these deploys found it: a file of its own, see ReadBefore.
	Before *engine.Metadata `json:"-"`
}

// ReadBefore gives current.json as a deploy found it, or the first of those that it resumes; nil if that is not known.
func ReadBefore(ctx context.Context, records engine.Results, id string) (*engine.Metadata, error) {
	doc, err := records.Result(ctx, id, beforeFile)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what ran before deploy %s: %w", id, err)
	}
	md, err := engine.DecodeMetadata(text.JSON(doc.Body))
	if err != nil {
		return nil, nil
	}
	return &md, nil
}

// historyAtOnce is how many records are read at the same time.
const historyAtOnce = 8

// History gives the recorded deploys, newest first: at most limit, or all if that is 0.
func History(ctx context.Context, records engine.Records, limit int) ([]engine.Past, error) {
	ids, err := records.Upgrades(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the recorded deploys: %w", err)
	}
	if limit > 0 && len(ids) > limit {
		ids = ids[:limit]
	}
	found := make([]*engine.Past, len(ids))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(historyAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			return run.Guarded(func() error {
				r, err := Read(reading, records, id)
				if err == nil {
					found[i] = &r.Past
				} else if !errors.Is(err, engine.ErrNotFound) { // fly_deploy's own results have no record
					return err
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := addBootLoops(ctx, records, found); err != nil {
		return nil, err
	}
	if err := addTrial(ctx, records, found); err != nil {
		return nil, err
	}
	past := make([]engine.Past, 0, len(found))
	for _, p := range slices.DeleteFunc(found, func(p *engine.Past) bool { return p == nil }) {
		past = append(past, *p)
	}
	return past, nil
}

// Read reads a deploy's record; engine.ErrNotFound if there is none. If it is damaged, only its ID is known, and its outcome is
// "unreadable"; if its console has died, its outcome is "unfinished".
func Read(ctx context.Context, records engine.Results, id string) (Record, error) {
	doc, err := records.Result(ctx, id, recordFile)
	if err != nil {
		return Record{}, fmt.Errorf("read the record of deploy %s: %w", id, err)
	}
	var r Record
	if err := json.Unmarshal(text.JSON(doc.Body), &r); err != nil {
		r = Record{Past: engine.Past{Outcome: engine.OutcomeUnreadable}}
	}
	r.ID, r.Address = id, doc.Address
	if r.Running && doc.Age > silentAfter {
		r.Running, r.Outcome = false, engine.OutcomeUnfinished
	}
	return r, nil
}

// ReadEvents gives a deploy's events, as far as they were written, and its result, nil if it was not written. The problem
// "no_record" says that there is no such deploy.
func ReadEvents(ctx context.Context, records engine.Results, upgradeID string) ([]engine.Event, *engine.Result, error) {
	var events []engine.Event
	var result *engine.Result
	err := eachPiece(ctx, records, upgradeID, func(p piece) { events, result = append(events, p.events...), p.result })
	return events, result, err
}

// ReadResult gives the result of a recorded deploy. If none was written, it holds what the record says, with the outcome
// "unfinished" if that has none.
func ReadResult(ctx context.Context, records engine.Results, upgradeID string) (engine.Result, error) {
	_, result, err := ReadEvents(ctx, records, upgradeID)
	switch {
	case err != nil:
		return engine.Result{}, err
	case result != nil:
		return *result, nil
	}
	r, err := Read(ctx, records, upgradeID)
	return engine.Result{V: engine.EventVersion, Type: lineResult, Outcome: cmp.Or(r.Outcome, engine.OutcomeUnfinished), Upgrade: r.Upgrade, Machines: []engine.MachineResult{}}, err
}

// eachPiece reads a deploy's stream and gives its pieces to see, from the first to the last that was written.
func eachPiece(ctx context.Context, records engine.Results, upgradeID string, see func(piece)) error {
	for n := 1; ; n++ {
		doc, err := records.Result(ctx, upgradeID, pieceName(n))
		switch {
		case errors.Is(err, engine.ErrNotFound) && n > 1:
			return nil
		case errors.Is(err, engine.ErrNotFound):
			return NoRecordProblem(upgradeID, err)
		case err != nil:
			return fmt.Errorf("read the events of deploy %s: %w", upgradeID, err)
		}
		p, err := parsePiece(doc.Body)
		if err != nil {
			return fmt.Errorf("read the events of deploy %s: %w", upgradeID, err)
		}
		see(p)
		if !p.continued {
			return nil
		}
	}
}

// ParseEvents parses a stream: the output of --output json, or a file of the record. result is nil if the stream ends before the
// deploy has.
func ParseEvents(stream []byte) (events []engine.Event, result *engine.Result, err error) {
	p, err := parsePiece(stream)
	if err == nil && len(p.events) == 0 {
		err = engine.NewProblem("no_events", "it contains no events of a deploy", nil,
			"Give the output of `flydeploy hot --output json`, or events.ndjson from the results in the bucket.")
	}
	return p.events, p.result, err
}

// NoRecordProblem says that a deploy is not recorded; err is its cause.
func NoRecordProblem(id string, err error) *engine.Problem {
	return engine.NewProblem("no_record", "there is no record of deploy "+id, nil, "`flydeploy history` lists the recorded deploys.").WithCause(err)
}

func pieceName(n int) string {
	if n == 1 {
		return eventsFile
	}
	return fmt.Sprintf("events-%d.ndjson", n)
}

// piece is one parsed object or file of a stream.
type piece struct {
	events    []engine.Event
	result    *engine.Result // the last line, if the deploy has ended
	continued bool           // another piece follows
}

// The types of lines that are not events.
const (
	lineResult    = "result"
	lineContinued = "continued"
)

// parsePiece parses a stream. It skips lines that are damaged or cut off, as the last one may be, and lines of unknown types.
func parsePiece(body []byte) (piece, error) {
	var p piece
	for line := range bytes.Lines(body) {
		line = text.JSON(line)
		var head struct {
			V    int    `json:"v"`
			Type string `json:"type"`
		}
		if json.Unmarshal(line, &head) != nil {
			continue
		}
		if head.V > engine.EventVersion {
			return p, newerVersionProblem(head.V)
		}
		switch head.Type {
		case "":
			var e engine.Event
			if json.Unmarshal(line, &e) == nil && e.Phase != "" {
				p.events = append(p.events, e)
			}
		case lineResult:
			var r engine.Result
			if json.Unmarshal(line, &r) == nil {
				p.result = &r
			}
		case lineContinued:
			p.continued = true
		}
	}
	return p, nil
}

func newerVersionProblem(v int) *engine.Problem {
	return engine.NewProblem("newer_version", fmt.Sprintf("the record was written by a newer flydeploy (format %d, known here: %d)", v, engine.EventVersion), nil,
		"Install the current flydeploy.")
}

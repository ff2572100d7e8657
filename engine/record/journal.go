package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// writeEvery is the pause between two writes of the record. With it another console sees what happens within two seconds.
const writeEvery = 700 * time.Millisecond

// whyMost is the most runes of a problem that the list of deploys has; the stream has all of it.
const whyMost = 300

// Journal writes a deploy's record into the bucket during the deploy: the stream of events piece by piece, and deploy.json, which
// is written now and then even without news, so that readers can tell that the console is alive. The deploy never waits for it.
type Journal struct {
	records engine.Results
	rec     *Recorder
	head    Record // the parts of deploy.json that do not change

	abort  context.CancelFunc // ends a write that hangs
	ending chan struct{}
	done   sync.WaitGroup

	piece    int       // number of the piece that is being written, from 1
	written  int       // how many of its bytes are in the bucket
	record   Record    // deploy.json as it was last written
	recordAt time.Time // when that was
	kept     bool      // what ran before is in the bucket
}

// StartJournal begins the record of a deploy that has just taken the lock. head holds its ID, when it began, its selection and
// strategy, and the lock that it has overridden. The end of ctx does not end the record: Finish must be called.
func StartJournal(ctx context.Context, records engine.Results, rec *Recorder, head Record) *Journal {
	ctx, abort := context.WithCancel(context.WithoutCancel(ctx))
	head.V = engine.EventVersion
	j := &Journal{records: records, rec: rec, head: head, piece: 1, abort: abort, ending: make(chan struct{})}
	j.done.Go(func() {
		if err := run.Guarded(func() error { j.run(ctx); return nil }); err != nil {
			rec.Log(engine.PhaseResults, err.Error())
		}
	})
	return j
}

func (j *Journal) run(ctx context.Context) {
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := j.write(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			j.rec.Log(engine.PhaseResults, fmt.Sprintf("the record cannot be written now, so others cannot watch this deploy: %v", err))
		}
		failing = err != nil
		select {
		case <-j.ending:
			return
		case <-ticker.C:
		}
	}
}

// write brings the bucket up to date.
func (j *Journal) write(ctx context.Context) error {
	past, upgrade := j.rec.Past()
	return errors.Join(j.writeBefore(ctx), j.writeEvents(ctx), j.writeRecord(ctx, past, upgrade))
}

// writeBefore keeps what ran before the deploy, once: it may take long lists of machines.
func (j *Journal) writeBefore(ctx context.Context) error {
	if j.kept || j.head.Before == nil || !j.head.Before.NamesUpgrades() {
		return nil
	}
	body, err := engine.EncodeMetadata(*j.head.Before)
	if err != nil {
		return err
	}
	if err := j.records.WriteResult(ctx, j.head.ID, beforeFile, append(body, '\n')); err != nil {
		return fmt.Errorf("write what ran before: %w", err)
	}
	j.kept = true
	return nil
}

func (j *Journal) writeEvents(ctx context.Context) error {
	for {
		body, complete := j.rec.piece(j.piece)
		if len(body) > j.written {
			if err := j.records.WriteResult(ctx, j.head.ID, pieceName(j.piece), body); err != nil {
				return fmt.Errorf("write the events: %w", err)
			}
			j.written = len(body)
		}
		if !complete {
			return nil
		}
		j.piece, j.written = j.piece+1, 0
	}
}

func (j *Journal) writeRecord(ctx context.Context, past engine.Past, upgrade engine.Upgrade) error {
	r := j.head
	past.ID, past.At, past.TrialEnd, past.Tried = j.head.ID, j.head.At, j.head.TrialEnd, j.head.Tried
	r.Past, r.Upgrade = past, upgrade
	if reflect.DeepEqual(r, j.record) && time.Since(j.recordAt) < touchEvery {
		return nil
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := j.records.WriteResult(ctx, j.head.ID, recordFile, append(body, '\n')); err != nil {
		return fmt.Errorf("write deploy.json: %w", err)
	}
	j.record, j.recordAt = r, time.Now()
	return nil
}

// Finish completes the record with the deploy's result. It first waits for a write that is under way, which could otherwise arrive
// later and be the last. ctx bounds it.
func (j *Journal) Finish(ctx context.Context, result engine.Result) error {
	close(j.ending)
	forget := context.AfterFunc(ctx, j.abort)
	j.done.Wait()
	forget()
	j.abort()
	j.rec.end(result)
	past, upgrade := j.rec.Past()
	past.Running, past.Outcome, past.DurationMS, past.WaitedMS = false, result.Outcome, result.DurationMS, result.WaitedMS
	past.Health, past.Stopped, past.Cold = result.Health, result.IsWilful(), result.Cold
	if result.Problem != nil {
		past.Why = text.Shorten(text.Line(result.Problem.What), whyMost)
	}
	return errors.Join(j.writeEvents(ctx), j.writeRecord(ctx, past, upgrade))
}

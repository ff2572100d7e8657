package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// writeEvery bounds how often the record is written. With it a second terminal sees what happens within two seconds.
const writeEvery = 700 * time.Millisecond

// journal writes a deploy's record into the bucket while the deploy goes on: the stream of events piece by piece, and
// deploy.json, which is touched now and then so that readers know a deploy that lives from one whose console was killed.
// The deploy never waits for it.
type journal struct {
	records Records
	id      string
	rec     *recorder
	head    record // what does not change
	started time.Time

	stop   context.CancelFunc // ends a write that hangs
	ending chan struct{}
	done   sync.WaitGroup

	piece   int // that is being written, from 1
	written int // bytes of it that lie in the bucket
	told    []byte
	toldAt  time.Time
}

// startJournal begins the record of the deploy that has just taken the lock.
func (p *pipeline) startJournal(ctx context.Context, overrode *LockInfo) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.journal = &journal{
		records: p.target.Storage.Records, id: p.upgrade.ID, rec: p.rec, started: p.started, piece: 1,
		stop: stop, ending: make(chan struct{}),
		head: record{V: EventVersion, Select: p.settings.Select, Overrode: overrode},
	}
	p.journal.done.Go(func() {
		if err := guarded(func() error { p.journal.run(ctx); return nil }); err != nil {
			p.rec.log(PhaseResults, err.Error())
		}
	})
}

func (j *journal) run(ctx context.Context) {
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	failing := false
	for {
		err := j.write(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			j.rec.log(PhaseResults, fmt.Sprintf("the record cannot be written now, others do not see this deploy: %v", err))
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
func (j *journal) write(ctx context.Context) error {
	past, upgrade := j.rec.past()
	return errors.Join(j.writeEvents(ctx), j.writeRecord(ctx, past, upgrade))
}

func (j *journal) writeEvents(ctx context.Context) error {
	for {
		body, complete := j.rec.piece(j.piece)
		if len(body) > j.written {
			if err := j.records.WriteResult(ctx, j.id, pieceName(j.piece), body); err != nil {
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

func (j *journal) writeRecord(ctx context.Context, past Past, upgrade Upgrade) error {
	r := j.head
	r.Past, r.Upgrade = past, upgrade
	r.At = j.started.UTC().Truncate(time.Millisecond)
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if bytes.Equal(body, j.told) && time.Since(j.toldAt) < touchEvery {
		return nil
	}
	if err := j.records.WriteResult(ctx, j.id, recordFile, append(body, '\n')); err != nil {
		return fmt.Errorf("write deploy.json: %w", err)
	}
	j.told, j.toldAt = body, time.Now()
	return nil
}

// finish writes the deploy's end. A write that is under way ends first: cut off, it could still arrive, and be the last.
func (j *journal) finish(ctx context.Context, result Result) error {
	close(j.ending)
	forget := context.AfterFunc(ctx, j.stop)
	j.done.Wait()
	forget()
	j.stop()
	j.rec.end(result)
	past, upgrade := j.rec.past()
	past.Running, past.Outcome, past.DurationMS = false, result.Outcome, result.DurationMS
	return errors.Join(j.writeEvents(ctx), j.writeRecord(ctx, past, upgrade))
}

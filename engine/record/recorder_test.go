package record

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"flydeploy/engine"
)

// The begin of an agent's phase is by its machine's clock, the end that the console sees by ours.
func TestDurationsAreOfOneClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		rec := NewRecorder(NewFeed())
		e := engine.Event{Machine: "m1", Phase: engine.PhaseReload, Status: engine.StatusRunning, StartedAt: time.Now().Add(off)}
		rec.Emit(e)
		e.Status = engine.StatusFailed
		rec.Emit(e)
		events, err := rec.Stream().Next(t.Context())
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events: %v", len(events), err)
		}
		if took := time.Duration(events[1].DurationUS) * time.Microsecond; took < 0 || took > time.Minute {
			t.Errorf("with a clock that is off by %s the phase took %s", off, took)
		}
	}
}

// The plan of a large fleet is in the stream once, in events that no piece is too small for, and the reader beside the deploy has it whole.
func TestALargePlanIsRecordedInParts(t *testing.T) {
	t.Parallel()
	feed := NewFeed()
	rec := NewRecorder(feed)
	plan := &engine.Plan{Modules: []engine.ModuleChange{}, Findings: []engine.Finding{}}
	for i := range 3_000 {
		plan.Machines = append(plan.Machines, engine.MachinePlan{Machine: engine.Machine{ID: fmt.Sprint(i), Region: "ams", Image: "registry.fly.io/counter:deployment-01K93QZZZZ7M4W2T8XCVDFGH1J"}})
	}
	for _, s := range []engine.Status{engine.StatusRunning, engine.StatusDone} {
		rec.Emit(engine.Event{Phase: engine.PhasePlan, Status: s, Plan: plan})
	}
	rec.Close()
	if beside, err := feed.Next(t.Context()); err != nil || len(beside) != 1 || beside[0].Plan != plan {
		t.Errorf("beside the deploy: %d events: %v", len(beside), err)
	}
	for n := range rec.pieces.count() {
		if size := len(rec.pieces.at(n)); size > pieceSize+2*planLine {
			t.Errorf("piece %d has %d bytes", n+1, size)
		}
	}
	if rec.pieces.count() < 3 {
		t.Errorf("it is in %d pieces", rec.pieces.count())
	}
	p, source := engine.NewProgress(), rec.Stream()
	seq, with := int64(0), 0
	for {
		batch, err := source.Next(t.Context())
		if err != nil {
			break
		}
		for _, e := range batch {
			if seq++; e.Seq != seq {
				t.Fatalf("event %d has number %d", seq, e.Seq)
			}
			if e.Plan != nil {
				with += len(e.Plan.Machines)
			}
			p.Apply(e)
		}
	}
	if p.Plan == nil || !reflect.DeepEqual(p.Plan, plan) || with != 3_000 {
		t.Errorf("the stream has %d machines' plans, want each once and all of them", with)
	}
	if p.Fleet[engine.PhasePlan].Status != engine.StatusDone {
		t.Errorf("the phase is %s", p.Fleet[engine.PhasePlan].Status)
	}
}

// What a deploy keeps of its stream is a tenth of it, and every reader has all of it: whoever reads along, and whoever comes late.
func TestALongStreamIsKeptPacked(t *testing.T) {
	t.Parallel()
	rec := NewRecorder(NewFeed())
	along, size := rec.Stream(), 0
	var read []engine.Event
	for i := range 6_000 {
		rec.Emit(engine.Event{Machine: fmt.Sprintf("d891%06d", i%1000), Phase: engine.PhaseReload, Status: engine.StatusRunning, State: engine.MachineStaging, Done: int64(i)})
		if i%100 == 0 {
			batch, err := along.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, batch...)
		}
	}
	kept := len(rec.pieces.last)
	for n := range rec.pieces.count() {
		body, complete := rec.piece(n + 1)
		if size += len(body); complete {
			kept += len(rec.pieces.packed[n])
		}
	}
	if rec.pieces.count() < 4 || kept > pieceSize+size/5 {
		t.Errorf("of %d bytes in %d pieces %d are kept", size, rec.pieces.count(), kept)
	}
	rest, err := along.Next(t.Context())
	if read = append(read, rest...); err != nil {
		t.Fatal(err)
	}
	late, err := rec.Stream().Next(t.Context())
	if err != nil || len(read) != 6_000 || !reflect.DeepEqual(read, late) {
		t.Errorf("whoever reads along has %d events, whoever comes late %d: %v", len(read), len(late), err)
	}
}

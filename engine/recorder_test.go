package engine

import (
	"testing"
	"time"
)

// The begin of an agent's phase is by its machine's clock, the end that the console sees by ours.
func TestDurationsAreOfOneClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		rec := newRecorder(NewFeed())
		e := Event{Machine: "m1", Phase: PhaseReload, Status: StatusRunning, StartedAt: time.Now().Add(off)}
		rec.emit(e)
		e.Status = StatusFailed
		rec.emit(e)
		events, _, err := ParseEvents(rec.events())
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events: %v", len(events), err)
		}
		if took := time.Duration(events[1].DurationUS) * time.Microsecond; took < 0 || took > time.Minute {
			t.Errorf("with a clock that is off by %s the phase took %s", off, took)
		}
	}
}

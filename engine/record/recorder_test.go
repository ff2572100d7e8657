package record

import (
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

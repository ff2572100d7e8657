package engine

import "testing"

func TestProgressKeepsTheLastVitalsAndABoundedPast(t *testing.T) {
	p := NewProgress()
	apply := func(attempt, busy int) {
		before := &Vitals{Memory: 7}
		p.Apply(Event{Machine: "m1", Attempt: attempt, Phase: PhaseWatch, Status: StatusRunning, Vitals: &Vitals{Memory: int64(busy), Schedulers: &busy, Before: before}})
	}
	for busy := range 100 {
		apply(1, busy)
	}
	p.Apply(Event{Machine: "m1", Attempt: 1, Phase: PhaseWatch, Status: StatusRunning}) // says nothing of them
	m := p.Machine("m1")
	if m.Vitals.Memory != 99 || m.Vitals.Before.Memory != 7 || len(m.Busy) != maxBusy || m.Busy[0] != 100-maxBusy || m.Busy[maxBusy-1] != 99 {
		t.Errorf("%+v, %v", m.Vitals, m.Busy)
	}
	apply(2, 5)
	if m.Vitals.Memory != 5 || len(m.Busy) != 1 {
		t.Errorf("of the second attempt: %+v, %v", m.Vitals, m.Busy)
	}
	later := Event{Phase: PhaseWatch}.MergedWith(Event{Phase: PhaseWatch, Vitals: &Vitals{Memory: 3}})
	if later.Vitals == nil || later.Vitals.Memory != 3 {
		t.Errorf("merged: %+v", later.Vitals)
	}
}

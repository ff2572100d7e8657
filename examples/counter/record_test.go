package counter

import (
	"errors"
	"testing"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func TestCoverage(t *testing.T) {
	r := newRecord()
	r.sweep(outcome{started: at(0), ended: at(100), sent: true})
	r.sweep(outcome{started: at(100), ended: at(200), sent: true})
	r.sweep(outcome{started: at(300), ended: at(400), sent: true, err: errors.New("cut")})
	for _, test := range []struct {
		name     string
		from, to int
		covered  bool
	}{
		{"inside one sweep", 10, 90, true},
		{"exactly one sweep", 0, 100, true},
		{"across two sweeps, neither of which spans it", 90, 110, false},
		{"before any", -10, 10, false},
		{"inside a sweep that failed", 310, 390, false},
	} {
		got := r.report([]Window{{at(test.from), at(test.to)}})
		if got.Covered != test.covered {
			t.Errorf("%s: covered %v", test.name, got.Covered)
		}
	}
	if r.report([]Window{{at(10), at(20)}, {at(90), at(110)}}).Covered {
		t.Error("covered, though one of two windows is not")
	}
}

// However long traffic runs, only the latest sweeps are kept: windows before them count as not covered.
func TestRecordIsBounded(t *testing.T) {
	r := newRecord()
	for i := range sweepsKept + 10 {
		r.sweep(outcome{started: at(i * 10), ended: at(i*10 + 9), sent: true})
		r.increment(1, outcome{sent: true, err: errors.New("cut")})
	}
	if len(r.sweeps) != sweepsKept || len(r.errors) != errorsKept {
		t.Errorf("%d sweeps and %d errors are kept", len(r.sweeps), len(r.errors))
	}
	if r.covers(Window{at(91), at(92)}) {
		t.Error("the tenth sweep is still there")
	}
	if !r.covers(Window{at(101), at(102)}) || !r.covers(Window{at((sweepsKept+9)*10 + 1), at((sweepsKept+9)*10 + 2)}) {
		t.Error("the latest sweeps are not all there")
	}
}

func TestOutcomesAreToldApart(t *testing.T) {
	r := newRecord()
	r.increment(1, outcome{started: at(0), ended: at(3), sent: true})
	r.increment(1, outcome{sent: true, err: errors.New("cut")}) // may have been carried out
	r.increment(1, outcome{err: errors.New("refused")})         // was not
	m := r.report(nil)
	if m.Requests != 3 || m.Failed != 2 || m.Unconfirmed != 1 || m.MaxLatencyMS != 3 || len(m.Errors) != 2 {
		t.Errorf("the report is %+v", m)
	}
	if r.done.Increments[1] != 1 || r.done.IncrementsUnconfirmed[1] != 1 {
		t.Errorf("done is %+v", r.done)
	}
}

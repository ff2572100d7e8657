package local

import (
	"time"

	fly "github.com/superfly/fly-go"
)

// LagLists lets lists of machines tell the fleet as it was that long ago, until restore is called: a new machine is not
// there yet, one that is gone still is. A machine that is got by its id is told as it is.
func (f *Fly) LagLists(by time.Duration) (restore func()) {
	f.machines.lag.Store(int64(by))
	return func() { f.machines.lag.Store(0) }
}

// listed gives the machines as a list tells them now.
func (f *fleet) listed() []*fly.Machine {
	lag := time.Duration(f.lag.Load())
	var all []*fly.Machine
	for _, m := range f.all() {
		record := m.snapshot()
		if lag > 0 {
			record = m.before(time.Now().Add(-lag))
		}
		if record != nil {
			all = append(all, record)
		}
	}
	return all
}

// past is what was known of a machine from some moment on.
type past struct {
	since  time.Time
	record fly.Machine
}

// maxPast is how many changes of a machine are remembered: far more than a lag is long.
const maxPast = 64

// remember must be called with mu held, after every change of the record.
func (m *machine) remember() {
	m.past = append(m.past[max(0, len(m.past)+1-maxPast):], past{time.Now(), m.record})
}

// before is what was known at a moment, nil where there was no machine yet.
func (m *machine) before(at time.Time) *fly.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	var known *fly.Machine
	for _, p := range m.past {
		if !p.since.After(at) {
			known = &p.record
		}
	}
	return known
}

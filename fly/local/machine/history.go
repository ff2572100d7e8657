package machine

import (
	"time"

	fly "github.com/superfly/fly-go"
)

// past is what was known of a machine from some moment on.
type past struct {
	since  time.Time
	record fly.Machine
}

// maxPast is how many changes of a machine are remembered: enough for any lag of lists.
const maxPast = 64

// remember must be called with mu held, after every change of the record.
func (m *Machine) remember() {
	m.past = append(m.past[max(0, len(m.past)+1-maxPast):], past{time.Now(), m.record})
}

// Before is what was known of the machine at a moment, nil if it did not exist yet.
func (m *Machine) Before(at time.Time) *fly.Machine {
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

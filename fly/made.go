package fly

import (
	"sync"
	"time"
)

// knownWithin is how long the API may answer 404 for a machine that it has just made: not every one of its hosts knows the machine
// yet.
const knownWithin = 8 * time.Second

// made are the temporary machines that this client has created and not destroyed.
type made struct {
	mu sync.Mutex
	by map[string]launched // machine ID
}

type launched struct {
	upgradeID string
	at        time.Time
}

// isNew reports whether a 404 does not prove that the machine is gone.
func (l launched) isNew() bool { return time.Since(l.at) < knownWithin }

func (m *made) add(id, upgradeID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[string]launched{}
	}
	m.by[id] = launched{upgradeID, time.Now()}
}

// get gives the zero value for a machine that is not ours.
func (m *made) get(id string) launched {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[id]
}

func (m *made) remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, id)
}

package api

import (
	"time"

	fly "github.com/superfly/fly-go"
)

// LagLists lets lists of machines show the fleet as it was that long ago, until restore is called: a new machine is not
// there yet, one that is gone still is. A machine that is asked for by its id is shown as it is.
func (a *API) LagLists(by time.Duration) (restore func()) {
	a.lag.Store(int64(by))
	return func() { a.lag.Store(0) }
}

// listed are the machines as a list shows them now.
func (a *API) listed() []*fly.Machine {
	lag := time.Duration(a.lag.Load())
	var all []*fly.Machine
	for _, m := range a.config.Machines.All() {
		record := m.Snapshot()
		if lag > 0 {
			record = m.Before(time.Now().Add(-lag))
		}
		if record != nil {
			all = append(all, record)
		}
	}
	return all
}

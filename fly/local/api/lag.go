package api

import (
	"net/http"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/machine"
)

// affinityCookie leads a client's requests to one host. Source: fly-go's flaps client, which has a jar for it.
const affinityCookie = "fly_flaps_affinity"

func (a *API) setAffinity(w http.ResponseWriter, r *http.Request) {
	if !a.hasAffinity(r) {
		http.SetCookie(w, &http.Cookie{Name: affinityCookie, Value: a.host, Path: "/v1/apps/" + a.config.App, HttpOnly: true})
	}
}

func (a *API) hasAffinity(r *http.Request) bool {
	cookie, err := r.Cookie(affinityCookie)
	return err == nil && cookie.Value == a.host
}

// LagHosts lets a new machine be unknown for that long to requests without the cookie, until restore is called.
func (a *API) LagHosts(by time.Duration) (restore func()) {
	a.slow.Store(int64(by))
	return func() { a.slow.Store(0) }
}

// isKnown reports whether the host that a request meets knows the machine.
func (a *API) isKnown(m *machine.Machine, r *http.Request) bool {
	slow := time.Duration(a.slow.Load())
	return slow == 0 || a.hasAffinity(r) || m.Before(time.Now().Add(-slow)) != nil
}

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

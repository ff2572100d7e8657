package api

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/machine"
)

// nonceHeader shows that a request comes from the lease's holder.
const nonceHeader = "fly-machine-lease-nonce"

// defaultLeaseTTL is how long a lease lasts whose request names no time.
const defaultLeaseTTL = 120 * time.Second

type lease struct {
	nonce       string
	owner       string
	description string
	expires     time.Time
}

func (l lease) held(now time.Time) bool { return l.nonce != "" && now.Before(l.expires) }

// conflict is the answer to a request that does not come from the holder.
func (l lease) conflict() error {
	return refuse(http.StatusConflict, "lease currently held by %s, expires at %s", l.owner, l.expires.UTC().Format(time.RFC3339))
}

func (l lease) data(m *machine.Machine) *fly.MachineLeaseData {
	return &fly.MachineLeaseData{
		Nonce: l.nonce, ExpiresAt: l.expires.Unix(), Owner: l.owner, Version: m.Snapshot().InstanceID,
	}
}

// leases are those of all machines.
type leases struct {
	mu sync.Mutex
	by map[string]lease // machine
}

// acquire grants a lease, or renews the one whose nonce is given.
func (l *leases) acquire(machine string, ttl time.Duration, nonce, owner, description string) (lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, current := time.Now(), l.by[machine]
	if current.held(now) && nonce != current.nonce {
		return lease{}, current.conflict()
	}
	if nonce == "" || nonce != current.nonce {
		current = lease{nonce: strings.ToLower(rand.Text())[:16], owner: owner, description: description}
	}
	current.expires = now.Add(ttl)
	l.by[machine] = current
	return current, nil
}

// find returns the lease that somebody holds on a machine.
func (l *leases) find(machine string) (lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.by[machine]
	return current, current.held(time.Now())
}

// release ends a lease if nonce is its holder's.
func (l *leases) release(machine, nonce string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.by[machine]
	if !current.held(time.Now()) {
		return refuse(http.StatusNotFound, "lease not found")
	}
	if nonce != current.nonce {
		return current.conflict()
	}
	delete(l.by, machine)
	return nil
}

// leased keeps those out who do not hold the lease on a machine that has one.
func (a *API) leased(work machineEndpoint) machineEndpoint {
	return func(r *http.Request, m *machine.Machine) (any, error) {
		if current, held := a.leases.find(m.ID()); held && r.Header.Get(nonceHeader) != current.nonce {
			return nil, current.conflict()
		}
		return work(r, m)
	}
}

func (a *API) acquireLease(r *http.Request, m *machine.Machine) (any, error) {
	ttl := defaultLeaseTTL
	var input struct {
		TTL         int    `json:"ttl"` // seconds
		Description string `json:"description"`
	}
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	if given := r.URL.Query().Get("ttl"); given != "" {
		seconds, err := strconv.Atoi(given)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_argument: ttl: %v", err)
		}
		input.TTL = seconds
	}
	if input.TTL > 0 {
		ttl = time.Duration(input.TTL) * time.Second
	}
	granted, err := a.leases.acquire(m.ID(), ttl, r.Header.Get(nonceHeader), a.user(), input.Description)
	if err != nil {
		return nil, err
	}
	return created{fly.MachineLease{Status: "success", Data: granted.data(m)}}, nil
}

// user is who the tokens belong to.
func (a *API) user() string { return "local@" + a.config.Org }

// listedLease is a lease as a list shows it. Source: the description, StrippedLease.
type listedLease struct {
	Owner       string `json:"owner"`
	Description string `json:"description,omitempty"`
	ExpiresAt   int64  `json:"expires_at"`
}

func (a *API) listedLease(m *fly.Machine) *listedLease {
	current, held := a.leases.find(m.ID)
	if !held {
		return nil
	}
	return &listedLease{current.owner, current.description, current.expires.Unix()}
}

func (a *API) findLease(_ *http.Request, m *machine.Machine) (any, error) {
	current, held := a.leases.find(m.ID())
	if !held {
		return nil, refuse(http.StatusNotFound, "lease not found")
	}
	current.nonce = "" // the holder's alone
	return fly.MachineLease{Status: "success", Data: current.data(m)}, nil
}

func (a *API) releaseLease(r *http.Request, m *machine.Machine) (any, error) {
	if err := a.leases.release(m.ID(), r.Header.Get(nonceHeader)); err != nil {
		return nil, err
	}
	return okAnswer{OK: true}, nil
}

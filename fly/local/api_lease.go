package local

import (
	"net/http"
	"strconv"
	"time"

	fly "github.com/superfly/fly-go"
)

// nonceHeader shows that a request comes from the lease's holder.
const nonceHeader = "fly-machine-lease-nonce"

// defaultLeaseTTL is what a lease gets that names no time.
const defaultLeaseTTL = 120 * time.Second

type lease struct {
	nonce   string
	owner   string
	expires time.Time
}

func (l lease) held(now time.Time) bool { return l.nonce != "" && now.Before(l.expires) }

// acquire grants a lease, or renews the one whose nonce is given.
func (m *machine) acquire(ttl time.Duration, nonce, owner string) (*fly.MachineLeaseData, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.lease.held(now) && nonce != m.lease.nonce {
		return nil, m.leaseConflict()
	}
	if nonce == "" || nonce != m.lease.nonce {
		m.lease.nonce = randomName(16)
		m.lease.owner = owner
	}
	m.lease.expires = now.Add(ttl)
	return m.leaseData(), nil
}

// leaseConflict must be called with mu held.
func (m *machine) leaseConflict() error {
	return refuse(http.StatusConflict, "lease currently held by %s, expires at %s", m.lease.owner, m.lease.expires.UTC().Format(time.RFC3339))
}

func (m *machine) leaseData() *fly.MachineLeaseData {
	return &fly.MachineLeaseData{
		Nonce: m.lease.nonce, ExpiresAt: m.lease.expires.Unix(), Owner: m.lease.owner, Version: m.record.InstanceID,
	}
}

// leased keeps those out who do not hold the lease on a machine that has one.
func (a *api) leased(work machineEndpoint) machineEndpoint {
	return func(r *http.Request, m *machine) (any, error) {
		m.mu.Lock()
		free := !m.lease.held(time.Now()) || r.Header.Get(nonceHeader) == m.lease.nonce
		conflict := m.leaseConflict()
		m.mu.Unlock()
		if !free {
			return nil, conflict
		}
		return work(r, m)
	}
}

func (a *api) acquireLease(r *http.Request, m *machine) (any, error) {
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
	owner := input.Description
	if owner == "" {
		owner = "local@" + a.fly.options.Org
	}
	data, err := m.acquire(ttl, r.Header.Get(nonceHeader), owner)
	if err != nil {
		return nil, err
	}
	return created{fly.MachineLease{Status: "success", Data: data}}, nil
}

func (a *api) findLease(_ *http.Request, m *machine) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lease.held(time.Now()) {
		return nil, refuse(http.StatusNotFound, "lease not found")
	}
	data := m.leaseData()
	data.Nonce = "" // the holder's alone
	return fly.MachineLease{Status: "success", Data: data}, nil
}

func (a *api) releaseLease(r *http.Request, m *machine) (any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lease.held(time.Now()) {
		return nil, refuse(http.StatusNotFound, "lease not found")
	}
	if r.Header.Get(nonceHeader) != m.lease.nonce {
		return nil, m.leaseConflict()
	}
	m.lease = lease{}
	return okAnswer{OK: true}, nil
}

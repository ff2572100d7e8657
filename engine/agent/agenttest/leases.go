package agenttest

import (
	"context"
	"fmt"
	"time"

	"flydeploy/engine"
)

var _ engine.Leases = (*Fleet)(nil)

// listed is the machine as a list shows it: without a lease that has expired.
func (m *machine) listed() engine.Machine {
	shown := m.Machine
	if !m.leased() {
		shown.Lease = engine.Lease{}
	}
	return shown
}

func (m *machine) leased() bool { return time.Now().Before(m.Lease.Until) }

// LeaseTo has somebody else hold a machine's lease for a time.
func (w *World) LeaseTo(id, owner string, lasts time.Duration) {
	w.locked(func() { w.byID[id].lease(owner, "", "theirs", lasts) })
}

// Leased gives who holds a machine's lease; the zero value if nobody does.
func (w *World) Leased(id string) engine.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byID[id].listed().Lease
}

func (m *machine) lease(owner, description, nonce string, lasts time.Duration) {
	m.Lease, m.nonce = engine.Lease{Owner: owner, Description: description, Until: time.Now().Add(lasts)}, nonce
}

// TakeLease implements engine.Leases.
func (f *Fleet) TakeLease(ctx context.Context, id, description string, ttl time.Duration) (nonce string, err error) {
	return ask(ctx, f.world, Call{Console: f.console, Kind: TakeLease, Machine: id}, func() (string, error) {
		f.world.mu.Lock()
		defer f.world.mu.Unlock()
		m := f.world.byID[id]
		switch {
		case m == nil:
			return "", fmt.Errorf("lease machine %s: 404 not found", id)
		case f.world.forbidden:
			return "", engine.ErrForbidden
		case m.leased():
			return "", fmt.Errorf("lease machine %s: %w", id, engine.ErrLeased)
		}
		nonce := fmt.Sprintf("%s-%d", id, time.Now().UnixNano())
		m.lease("ann@example.com", description, nonce, ttl)
		return nonce, nil
	})
}

// RenewLease implements engine.Leases.
func (f *Fleet) RenewLease(ctx context.Context, id, nonce string, ttl time.Duration) error {
	return f.withLease(ctx, RenewLease, id, nonce, func(m *machine) { m.Lease.Until = time.Now().Add(ttl) })
}

// ReleaseLease implements engine.Leases.
func (f *Fleet) ReleaseLease(ctx context.Context, id, nonce string) error {
	return f.withLease(ctx, ReleaseLease, id, nonce, func(m *machine) { m.Lease, m.nonce = engine.Lease{}, "" })
}

func (f *Fleet) withLease(ctx context.Context, kind Kind, id, nonce string, change func(*machine)) error {
	return tell(ctx, f.world, Call{Console: f.console, Kind: kind, Machine: id}, func() error {
		f.world.mu.Lock()
		defer f.world.mu.Unlock()
		if m := f.world.byID[id]; m != nil && m.nonce == nonce {
			change(m)
			return nil
		}
		return fmt.Errorf("the lease of machine %s: %w", id, engine.ErrLeased)
	})
}

package agenttest

import (
	"context"
	"errors"
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

// Leased gives who holds a machine's lease; the zero value if nobody does, or if the machine is gone.
func (w *World) Leased(id string) engine.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.byID[id]; m != nil {
		return m.listed().Lease
	}
	return engine.Lease{}
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

// RenewLease implements engine.Leases. The description becomes the one that is given, if none is, too.
func (f *Fleet) RenewLease(ctx context.Context, id, nonce, description string, ttl time.Duration) (valid string, err error) {
	return ask(ctx, f.world, Call{Console: f.console, Kind: RenewLease, Machine: id}, func() (string, error) {
		return nonce, f.withLease(id, nonce, func(m *machine) { m.lease(m.Lease.Owner, description, nonce, ttl) })
	})
}

// ReleaseLease implements engine.Leases.
func (f *Fleet) ReleaseLease(ctx context.Context, id, nonce string) error {
	return tell(ctx, f.world, Call{Console: f.console, Kind: ReleaseLease, Machine: id}, func() error {
		err := f.withLease(id, nonce, func(m *machine) { m.Lease, m.nonce = engine.Lease{}, "" })
		if errors.Is(err, engine.ErrNoLease) {
			return nil
		}
		return err
	})
}

func (f *Fleet) withLease(id, nonce string, change func(*machine)) error {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	m := f.world.byID[id]
	switch {
	case m == nil, !m.leased():
		return fmt.Errorf("the lease of machine %s: %w", id, engine.ErrNoLease)
	case m.nonce != nonce:
		return fmt.Errorf("the lease of machine %s: %w", id, engine.ErrLeased)
	}
	change(m)
	return nil
}

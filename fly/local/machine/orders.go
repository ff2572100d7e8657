package machine

import (
	"context"
	"fmt"
	"slices"

	fly "github.com/superfly/fly-go"
)

// Start orders a machine to boot, or to wake if it is suspended.
func (m *Machine) Start() error {
	from := []string{fly.MachineStateCreated, fly.MachineStateStopped, fly.MachineStateSuspended, StateFailed}
	return m.order("start", StateStarting, from, m.start)
}

// Stop orders a machine to end its entrypoint.
func (m *Machine) Stop(how Stopping) error {
	from := []string{fly.MachineStateStarted, fly.MachineStateSuspended, StateStarting, StateFailed}
	return m.order("stop", StateStopping, from, func(ctx context.Context) { m.stop(ctx, how) })
}

// Restart orders a machine to end its entrypoint and to boot again.
func (m *Machine) Restart(how Stopping) error {
	from := []string{fly.MachineStateStarted, fly.MachineStateStopped, fly.MachineStateSuspended, fly.MachineStateCreated, StateFailed}
	return m.order("restart", StateRestarting, from, func(ctx context.Context) { m.restart(ctx, how) })
}

// Suspend orders a machine to freeze.
func (m *Machine) Suspend() error {
	return m.order("suspend", StateSuspending, []string{fly.MachineStateStarted}, func(context.Context) { m.suspend() })
}

// Destroy orders a machine to go for good. One that runs, or is about to, goes by force only.
func (m *Machine) Destroy(force bool) error {
	from := []string{fly.MachineStateStopped, fly.MachineStateSuspended, fly.MachineStateCreated, StateFailed}
	if force {
		from = append(from, fly.MachineStateStarted, StateStarting, StateStopping, StateRestarting, StateSuspending)
	}
	return m.order("destroy", fly.MachineStateDestroying, from, func(context.Context) { m.destroy() })
}

// order queues work for the machine's goroutine if its state is one of those given, and moves it to the passing state.
func (m *Machine) order(name, passing string, from []string, work func(context.Context)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.record.State
	if !slices.Contains(from, state) {
		return fmt.Errorf("%w: unable to %s machine from current state: '%s'", ErrState, name, state)
	}
	select {
	case m.orders <- work:
		m.addEvent(name, passing, "user", nil)
		m.setState(passing)
		return nil
	default:
		return fmt.Errorf("%w: machine %s has too much to do", ErrBusy, m.id)
	}
}

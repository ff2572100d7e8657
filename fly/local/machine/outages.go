package machine

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
)

// Crash kills a machine's entrypoint as the kernel does when memory is short. What follows is up to the restart policy.
func (f *Fleet) Crash(id string) error {
	_, vm, err := f.started("crash", id)
	if err != nil {
		return err
	}
	if err := vm.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("crash machine %s: %w", id, err)
	}
	return nil
}

// ForceRestart begins to restart a machine that runs, at once, as `fly machine restart --force` does.
func (f *Fleet) ForceRestart(id string) error {
	m, _, err := f.started("restart", id)
	if err != nil {
		return err
	}
	return m.order("restart", StateRestarting, []string{fly.MachineStateStarted}, func(ctx context.Context) {
		m.restart(ctx, Stopping{})
	})
}

// CutNetwork takes away a machine's way to the services outside, until restore is called or the machine boots again.
// From outside the machine can still be reached.
func (f *Fleet) CutNetwork(id string) (restore func(), err error) {
	_, vm, err := f.started("cut the network of", id)
	if err != nil {
		return nil, err
	}
	isolated, ok := vm.(interface{ CutNetwork(isCut bool) })
	if !ok {
		return nil, errors.New("cut the network: machines that are plain processes have none of their own")
	}
	isolated.CutNetwork(true)
	return func() { isolated.CutNetwork(false) }, nil
}

// LoseHost puts a machine's host out of reach until restore is called. The machine itself runs on.
func (f *Fleet) LoseHost(id string) (restore func(), err error) {
	m, _, err := f.started("lose the host of", id)
	if err != nil {
		return nil, err
	}
	m.setHost(fly.HostStatusUnreachable)
	return func() { m.setHost(fly.HostStatusOk) }, nil
}

// started finds a machine that runs.
func (f *Fleet) started(doing, id string) (*Machine, isolation.VM, error) {
	m, ok := f.Get(id)
	if !ok {
		return nil, nil, fmt.Errorf("%s machine %s: no such machine", doing, id)
	}
	vm := m.running()
	if vm == nil {
		return nil, nil, fmt.Errorf("%s machine %s: it is %s", doing, id, m.State())
	}
	return m, vm, nil
}

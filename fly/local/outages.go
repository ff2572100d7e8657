package local

import (
	"errors"
	"fmt"
	"syscall"

	fly "github.com/superfly/fly-go"
)

// Crash kills a machine's entrypoint as the kernel does when memory is short. What follows is the restart policy's.
func (f *Fly) Crash(machineID string) error {
	_, vm, err := f.started("crash", machineID)
	if err != nil {
		return err
	}
	if err := vm.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("crash machine %s: %w", machineID, err)
	}
	return nil
}

// Restart begins to restart a machine at once, as `fly machine restart --force` does, whatever the rate limits are.
func (f *Fly) Restart(machineID string) error {
	m, _, err := f.started("restart", machineID)
	if err != nil {
		return err
	}
	return m.order(ActionRestart, stateRestarting, []string{fly.MachineStateStarted}, func() {
		f.machines.restart(f.background, m, stopping{})
	})
}

// CutNetwork takes a machine's way to S3 and the Machines API until restore is called or the machine boots again. The
// Machines API still reaches the machine.
func (f *Fly) CutNetwork(machineID string) (restore func(), err error) {
	_, vm, err := f.started("cut the network of", machineID)
	if err != nil {
		return nil, err
	}
	isolated, ok := vm.(interface{ cutNetwork(isCut bool) })
	if !ok {
		return nil, errors.New("cut the network: machines that are plain processes have none of their own")
	}
	isolated.cutNetwork(true)
	return func() { isolated.cutNetwork(false) }, nil
}

// LoseHost lets a machine's host be out of reach until restore is called: the API lists the machine without its
// configuration, and no request to the machine has an answer in time. The machine itself runs on.
func (f *Fly) LoseHost(machineID string) (restore func(), err error) {
	m, _, err := f.started("lose the host of", machineID)
	if err != nil {
		return nil, err
	}
	m.setHost(fly.HostStatusUnreachable)
	return func() { m.setHost(fly.HostStatusOk) }, nil
}

// started gives a machine that runs.
func (f *Fly) started(doing, machineID string) (*machine, vm, error) {
	m, ok := f.machines.get(machineID)
	if !ok {
		return nil, nil, fmt.Errorf("%s machine %s: no such machine", doing, machineID)
	}
	vm := m.running()
	if vm == nil {
		state, _ := m.state()
		return nil, nil, fmt.Errorf("%s machine %s: it is %s", doing, machineID, state)
	}
	return m, vm, nil
}

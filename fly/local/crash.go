package local

import (
	"fmt"
	"syscall"
)

// Crash kills a machine's entrypoint as the kernel does when memory is short. What follows is the restart policy's.
func (f *Fly) Crash(machineID string) error {
	m, ok := f.machines.get(machineID)
	if !ok {
		return fmt.Errorf("crash machine %s: no such machine", machineID)
	}
	vm := m.running()
	if vm == nil {
		state, _ := m.state()
		return fmt.Errorf("crash machine %s: it is %s", machineID, state)
	}
	if err := vm.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("crash machine %s: %w", machineID, err)
	}
	return nil
}

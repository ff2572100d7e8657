package machine

import (
	"context"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/run"
)

// live is a machine's goroutine: it carries out orders and notices when the entrypoint ends by itself.
func (m *Machine) live(ctx context.Context) {
	for {
		var exited <-chan isolation.Exit
		if m.vm != nil { // written by this goroutine only
			exited = m.vm.Exited()
		}
		select {
		case order := <-m.orders:
			m.retry, m.retries = nil, 0
			order(ctx)
		case status := <-exited:
			m.entrypointEnded(status)
		case <-m.retry:
			m.start(ctx)
		case <-ctx.Done():
			m.drop()
			return
		}
	}
}

// start boots a machine, or wakes it where it is suspended.
func (m *Machine) start(ctx context.Context) {
	m.retry = nil
	if m.vm != nil {
		if err := m.vm.Freeze(false); err == nil {
			m.frozen = false
			m.moveTo(fly.MachineStateStarted, "start", "flyd")
			return
		}
		m.drop() // a snapshot that cannot be resumed: a cold start, as on Fly
	}
	vm, err := m.boot(ctx)
	if err != nil {
		m.log("boot failed: %v", err)
		m.moveTo(StateFailed, "start", "flyd")
		return
	}
	m.setVM(vm)
	m.watchChecks(ctx)
	m.moveTo(fly.MachineStateStarted, "start", "flyd")
}

// watchChecks runs the machine's health checks as long as its boot lasts.
func (m *Machine) watchChecks(ctx context.Context) {
	checks := checksOf(m.Snapshot().Config)
	ctx, m.unwatch = context.WithCancel(ctx)
	vm := m.vm
	for _, c := range checks {
		m.fleet.running.Go(func() { m.watch(ctx, vm, c) })
	}
}

// stop asks the entrypoint to end, and makes it end after the timeout. A suspended machine just loses its snapshot.
func (m *Machine) stop(ctx context.Context, how Stopping) {
	status, ran := m.end(ctx, how)
	m.mu.Lock()
	defer m.mu.Unlock()
	if ran {
		m.addEvent("exit", fly.MachineStateStopped, "flyd", exitRequest(status, true, false))
	}
	m.setState(fly.MachineStateStopped)
}

func (m *Machine) restart(ctx context.Context, how Stopping) {
	status, ran := m.end(ctx, how)
	if ran {
		m.mu.Lock()
		m.addEvent("exit", StateStopping, "flyd", exitRequest(status, true, true))
		m.mu.Unlock()
	}
	m.moveTo(StateStarting, "restart", "flyd")
	m.start(ctx)
}

// suspend freezes a machine where it is.
func (m *Machine) suspend() {
	if m.vm == nil {
		return // it ended by itself meanwhile
	}
	if err := m.vm.Freeze(true); err != nil {
		m.log("suspend failed: %v", err)
		m.moveTo(fly.MachineStateStarted, "suspend", "flyd")
		return
	}
	m.frozen = true
	m.moveTo(fly.MachineStateSuspended, "suspend", "flyd")
}

func (m *Machine) destroy() {
	m.drop()
	m.moveTo(fly.MachineStateDestroyed, "destroy", "flyd")
	if err := run.RemoveTree(m.fleet.diskPath(m.id)); err != nil {
		m.log("remove disk: %v", err) // the end of the run tries again, and tells
	}
}

// entrypointEnded decides what follows when the entrypoint has ended by itself.
func (m *Machine) entrypointEnded(status isolation.Exit) {
	m.setVM(nil)
	m.log("the entrypoint ended: code %d, signal %d", status.Code, status.Signal)
	config := m.Snapshot().Config
	again := restartWanted(config, status, m.retries)
	m.mu.Lock()
	m.addEvent("exit", fly.MachineStateStopped, "flyd", exitRequest(status, false, again))
	m.mu.Unlock()
	switch {
	case config.AutoDestroy && !again:
		m.destroy()
	case again:
		m.retry = time.After(min(time.Duration(m.retries)*time.Second, 10*time.Second))
		m.retries++
		m.moveTo(StateStarting, "restart", "flyd")
	default:
		m.moveTo(fly.MachineStateStopped, "stop", "flyd")
	}
}

// restartWanted applies the restart policy: on-failure, at most ten times, where none is set.
func restartWanted(config *fly.MachineConfig, status isolation.Exit, retries int) bool {
	policy, most := fly.MachineRestartPolicyOnFailure, 10
	if config.Restart != nil && config.Restart.Policy != "" {
		policy = config.Restart.Policy
	}
	if config.Restart != nil && config.Restart.MaxRetries > 0 {
		most = config.Restart.MaxRetries
	}
	switch policy {
	case fly.MachineRestartPolicyAlways:
		return true
	case fly.MachineRestartPolicyOnFailure:
		return status.Code != 0 && retries < most
	}
	return false
}

func exitRequest(status isolation.Exit, requested, restarting bool) *fly.MachineRequest {
	return &fly.MachineRequest{ExitEvent: &fly.MachineExitEvent{
		ExitCode: status.Code, GuestExitCode: status.Code, GuestSignal: int(status.Signal),
		RequestedStop: requested, Restarting: restarting, ExitedAt: time.Now().UTC(),
	}}
}

// end ends the boot that runs, if there is one, and tells how its entrypoint ended.
func (m *Machine) end(ctx context.Context, how Stopping) (status isolation.Exit, ran bool) {
	if m.vm == nil {
		return isolation.Exit{}, false
	}
	asked := how.Timeout > 0 && !m.frozen && m.vm.Signal(how.Signal) == nil
	if asked {
		deadline := time.NewTimer(how.Timeout)
		defer deadline.Stop()
		select {
		case status := <-m.vm.Exited():
			m.setVM(nil)
			return status, true
		case <-deadline.C:
		case <-ctx.Done():
		}
	}
	return m.drop(), true
}

// drop ends the boot that runs, at once.
func (m *Machine) drop() isolation.Exit {
	if m.vm == nil {
		return isolation.Exit{}
	}
	m.vm.Kill()
	status := <-m.vm.Exited()
	m.setVM(nil)
	return status
}

func (m *Machine) setVM(v isolation.VM) {
	if m.unwatch != nil {
		m.unwatch()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.vm, m.frozen = v, false
	m.record.Checks = uncheckedYet(m.record.Config)
}

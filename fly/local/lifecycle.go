package local

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	fly "github.com/superfly/fly-go"
)

// live is a machine's goroutine: it carries out orders and notices when the entrypoint ends by itself.
func (f *fleet) live(ctx context.Context, m *machine) {
	for {
		var exited <-chan exitStatus
		if m.vm != nil { // written by this goroutine only
			exited = m.vm.exited()
		}
		select {
		case order := <-m.orders:
			m.retry, m.retries = nil, 0
			order()
		case status := <-exited:
			f.entrypointEnded(m, status)
		case <-m.retry:
			f.start(ctx, m)
		case <-ctx.Done():
			m.drop()
			return
		}
	}
}

// start boots a machine, or wakes it where it is suspended.
func (f *fleet) start(ctx context.Context, m *machine) {
	m.retry = nil
	if m.vm != nil {
		if err := m.vm.freeze(false); err == nil {
			m.frozen = false
			m.moveTo(fly.MachineStateStarted, "start", "flyd")
			return
		}
		m.drop() // a snapshot that cannot be resumed: a cold start, as on Fly
	}
	vm, err := f.boot(ctx, m)
	if err != nil {
		f.log(m, "boot failed: %v", err)
		m.moveTo(stateFailed, "start", "flyd")
		return
	}
	m.setVM(vm)
	f.watchChecks(ctx, m)
	m.moveTo(fly.MachineStateStarted, "start", "flyd")
}

// watchChecks runs the machine's health checks as long as its boot lasts.
func (f *fleet) watchChecks(ctx context.Context, m *machine) {
	checks := checksOf(m.snapshot().Config)
	ctx, m.unwatch = context.WithCancel(ctx)
	vm := m.vm
	for _, c := range checks {
		f.running.Go(func() { m.watch(ctx, vm, c) })
	}
}

// stop asks the entrypoint to end, and makes it end after the timeout. A suspended machine just loses its snapshot.
func (f *fleet) stop(ctx context.Context, m *machine, how stopping) {
	status, ran := m.end(ctx, how)
	m.mu.Lock()
	defer m.mu.Unlock()
	if ran {
		m.addEvent("exit", fly.MachineStateStopped, "flyd", exitRequest(status, true, false))
	}
	m.setState(fly.MachineStateStopped)
}

func (f *fleet) restart(ctx context.Context, m *machine, how stopping) {
	status, ran := m.end(ctx, how)
	if ran {
		m.mu.Lock()
		m.addEvent("exit", stateStopping, "flyd", exitRequest(status, true, true))
		m.mu.Unlock()
	}
	m.moveTo(stateStarting, "restart", "flyd")
	f.start(ctx, m)
}

// suspend freezes a machine where it is.
func (f *fleet) suspend(m *machine) {
	if m.vm == nil {
		return // it ended by itself meanwhile
	}
	if err := m.vm.freeze(true); err != nil {
		f.log(m, "suspend failed: %v", err)
		m.moveTo(fly.MachineStateStarted, "suspend", "flyd")
		return
	}
	m.frozen = true
	m.moveTo(fly.MachineStateSuspended, "suspend", "flyd")
}

func (f *fleet) destroy(m *machine) {
	m.drop()
	m.moveTo(fly.MachineStateDestroyed, "destroy", "flyd")
	if err := removeTree(f.diskPath(m.id())); err != nil {
		f.log(m, "remove disk: %v", err) // Close tries again and tells
	}
}

// entrypointEnded decides what follows when the entrypoint has ended by itself.
func (f *fleet) entrypointEnded(m *machine, status exitStatus) {
	m.setVM(nil)
	f.log(m, "the entrypoint ended: code %d, signal %d", status.code, status.signal)
	config := m.snapshot().Config
	again := restartWanted(config, status, m.retries)
	m.mu.Lock()
	m.addEvent("exit", fly.MachineStateStopped, "flyd", exitRequest(status, false, again))
	m.mu.Unlock()
	switch {
	case config.AutoDestroy && !again:
		f.destroy(m)
	case again:
		m.retry = time.After(min(time.Duration(m.retries)*time.Second, 10*time.Second))
		m.retries++
		m.moveTo(stateStarting, "restart", "flyd")
	default:
		m.moveTo(fly.MachineStateStopped, "stop", "flyd")
	}
}

// restartWanted applies the restart policy: on-failure, at most ten times, where none is set.
func restartWanted(config *fly.MachineConfig, status exitStatus, retries int) bool {
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
		return status.code != 0 && retries < most
	}
	return false
}

func exitRequest(status exitStatus, requested, restarting bool) *fly.MachineRequest {
	return &fly.MachineRequest{ExitEvent: &fly.MachineExitEvent{
		ExitCode: status.code, GuestExitCode: status.code, GuestSignal: int(status.signal),
		RequestedStop: requested, Restarting: restarting, ExitedAt: time.Now().UTC(),
	}}
}

// stopping is how to end an entrypoint.
type stopping struct {
	signal  syscall.Signal
	timeout time.Duration
}

// end ends the boot that runs, if one does, and tells how its entrypoint ended.
func (m *machine) end(ctx context.Context, how stopping) (status exitStatus, ran bool) {
	if m.vm == nil {
		return exitStatus{}, false
	}
	asked := how.timeout > 0 && !m.frozen && m.vm.signal(how.signal) == nil
	if asked {
		deadline := time.NewTimer(how.timeout)
		defer deadline.Stop()
		select {
		case status := <-m.vm.exited():
			m.setVM(nil)
			return status, true
		case <-deadline.C:
		case <-ctx.Done():
		}
	}
	return m.drop(), true
}

// drop ends the boot that runs, at once.
func (m *machine) drop() exitStatus {
	if m.vm == nil {
		return exitStatus{}
	}
	m.vm.kill()
	status := <-m.vm.exited()
	m.setVM(nil)
	return status
}

func (m *machine) setVM(v vm) {
	if m.unwatch != nil {
		m.unwatch()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.vm, m.frozen = v, false
	m.record.Checks = uncheckedYet(m.record.Config)
}

func (f *fleet) log(m *machine, format string, args ...any) {
	console, err := os.OpenFile(f.consolePath(m.id()), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // nowhere left to say it
	}
	defer console.Close()
	fmt.Fprintf(console, "%s %s\n", timestamp(), fmt.Sprintf(format, args...))
}

// order queues work for the machine's goroutine if its state is one of those given, and moves it to the passing state.
func (m *machine) order(action Action, passing string, from []string, work func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.record.State
	if !slices.Contains(from, state) {
		return refuse(http.StatusPreconditionFailed, "failed_precondition: unable to %s machine from current state: '%s'", action, state)
	}
	select {
	case m.orders <- work:
		m.addEvent(action, passing, "user", nil)
		m.setState(passing)
		return nil
	default:
		return refuse(http.StatusConflict, "aborted: machine %s has too much to do", m.id())
	}
}

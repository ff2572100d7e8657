// Package target finds out what a command is about: the release that runs on the fleet, the machines that are selected, and the
// storage that they use.
package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// Target is the release that runs on a fleet, and the storage that its machines use.
type Target struct {
	Machines []engine.Machine
	// VM is that of one running machine. Whether the others run the same release shows when they are staged.
	VM      agent.VM
	OTPApp  string
	Storage engine.Storage
	// Machine is the ID of VM's machine. Its storage settings are used, unless Storage.Source says otherwise.
	Machine string
}

// StorageText says where the storage is, and whose settings say so.
func (t *Target) StorageText() string {
	source := t.Storage.Source
	if source == "" {
		source = "machine " + t.Machine
	}
	return cmp.Or(t.Storage.Place, "bucket") + ", with the settings of " + source
}

// ConnectWithin bounds Connect.
const ConnectWithin = time.Minute

// Connect finds the release that runs on the fleet and opens the bucket that its machines use. Fly's API does not give secrets back,
// so they are read from a running machine. ErrNoneRuns if no machine runs a release.
func Connect(ctx context.Context, app engine.App, fleet engine.Fleet, open engine.OpenStorage) (*Target, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectWithin)
	defer cancel()
	machines, err := fleet.Machines(ctx)
	if err != nil {
		return nil, err
	}
	t := &Target{Machines: machines}
	exec, err := t.findVM(ctx, fleet, app.Release)
	if err != nil {
		return nil, err
	}
	if t.OTPApp = cmp.Or(app.OTPApp, t.VM.OTPApp); t.OTPApp == "" {
		return nil, NoOTPAppProblem(t.VM.Name)
	}
	env, err := run.RetryUnknown(ctx, nil, func() (map[string]string, error) { return agent.Storage(ctx, exec, t.VM) })
	if err != nil {
		return nil, fmt.Errorf("read the storage settings of the running release: %w", err)
	}
	if t.Storage, err = open(ctx, t.OTPApp, env); err != nil {
		return nil, err
	}
	return t, nil
}

// askNextAfter is how long one machine may be silent before another one is asked as well.
const askNextAfter = 3 * time.Second

// foundVM is the answer of one machine.
type foundVM struct {
	machine string
	exec    agent.Exec
	vm      agent.VM
	err     error
}

// findVM asks one machine after another until one runs a release. It does not wait long for one that is silent, which may still
// answer later.
func (t *Target) findVM(ctx context.Context, fleet engine.Fleet, release engine.Release) (agent.Exec, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan foundVM, len(t.Machines))
	var last error
	open := 0
	take := func(answer foundVM) bool {
		open--
		if answer.err != nil {
			if last == nil || !errors.Is(answer.err, agent.ErrNoVM) { // any other error says more
				last = fmt.Errorf("machine %s: %w", answer.machine, answer.err)
			}
			return false
		}
		t.VM, t.Machine = answer.vm, answer.machine
		return true
	}
	for _, m := range t.Machines {
		if m.Temporary != "" || engine.WhyLeftOut(m) != "" {
			continue
		}
		open++
		asking.Go(func() { answers <- askForVM(ctx, fleet, m.ID, release) })
		select {
		case answer := <-answers:
			if take(answer) {
				return answer.exec, nil
			}
		case <-time.After(askNextAfter):
		case <-ctx.Done():
		}
	}
	if open == 0 && last == nil {
		return nil, NoMachineProblem("no machine is started", t.Machines).WithCause(ErrNoneRuns)
	}
	for open > 0 {
		if answer := <-answers; take(answer) {
			return answer.exec, nil
		}
	}
	if !errors.Is(last, agent.ErrNoVM) {
		return nil, last
	}
	return nil, engine.NewProblem("no_vm", "no running Elixir release was found", last, engine.Remedies["no_vm"]).WithCause(ErrNoneRuns)
}

// NoOTPAppProblem says that a release does not show which OTP application to upgrade.
func NoOTPAppProblem(release string) *engine.Problem {
	return engine.NewProblem("no_otp_app", fmt.Sprintf("the release %s has no application of the same name", release), nil,
		"Name the OTP application to upgrade: --otp-app, or otp_app in flydeploy.toml.")
}

// askForVM asks one machine, until ctx ends.
func askForVM(ctx context.Context, fleet engine.Fleet, id string, release engine.Release) foundVM {
	found := foundVM{machine: id, exec: ExecOn(fleet, id)}
	found.err = run.Guarded(func() (err error) {
		found.vm, err = run.RetryUnknown(ctx, nil, func() (agent.VM, error) { return agent.Discover(ctx, found.exec, release) })
		return err
	})
	return found
}

// execer runs commands on machines, as engine.Fleet does.
type execer interface {
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (engine.Output, error)
}

// ExecOn gives the agent's way to run commands on one machine.
func ExecOn(fleet execer, machineID string) agent.Exec {
	return func(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
		return fleet.Exec(ctx, machineID, command, stdin, timeout)
	}
}

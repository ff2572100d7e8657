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

// search is the search for a machine that runs a release.
type search struct {
	asking  sync.WaitGroup
	answers chan foundVM
	open    int      // how many machines have not answered yet
	found   *foundVM // nil until a machine runs a release
	err     error    // of the machine whose error says most
}

// findVM asks one machine after another until one runs a release. It does not wait long for one that is silent, which may still
// answer later.
func (t *Target) findVM(ctx context.Context, fleet engine.Fleet, release engine.Release) (agent.Exec, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &search{answers: make(chan foundVM, len(t.Machines))}
	defer s.asking.Wait()
	defer cancel()
	for _, m := range t.Machines {
		if m.Temporary != "" || engine.WhyLeftOut(m) != "" || s.found != nil {
			continue
		}
		s.open++
		s.asking.Go(func() { s.answers <- askForVM(ctx, fleet, m.ID, release) })
		select {
		case answer := <-s.answers:
			s.take(answer)
		case <-time.After(askNextAfter):
		case <-ctx.Done():
		}
	}
	for s.open > 0 && s.found == nil {
		s.take(<-s.answers)
	}
	if s.found == nil {
		return nil, s.problem(t.Machines)
	}
	t.VM, t.Machine = s.found.vm, s.found.machine
	return s.found.exec, nil
}

func (s *search) take(answer foundVM) {
	s.open--
	switch {
	case answer.err == nil:
		s.found = &answer
	case s.err == nil || !errors.Is(answer.err, agent.ErrNoVM): // any other error says more
		s.err = fmt.Errorf("machine %s: %w", answer.machine, answer.err)
	}
}

// problem says why no machine was found.
func (s *search) problem(all []engine.Machine) error {
	switch {
	case s.err == nil:
		return NoMachineProblem("no machine is started", all).WithCause(ErrNoneRuns)
	case !errors.Is(s.err, agent.ErrNoVM):
		return s.err
	}
	return engine.NewProblem("no_vm", "no running Elixir release was found", s.err, engine.Remedies["no_vm"]).WithCause(ErrNoneRuns)
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

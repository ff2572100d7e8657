package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"flydeploy/engine/agent"
)

// Storage is the bucket of one OTP application.
type Storage struct {
	Locks    Locks
	Records  Records
	Tarballs Tarballs
	// Trials may be nil: only the doctor needs them.
	Trials Trials
	// Place says where the bucket is, Source whose settings opened it where they are not the machine's. For people.
	Place, Source string
	// Differs tells what is not as the machines have it, so that a restarted machine would not find the upgrade.
	Differs []string
}

// finding is the plan's finding about Differs.
func (s Storage) finding() (Finding, bool) {
	if len(s.Differs) == 0 {
		return Finding{}, false
	}
	return Finding{
		Name: "storage_differs", Severity: SeverityBlock, What: "the console's storage has " + strings.Join(s.Differs, ", "),
		Remedy: remedies["storage_differs"],
	}, true
}

// OpenStorage opens the bucket of an OTP application with the settings that its machines use (AWS_ACCESS_KEY_ID and the
// like, secrets that must not be shown). Package s3 stands behind it; the command line may override the settings.
type OpenStorage func(ctx context.Context, otpApp string, env map[string]string) (Storage, error)

// App says what is looked for on a fleet. What is empty is asked of the running VM.
type App struct {
	OTPApp  string
	Release agent.Release
}

// Target is the release that runs on a fleet, and the storage that its machines use.
type Target struct {
	Machines []Machine
	// VM of one running machine. The others run the same release, or are found out while they stage.
	VM      agent.VM
	OTPApp  string
	Storage Storage
	// Machine is the id of VM's machine, whose storage settings are used unless Storage.Source says otherwise.
	Machine string
}

// storageText says once where the storage is, and who said so.
func (t *Target) storageText() string {
	source := t.Storage.Source
	if source == "" {
		source = "machine " + t.Machine
	}
	return cmp.Or(t.Storage.Place, "bucket") + ", with the settings of " + source
}

// connectWithin bounds the search for a running release.
const connectWithin = time.Minute

// Connect finds the release that runs on the fleet and opens the bucket that its machines use. Fly's secrets cannot be
// read back from its API, so they come as one set from a running machine.
func Connect(ctx context.Context, app App, fleet Fleet, open OpenStorage) (*Target, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
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
		return nil, errNoOTPApp(t.VM.Name)
	}
	env, err := insist(ctx, quietly, func() (map[string]string, error) { return agent.Storage(ctx, exec, t.VM) })
	if err != nil {
		return nil, fmt.Errorf("read the storage settings of the running release: %w", err)
	}
	if t.Storage, err = open(ctx, t.OTPApp, env); err != nil {
		return nil, err
	}
	return t, nil
}

// askNextAfter: a machine that is silent for so long is not waited for alone.
const askNextAfter = 3 * time.Second

// foundVM is what one machine answered.
type foundVM struct {
	machine string
	exec    agent.Exec
	vm      agent.VM
	err     error
}

// findVM looks at one machine after another until one runs a release. One that does not answer soon is passed over, and
// may still answer.
func (t *Target) findVM(ctx context.Context, fleet Fleet, release agent.Release) (agent.Exec, error) {
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
			if last == nil || !errors.Is(answer.err, agent.ErrNoVM) { // a machine without a release tells least
				last = fmt.Errorf("machine %s: %w", answer.machine, answer.err)
			}
			return false
		}
		t.VM, t.Machine = answer.vm, answer.machine
		return true
	}
	for _, m := range t.Machines {
		if m.Temporary != "" || whyOut(m) != "" {
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
		return nil, errNoMachine("no machine is started", t.Machines).because(ErrNoneRuns)
	}
	for open > 0 {
		if answer := <-answers; take(answer) {
			return answer.exec, nil
		}
	}
	if !errors.Is(last, agent.ErrNoVM) {
		return nil, last
	}
	return nil, NewProblem("no_vm", "no running Elixir release was found", last, remedies["no_vm"]).because(ErrNoneRuns)
}

func errNoOTPApp(release string) *Problem {
	return NewProblem("no_otp_app", fmt.Sprintf("the release %s has no application of its own name", release), nil,
		"Name the OTP application to upgrade: --otp-app, or otp_app in flydeploy.toml.")
}

// askForVM ends at the latest with ctx.
func askForVM(ctx context.Context, fleet Fleet, id string, release agent.Release) foundVM {
	found := foundVM{machine: id, exec: execOn(fleet, id)}
	found.err = guarded(func() (err error) {
		found.vm, err = insist(ctx, quietly, func() (agent.VM, error) { return agent.Discover(ctx, found.exec, release) })
		return err
	})
	return found
}

func quietly(error) {}

// execer runs commands on machines: Fleet's Exec.
type execer interface {
	Exec(ctx context.Context, machineID string, command []string, stdin string, timeout time.Duration) (agent.Output, error)
}

func execOn(fleet execer, machineID string) agent.Exec {
	return func(ctx context.Context, command []string, stdin string, timeout time.Duration) (agent.Output, error) {
		return fleet.Exec(ctx, machineID, command, stdin, timeout)
	}
}

package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/lock"
	"flydeploy/engine/plan"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
	"flydeploy/text"
)

const (
	// bootsWithin is how long a VM that does not answer may take to boot.
	bootsWithin = 30 * time.Second
	// lookForVMEvery is the pause between two attempts to find such a VM.
	lookForVMEvery = 2 * time.Second
	// injectWithin bounds the injection of the agent, instead of --timeout. It takes 0.1 s of CPU time and the start of a small VM
	// (bin/NAME rpc), but a throttled shared CPU has a sixteenth of its speed, and what was cut off is asked again.
	injectWithin = 4 * time.Minute
	// askAgainEvery is the pause between two injections into a VM whose agent is inside its window. The VM itself takes 5 s to notice.
	askAgainEvery = time.Second
)

// reportSuffix follows the machine's ID in the name of the report that its agent uploads if something failed.
const reportSuffix = ".report.json.gz"

// staged is the result of staging: the machines with what their agents have found, and what it takes to stage one again.
type staged struct {
	*job
	surveyed *surveyed
	upgrade  engine.Upgrade
	packed   packed
	held     *lock.Held // nil in a dry run
	machines []*rollout
	leftOut  []engine.Machine
	back     bool // an upgrade is taken back
	looked   *ahead
	// commandRan: the release_command has succeeded.
	commandRan bool
	firstOf    map[string]*rollout // of each process group
}

// newStaged gives the machines in scope, which stage then stages, with the strategy of the deploy that is resumed.
func (j *job) newStaged(s *surveyed, p packed, held *lock.Held) *staged {
	own := *j
	own.settings.Strategy = s.strategy
	st := &staged{job: &own, surveyed: s, upgrade: p.upgrade, packed: p, held: held, leftOut: s.out, firstOf: map[string]*rollout{}}
	for _, m := range s.in {
		r := j.newRollout(m)
		st.machines = append(st.machines, r)
		st.firstOf[m.ProcessGroup] = cmp.Or(st.firstOf[m.ProcessGroup], r)
	}
	return st
}

// stage injects the agent into every machine's VM and has it do everything that does not change running code: download, unpack
// and compare. Then it makes the plan.
func (st *staged) stage(ctx context.Context) (made *engine.Plan, err error) {
	phase := st.phase(engine.PhaseStage, text.Counted(len(st.machines), "machine"), &st.upgrade, func() (string, error) {
		var booting errgroup.Group
		err := st.eachThen(ctx, slowestFirst(st.machines, st.looked.took), st.settings.MaxFailed, lastOnesGet, st.stageMachine, func(r *rollout) {
			if r.isBooting() && st.shouldRun(r) { // meanwhile
				booting.Go(func() error { return st.stageLater(ctx, r) })
			}
		})
		err = errors.Join(err, booting.Wait(), st.awaitBooting(ctx))
		if len(st.machines) == 0 {
			return "", target.NoMachineProblem("none of the selected machines runs an Elixir release", st.surveyed.target.Machines)
		}
		made = plan.Make(st.facts())
		ready := count(st.machines, func(r *rollout) bool { return r.problem == nil })
		if err != nil && ready == 0 {
			return "", err
		}
		return fmt.Sprintf("%d of %s staged", ready, text.Counted(len(st.machines), "machine")), nil
	})
	return made, phase
}

// facts gives what the plan is made of.
func (st *staged) facts() plan.Facts {
	f := plan.Facts{
		Upgrade: st.upgrade, Strategy: st.settings.Strategy, LeftOut: st.leftOut, Fleet: st.surveyed.target.Machines,
		Recorded: st.surveyed.recorded, Storage: st.surveyed.target.Storage, RunsReleaseCommand: st.settings.RunReleaseCommand,
		CanGoCold: st.canGoCold(), MaxFailed: st.settings.MaxFailed,
	}
	for _, r := range st.machines {
		m := r.facts()
		if u, ok := f.Recorded.UpgradeOf(m.Machine); ok && u.Version == m.Runs.Version {
			m.Runs.GitRevision = u.GitRevision
		}
		if found, keeps := st.keepsDisk(m.Machine); keeps {
			m.Findings = append(m.Findings, found)
		}
		f.Machines = append(f.Machines, m)
	}
	if found, tries := st.trialFinding(); tries {
		f.Own = append(f.Own, found)
	}
	if found, stays := st.configStays(); stays {
		f.Own = append(f.Own, found)
	}
	if found, stays := st.childrenStay(); stays {
		f.Own = append(f.Own, found)
	}
	if e := st.surveyed.earlier; e != nil {
		f.Earlier = &plan.Earlier{ID: e.ID, BaseImage: e.Upgrade.BaseImage, At: e.At}
	}
	return f
}

// stageMachine stages a machine. If its VM does not run yet, the machine keeps its state and has a problem: see awaitBooting.
func (st *staged) stageMachine(ctx context.Context, r *rollout) error {
	r.move(engine.MachineStaging, engine.Event{Phase: engine.PhaseInject, Status: engine.StatusRunning, Facts: &r.machine})
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	err := st.inject(ctx, r)
	if err == nil && r.adopted {
		return nil
	}
	if err == nil {
		r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusDone})
		err = st.within(ctx, func(ctx context.Context) error { return st.follow(ctx, r, r.status, agent.Staged) })
	}
	if err == nil {
		err = st.checkResumed(r)
	}
	switch {
	case err == nil:
		return nil
	case isBooting(err) && (r.attempt == 1 || r.boots): // in a later attempt its VM has ended, and is not waited for
		r.problem = engine.AsProblem(err)
		return nil
	case r.status.State.Terminal() && r.state.Final(): // its end was emitted with its status
		r.problem = engine.AsProblem(err)
		r.emit(engine.Event{Phase: r.phase(engine.PhaseInject), Status: engine.StatusFailed, Problem: r.problem})
		return err
	}
	return r.fail(engine.MachineFailed, r.phase(engine.PhaseInject), err)
}

// isBooting reports whether err says that no VM was found, or that it does not answer yet.
func isBooting(err error) bool {
	return errors.Is(err, agent.ErrNoVM) || engine.AsProblem(err).Name == "vm_unreachable"
}

// stageAgain stages a machine whose agent is gone, as a new attempt.
func (st *staged) stageAgain(ctx context.Context, r *rollout) error {
	r.newAttempt()
	err := st.stageMachine(ctx, r)
	if err == nil && r.problem != nil {
		err = r.problem
	}
	return err
}

// awaitBooting looks again at machines whose VM did not run. If no machine of their process group runs the release, they are left
// out. Otherwise they should run it: they are given bootsWithin, and are down if their VM does not run by then.
func (st *staged) awaitBooting(ctx context.Context) error {
	runsRelease := map[string]bool{}
	for _, r := range st.machines {
		if !r.isBooting() || st.shouldRun(r) {
			runsRelease[r.machine.ProcessGroup] = true
		}
	}
	var waitFor, in []*rollout
	for _, r := range st.machines {
		if r.isBooting() && !runsRelease[r.machine.ProcessGroup] {
			r.problem = nil
			r.machine.LeftOut = engine.LeftOutNoVM
			st.leftOut = append(st.leftOut, r.machine)
			r.move(engine.MachineLeftOut, engine.Event{Phase: engine.PhaseInject, Status: engine.StatusSkipped, Text: engine.LeftOutNoVM})
			continue
		}
		in = append(in, r)
		if r.isBooting() {
			waitFor = append(waitFor, r)
		}
	}
	st.machines = in
	deadline := time.Now().Add(bootsWithin)
	return st.each(ctx, waitFor, func(ctx context.Context, r *rollout) error { return st.stageBooting(ctx, r, deadline) })
}

// isBooting: its VM did not run when it was to be staged.
func (r *rollout) isBooting() bool { return r.state == engine.MachineStaging && r.problem != nil }

// shouldRun reports whether it is known without a look at other machines that the machine's process group runs the release.
func (st *staged) shouldRun(r *rollout) bool {
	return st.back || slices.ContainsFunc(st.surveyed.target.Machines, func(m engine.Machine) bool {
		return m.ID == st.surveyed.target.Machine && m.ProcessGroup == r.machine.ProcessGroup
	})
}

// stageLater stages a machine that was found booting while others are staged. Of a large fleet, one that falls silent then gets no more time than
// the last ones get.
func (st *staged) stageLater(ctx context.Context, r *rollout) error {
	if st.machinesAreMany() && st.settings.MaxFailed > 0 {
		const most = bootsWithin + lastOnesGet
		silent := engine.NewProblem("silent", fmt.Sprintf("its VM did not run at first, and it had not been staged %s later", most), nil, engine.Remedies["silent"])
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, most, silent)
		defer cancel()
	}
	deadline := time.Now().Add(bootsWithin)
	if err := run.Guarded(func() error { return st.stageBooting(ctx, r, deadline) }); err != nil {
		return engine.AsProblem(err).WithPrefix(r.where())
	}
	return nil
}

// stageBooting stages a machine as soon as its VM runs, until the deadline.
func (st *staged) stageBooting(ctx context.Context, r *rollout, deadline time.Time) error {
	for r.problem != nil {
		last := !time.Now().Before(deadline) // a machine that had to wait for its turn is still looked at once
		r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusRunning, Text: "waiting for its VM to boot"})
		if err := run.Wait(ctx, min(lookForVMEvery, max(time.Until(deadline), 0))); isSilent(err) {
			return st.markDown(r)
		} else if err != nil {
			return err
		}
		r.problem = nil
		if err := st.stageMachine(ctx, r); err != nil {
			return err
		}
		if last && r.problem != nil {
			return st.markDown(r)
		}
	}
	return nil
}

func (st *staged) markDown(r *rollout) error {
	what := fmt.Sprintf("its VM did not start within %s (%s)", bootsWithin, r.problem.What)
	if !st.back {
		what += ", so it would keep its old code"
	}
	err := engine.NewProblem("vm_down", what, nil, engine.Remedies["vm_down"])
	return r.fail(engine.MachineDown, engine.PhaseInject, err)
}

// inject puts the agent into the machine's VM. It ends an agent that an earlier deploy has left there.
func (st *staged) inject(ctx context.Context, r *rollout) error {
	const slow = "The machine is slow, or its CPU is throttled. Look at its load and CPU quota (`fly machine status`), and deploy again when it is quieter, or give it a larger CPU."
	exec, lost := target.ExecOn(st.ports.Fleet, r.machine.ID), st.lostAnswer(engine.PhaseInject, r.machine.ID)
	return run.Within(ctx, injectWithin, slow, func(ctx context.Context) error {
		discover := func() (agent.VM, error) {
			return run.RetryUnknown(ctx, lost, func() (agent.VM, error) { return agent.Discover(ctx, exec, st.settings.Release) })
		}
		vm, early, err := st.looked.orElse(r.machine.ID, discover)
		if err != nil {
			return err
		}
		order, err := st.orderFor(ctx, r)
		if err != nil {
			return err
		}
		r.vm = vm
		order.Starting = func() { r.order = &order } // before, there is no agent to be settled
		for {
			r.session, err = run.RetryUnknown(ctx, lost, func() (*agent.Session, error) { return agent.Inject(ctx, exec, vm, order) })
			if early && errors.Is(err, agent.ErrGone) { // the VM has restarted since
				r.order = nil
				if vm, early, err = st.looked.orElse(r.machine.ID, discover); err != nil {
					return err
				}
				r.vm = vm
				continue
			}
			var busy *agent.BusyError
			if !errors.As(err, &busy) || st.held == nil {
				return err
			}
			if busy.InWindow() {
				r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusRunning, Text: "waiting until another upgrade has resumed its processes"})
				if run.Wait(ctx, askAgainEvery) != nil {
					return err
				}
				continue
			}
			if st.adopt(ctx, r, exec, vm, busy) {
				return nil
			}
			if err := st.takeOver(ctx, r, exec, vm, busy); err != nil {
				return err
			}
		}
	})
}

func (st *staged) orderFor(ctx context.Context, r *rollout) (agent.Order, error) {
	storage := st.surveyed.target.Storage
	tarballURL, err := st.presign(ctx, st.packed.key)
	if err != nil {
		return agent.Order{}, err
	}
	agentURL, err := st.presign(ctx, st.packed.agentKey)
	if err != nil {
		return agent.Order{}, err
	}
	var reportURL, fence string // a dry run takes no lock
	if st.held != nil {
		fence = st.upgrade.ID
		reportURL, r.report, err = storage.Records.PresignResult(ctx, st.upgrade.ID, r.machine.ID+reportSuffix, presignedFor)
		if err != nil {
			return agent.Order{}, fmt.Errorf("presign the report of machine %s: %w", r.machine.ID, err)
		}
	}
	return agent.Order{
		ID: agent.NewID(st.upgrade.ID), TarballURL: tarballURL, ReportURL: reportURL, SHA256: st.upgrade.SHA256, Size: st.upgrade.Size,
		SuspendTimeout: st.settings.SuspendTimeout, MigrationTimeout: st.settings.MigrationTimeout, MaxSuspend: st.settings.MaxSuspend, SkipBusy: st.settings.SkipBusy,
		OTPApp: st.surveyed.target.OTPApp, Owner: st.settings.Owner, Fence: fence,
		TerminalFor: st.stays(r), Trial: st.trialFor(r), Agent: st.upgrade.Agent, AgentURL: agentURL, Version: st.upgrade.Version, SourceImage: st.upgrade.SourceImage,
		Rehearse: st.rehearses(r), Back: st.back, Fresh: r.fresh, SignedBy: st.ports.Keys.SignsWith(), ApplyConfig: st.upgrade.ApplyConfig, ApplyChildren: st.upgrade.ApplyChildren,
	}, nil
}

// terminalFor is how long an agent stays that has committed: an operator may hold the watch. 0 is the agent's own, ten minutes.
func (j *job) terminalFor() time.Duration {
	s := j.settings.Strategy
	switch {
	case j.settings.Ask:
		return maxHold + 5*time.Minute
	case s.Pause > 0:
		return max(s.Bake+s.Pause+5*time.Minute, terminalStays)
	}
	return 0
}

// stays is terminalFor on a machine, whose agent outlives its trial.
func (st *staged) stays(r *rollout) time.Duration {
	if !st.tries() {
		return st.terminalFor()
	}
	return max(st.terminalFor(), terminalStays, st.trialFor(r)+trialAgentStays)
}

// rehearses tells whether the machine tries the migrations: the first of its process group does, whose processes are like the others'.
// Once the plan is made, nobody asks for it any more. Where an upgrade is taken back, every machine does.
func (st *staged) rehearses(r *rollout) bool {
	switch {
	case st.settings.Rehearse == engine.RehearseNone:
		return false
	case st.back: // each decides by it which of its processes start afresh
		return true
	case r.attempt > 1:
		return false
	}
	return st.settings.Rehearse == engine.RehearseAll || st.firstOf[r.machine.ProcessGroup] == r
}

func (st *staged) presign(ctx context.Context, key string) (string, error) {
	url, err := st.surveyed.target.Storage.Tarballs.PresignGet(ctx, key, presignedFor)
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", key, err)
	}
	return url, nil
}

// takeOver ends the agent of a deploy whose console was killed or has lost the lock. We hold the lock.
func (st *staged) takeOver(ctx context.Context, r *rollout, exec agent.Exec, vm agent.VM, busy *agent.BusyError) error {
	if err := st.held.Confirm(ctx); err != nil {
		return err
	}
	say := func(what string) {
		r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusRunning, Log: text.Line(what)})
	}
	say(fmt.Sprintf("ending the agent of %s, left by %s (%s)", busy.ID, busy.Owner, busy.State))
	state, err := run.RetryUnknown(ctx, st.lostAnswer(engine.PhaseInject, r.machine.ID), func() (agent.State, error) { return busy.TakeOver(ctx, exec, vm) })
	if err == nil {
		say(fmt.Sprintf("the agent of %s ended as %s", busy.ID, state))
	}
	return err
}

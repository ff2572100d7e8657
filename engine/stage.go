package engine

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine/agent"
)

// stage puts the agent into every machine's VM and has it do all that changes nothing running: download, extract,
// detect. It ends with the plan.
func (p *pipeline) stage(ctx context.Context) error {
	return p.phase(PhaseStage, Counted(len(p.machines), "machine"), func() (string, error) {
		err := p.each(ctx, p.machines, p.stageMachine)
		p.leaveOutWithoutVM()
		if len(p.machines) == 0 {
			return "", errNoMachine("none of the selected machines runs an Elixir release", p.target.Machines)
		}
		p.plan = p.makePlan()
		if err != nil && p.staged() == 0 {
			return "", err
		}
		return fmt.Sprintf("%d of %s staged", p.staged(), Counted(len(p.machines), "machine")), nil
	})
}

func (p *pipeline) staged() int {
	n := 0
	for _, r := range p.machines {
		if r.problem == nil {
			n++
		}
	}
	return n
}

func (p *pipeline) stageMachine(ctx context.Context, r *rollout) error {
	p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseInject, Status: StatusRunning, Facts: &r.machine})
	err := p.withTimeout(ctx, func(ctx context.Context) error {
		if err := p.inject(ctx, r); err != nil {
			return err
		}
		p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseInject, Status: StatusDone})
		return p.order(ctx, r, r.session.Wait, agent.Staged)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, agent.ErrNoVM) && r.attempt == 1: // later it is one whose VM has ended
		r.noVM = true
		p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseInject, Status: StatusSkipped, Text: "runs no Elixir release"})
		return nil
	default:
		return p.fail(r, p.phaseOf(r, PhaseInject), err)
	}
}

// stageAgain begins anew on a machine whose agent is gone, as another attempt.
func (p *pipeline) stageAgain(ctx context.Context, r *rollout) error {
	r.attempt++
	r.session, r.sent, r.shown, r.problem, r.status, r.commit = nil, nil, nil, nil, agent.Status{}, false
	return p.stageMachine(ctx, r)
}

// phaseOf is the phase in which the agent stands: the last that it reported and has not ended well, else first.
func (p *pipeline) phaseOf(r *rollout, first Phase) Phase {
	at := first
	for _, ph := range r.status.Phases {
		if s := Status(ph.Status); s == StatusRunning || s == StatusFailed {
			at = Phase(ph.Name)
		}
	}
	return at
}

func (p *pipeline) inject(ctx context.Context, r *rollout) error {
	exec, lost := execOn(p.ports.Fleet, r.machine.ID), p.lost(PhaseInject, r.machine.ID)
	vm, err := insist(ctx, lost, func() (agent.VM, error) { return agent.Discover(ctx, exec, p.settings.Release) })
	if err != nil {
		return err
	}
	url, err := p.target.Storage.Tarballs.PresignGet(ctx, p.tarball.key, presignedFor)
	if err != nil {
		return fmt.Errorf("presign %s: %w", p.tarball.key, err)
	}
	var reportURL string
	if p.journal != nil {
		reportURL, r.report, err = p.target.Storage.Records.PresignResult(ctx, p.upgrade.ID, r.machine.ID+reportSuffix, presignedFor)
		if err != nil {
			return fmt.Errorf("presign the report of machine %s: %w", r.machine.ID, err)
		}
	}
	r.sent, r.vm = &agent.Order{
		ID: agent.NewID(p.upgrade.ID), TarballURL: url, ReportURL: reportURL, SHA256: p.upgrade.SHA256, Size: p.upgrade.Size,
		SuspendTimeout: p.settings.SuspendTimeout, OTPApp: p.target.OTPApp, Owner: p.settings.Owner,
		Version: p.upgrade.Version, SourceImage: p.upgrade.SourceImage,
	}, vm
	for {
		r.session, err = insist(ctx, lost, func() (*agent.Session, error) { return agent.Inject(ctx, exec, vm, *r.sent) })
		var busy *agent.BusyError
		if !errors.As(err, &busy) || p.lock == nil {
			return err
		}
		if err := p.takeOver(ctx, r, exec, vm, busy); err != nil {
			return err
		}
	}
}

// takeOver ends the agent of a deploy whose console was killed, or has lost the lock. The lock is ours.
func (p *pipeline) takeOver(ctx context.Context, r *rollout, exec agent.Exec, vm agent.VM, busy *agent.BusyError) error {
	if err := p.ours(ctx); err != nil {
		return err
	}
	p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseInject, Status: StatusRunning,
		Log: printableLine(fmt.Sprintf("ends the agent of %s, left by %s (%s)", busy.ID, busy.Owner, busy.State))})
	state, err := busy.TakeOver(ctx, exec, vm)
	if err == nil {
		p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseInject, Status: StatusRunning,
			Log: printableLine(fmt.Sprintf("the agent of %s ended as %s", busy.ID, state))})
	}
	return err
}

// Why machines are left out that could be upgraded otherwise.
const (
	leftOutNoVM        = "runs no Elixir release"
	leftOutNotSelected = "not selected"
)

// leaveOutWithoutVM moves machines that run no release out of the deploy.
func (p *pipeline) leaveOutWithoutVM() {
	in := p.machines[:0]
	for _, r := range p.machines {
		if r.noVM {
			r.machine.LeftOut = leftOutNoVM
			p.scope.out = append(p.scope.out, r.machine)
			continue
		}
		in = append(in, r)
	}
	p.machines = in
}

// settleAgents leaves no agent behind: what is staged or armed is aborted, what is terminal finished. A machine whose end
// was looked for in vain is left alone: its agent ends by itself.
func (p *pipeline) settleAgents(ctx context.Context) {
	var open []*rollout
	for _, r := range p.machines {
		if r.sent != nil && r.outcome() != outcomeUnknown {
			open = append(open, r)
		}
	}
	_ = p.each(ctx, open, func(ctx context.Context, r *rollout) error {
		if r.session == nil && !p.found(ctx, r) {
			return nil
		}
		if !r.status.State.Terminal() {
			p.abort(ctx, r)
		}
		p.awaitReport(ctx, r)
		if r.status.State.Terminal() {
			_ = r.session.Finish(ctx) // it ends by itself as well
		}
		return nil
	})
}

// awaitReport waits for the report of what failed, ten seconds at the most. The agent ends only after its upload.
func (p *pipeline) awaitReport(ctx context.Context, r *rollout) {
	if !r.status.ReportDue() || r.report == "" {
		return
	}
	if status, err := r.session.Wait(ctx, r.status.Seq); err == nil {
		p.show(r, status)
	}
}

// found looks for the agent of an injection that was cut off: the same order again gives its session. It ends by itself
// where this fails.
func (p *pipeline) found(ctx context.Context, r *rollout) bool {
	var err error
	r.session, err = agent.Inject(ctx, execOn(p.ports.Fleet, r.machine.ID), r.vm, *r.sent)
	return err == nil
}

// abort takes back what was ordered, unless the agent is committing: then its end is waited for.
func (p *pipeline) abort(ctx context.Context, r *rollout) {
	err := p.order(ctx, r, r.session.Abort, agent.Aborted)
	switch {
	case r.status.State.Terminal():
	case errors.Is(err, agent.ErrGone) && !r.commit:
		r.status.State = agent.Expired
	default:
		p.unknown(r, err)
	}
}

// unknown tells that a machine's end was not seen.
func (p *pipeline) unknown(r *rollout, err error) {
	r.problem = AsProblem(err)
	first := PhaseInject
	if r.commit {
		first = PhaseSuspension
	}
	p.rec.emit(Event{
		Machine: r.machine.ID, Attempt: r.attempt, Phase: p.phaseOf(r, first), Status: StatusUnknown,
		Text: "did not answer", Problem: r.problem,
	})
}

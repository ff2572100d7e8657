package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// stage puts the agent into every machine's VM and has it do all that changes nothing running: download, extract,
// detect. It ends with the plan.
func (p *Pipeline) stage(ctx context.Context) error {
	return p.phase(engine.PhaseStage, engine.Counted(len(p.machines), "machine"), func() (string, error) {
		err := p.each(ctx, p.machines, p.stageMachine)
		p.leaveOutWithoutVM()
		if len(p.machines) == 0 {
			return "", target.ErrNoMachine("none of the selected machines runs an Elixir release", p.Target.Machines)
		}
		p.plan = p.makePlan()
		if err != nil && p.staged() == 0 {
			return "", err
		}
		return fmt.Sprintf("%d of %s staged", p.staged(), engine.Counted(len(p.machines), "machine")), nil
	})
}

func (p *Pipeline) staged() int {
	n := 0
	for _, r := range p.machines {
		if r.problem == nil {
			n++
		}
	}
	return n
}

func (p *Pipeline) stageMachine(ctx context.Context, r *Rollout) error {
	p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseInject, Status: engine.StatusRunning, Facts: &r.Machine})
	err := p.withTimeout(ctx, func(ctx context.Context) error {
		if err := p.inject(ctx, r); err != nil {
			return err
		}
		p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseInject, Status: engine.StatusDone})
		return p.order(ctx, r, r.session.Wait, agent.Staged)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, agent.ErrNoVM) && r.attempt == 1: // later it is one whose VM has ended
		r.noVM = true
		p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseInject, Status: engine.StatusSkipped, Text: "runs no Elixir release"})
		return nil
	default:
		return p.fail(r, p.phaseOf(r, engine.PhaseInject), err)
	}
}

// stageAgain begins anew on a machine whose agent is gone, as another attempt.
func (p *Pipeline) stageAgain(ctx context.Context, r *Rollout) error {
	r.attempt++
	r.session, r.sent, r.shown, r.problem, r.status, r.commit = nil, nil, nil, nil, agent.Status{}, false
	return p.stageMachine(ctx, r)
}

// phaseOf is the phase in which the agent stands: the last that it reported and has not ended well, else first.
func (p *Pipeline) phaseOf(r *Rollout, first engine.Phase) engine.Phase {
	at := first
	for _, ph := range r.status.Phases {
		if s := engine.Status(ph.Status); s == engine.StatusRunning || s == engine.StatusFailed {
			at = engine.Phase(ph.Name)
		}
	}
	return at
}

func (p *Pipeline) inject(ctx context.Context, r *Rollout) error {
	exec, lost := target.ExecOn(p.ports.Fleet, r.Machine.ID), p.lost(engine.PhaseInject, r.Machine.ID)
	vm, err := run.Insist(ctx, lost, func() (agent.VM, error) { return agent.Discover(ctx, exec, p.settings.Release) })
	if err != nil {
		return err
	}
	url, err := p.Target.Storage.Tarballs.PresignGet(ctx, p.tarball.key, presignedFor)
	if err != nil {
		return fmt.Errorf("presign %s: %w", p.tarball.key, err)
	}
	var reportURL string
	if p.journal != nil {
		reportURL, r.report, err = p.Target.Storage.Records.PresignResult(ctx, p.Upgrade.ID, r.Machine.ID+reportSuffix, presignedFor)
		if err != nil {
			return fmt.Errorf("presign the report of machine %s: %w", r.Machine.ID, err)
		}
	}
	r.sent, r.vm = &agent.Order{
		ID: agent.NewID(p.Upgrade.ID), TarballURL: url, ReportURL: reportURL, SHA256: p.Upgrade.SHA256, Size: p.Upgrade.Size,
		SuspendTimeout: p.settings.SuspendTimeout, OTPApp: p.Target.OTPApp, Owner: p.settings.Owner,
		Version: p.Upgrade.Version, SourceImage: p.Upgrade.SourceImage,
	}, vm
	for {
		r.session, err = run.Insist(ctx, lost, func() (*agent.Session, error) { return agent.Inject(ctx, exec, vm, *r.sent) })
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
func (p *Pipeline) takeOver(ctx context.Context, r *Rollout, exec agent.Exec, vm agent.VM, busy *agent.BusyError) error {
	if err := p.ours(ctx); err != nil {
		return err
	}
	p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseInject, Status: engine.StatusRunning,
		Log: record.PrintableLine(fmt.Sprintf("ends the agent of %s, left by %s (%s)", busy.ID, busy.Owner, busy.State))})
	state, err := busy.TakeOver(ctx, exec, vm)
	if err == nil {
		p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseInject, Status: engine.StatusRunning,
			Log: record.PrintableLine(fmt.Sprintf("the agent of %s ended as %s", busy.ID, state))})
	}
	return err
}

// leaveOutWithoutVM moves machines that run no release out of the deploy.
func (p *Pipeline) leaveOutWithoutVM() {
	in := p.machines[:0]
	for _, r := range p.machines {
		if r.noVM {
			r.Machine.LeftOut = engine.LeftOutNoVM
			p.Scope.Out = append(p.Scope.Out, r.Machine)
			continue
		}
		in = append(in, r)
	}
	p.machines = in
}

// settleAgents leaves no agent behind: what is staged or armed is aborted, what is terminal finished. A machine whose end
// was looked for in vain is left alone: its agent ends by itself.
func (p *Pipeline) settleAgents(ctx context.Context) {
	var open []*Rollout
	for _, r := range p.machines {
		if r.sent != nil && r.outcome() != outcomeUnknown {
			open = append(open, r)
		}
	}
	_ = p.each(ctx, open, func(ctx context.Context, r *Rollout) error {
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
func (p *Pipeline) awaitReport(ctx context.Context, r *Rollout) {
	if !r.status.ReportDue() || r.report == "" {
		return
	}
	if status, err := r.session.Wait(ctx, r.status.Seq); err == nil {
		p.show(r, status)
	}
}

// found looks for the agent of an injection that was cut off: the same order again gives its session. It ends by itself
// where this fails.
func (p *Pipeline) found(ctx context.Context, r *Rollout) bool {
	var err error
	r.session, err = agent.Inject(ctx, target.ExecOn(p.ports.Fleet, r.Machine.ID), r.vm, *r.sent)
	return err == nil
}

// abort takes back what was ordered, unless the agent is committing: then its end is waited for.
func (p *Pipeline) abort(ctx context.Context, r *Rollout) {
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
func (p *Pipeline) unknown(r *Rollout, err error) {
	r.problem = engine.AsProblem(err)
	first := engine.PhaseInject
	if r.commit {
		first = engine.PhaseSuspension
	}
	p.rec.Emit(engine.Event{
		Machine: r.Machine.ID, Attempt: r.attempt, Phase: p.phaseOf(r, first), Status: engine.StatusUnknown,
		Text: "did not answer", Problem: r.problem,
	})
}

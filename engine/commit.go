package engine

import (
	"context"
	"fmt"

	"flydeploy/engine/agent"
)

var statusZero agent.Status

// commit arms every machine, and when all are armed sends each the one short command. What was sent ends by itself:
// stopping the deploy keeps machines from starting and waits for those that have.
func (p *pipeline) commit(ctx context.Context) error {
	var todo []*rollout
	for _, r := range p.machines {
		if !r.upToDate() {
			todo = append(todo, r)
		}
	}
	if len(todo) == 0 {
		p.rec.emit(Event{Phase: PhaseCommit, Status: StatusSkipped, Text: "every machine runs this code already"})
		return nil
	}
	return p.phase(PhaseCommit, fmt.Sprintf("%d machines", len(todo)), func() (string, error) {
		if err := p.each(ctx, todo, p.armMachine); err != nil {
			return "nothing was suspended", err
		}
		err := p.each(ctx, todo, p.commitMachine)
		return fmt.Sprintf("%d of %d machines upgraded", p.upgradedCount(), len(p.machines)), err
	})
}

func (p *pipeline) upgradedCount() int {
	n := 0
	for _, r := range p.machines {
		if r.upgraded() {
			n++
		}
	}
	return n
}

func (p *pipeline) armMachine(ctx context.Context, r *rollout) error {
	err := p.withTimeout(ctx, func(ctx context.Context) error {
		return p.order(ctx, r, r.session.Arm, agent.Armed)
	})
	if err != nil {
		return p.fail(r, p.phaseOf(r, PhaseArm), err)
	}
	return nil
}

func (p *pipeline) commitMachine(ctx context.Context, r *rollout) error {
	r.commit = true
	// From here on the window runs inside the VM whether we look or not.
	err := p.withTimeout(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return p.order(ctx, r, r.session.Commit, agent.Committed)
	})
	switch {
	case err == nil:
		return nil
	case r.status.State.Terminal():
		return p.fail(r, p.phaseOf(r, PhaseSuspension), err)
	default: // no answer is no failure; verify looks again
		p.unknown(r, err)
		return err
	}
}

// resolve looks again at machines whose end was not seen.
func (p *pipeline) resolve(ctx context.Context) {
	var open []*rollout
	for _, r := range p.machines {
		if r.outcome() == outcomeUnknown {
			open = append(open, r)
		}
	}
	_ = p.each(ctx, open, func(ctx context.Context, r *rollout) error {
		if err := p.order(ctx, r, r.session.Wait, agent.Committed); err != nil {
			p.unknown(r, err)
			return err
		}
		r.problem = nil
		return nil
	})
}

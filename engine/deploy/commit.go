package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// commit goes through the strategy's waves: it arms every machine of a wave, and when all are armed sends each the one
// short command. What was sent ends by itself: stopping the deploy keeps machines from starting and waits for those
// that have.
func (p *Pipeline) commit(ctx context.Context) error {
	var todo []*Rollout
	for _, r := range p.machines {
		if !r.upToDate() {
			todo = append(todo, r)
		}
	}
	if len(todo) == 0 {
		p.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusSkipped, Text: "every machine runs this code already"})
		return nil
	}
	return p.phase(engine.PhaseCommit, p.settings.Strategy.Describe(len(todo)), func() (string, error) {
		err := p.commitWaves(ctx, todo)
		return fmt.Sprintf("%d of %s upgraded", p.committedCount(), engine.Counted(len(p.machines), "machine")), err
	})
}

// commitWaves commits one wave after the other. The next one starts only when the last is well.
func (p *Pipeline) commitWaves(ctx context.Context, todo []*Rollout) error {
	sizes := p.settings.Strategy.Waves(len(todo))
	for i, size := range sizes {
		w := wave{number: i + 1, of: len(sizes), machines: todo[:size]}
		todo = todo[size:]
		if err := p.commitWave(ctx, w); err != nil || len(todo) == 0 {
			return err
		}
		if err := p.gate(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) commitWave(ctx context.Context, w wave) error {
	p.tellWave(w, engine.Counted(len(w.machines), "machine"))
	if err := p.each(ctx, w.machines, p.armMachine); err != nil {
		return err
	}
	err := run.EachOf(ctx, w.machines, len(w.machines), func(ctx context.Context, r *Rollout) error {
		if err := p.commitMachine(ctx, r); !errors.Is(err, errExpired) {
			return err
		}
		return nil
	})
	return errors.Join(err, p.commitExpired(ctx, w, err == nil))
}

// errExpired: an agent had expired before its commit came. It has suspended nothing.
var errExpired = errors.New("the agent expired before its commit")

// commitExpired completes a wave of so many machines that the first expired before the last was armed: those are armed again, and each
// is committed as soon as it is. Where others failed nothing more begins.
func (p *Pipeline) commitExpired(ctx context.Context, w wave, well bool) error {
	var expired []*Rollout
	for _, r := range w.machines {
		if r.status.State == agent.Expired {
			expired = append(expired, r)
		}
	}
	return p.each(ctx, expired, func(ctx context.Context, r *Rollout) error {
		if !well {
			return p.ended(r, endOf(r.status))
		}
		if err := p.armMachine(ctx, r); err != nil {
			return err
		}
		err := p.commitMachine(ctx, r)
		if errors.Is(err, errExpired) {
			return p.ended(r, endOf(r.status))
		}
		return err
	})
}

func (p *Pipeline) upgradedCount() int {
	n := 0
	for _, r := range p.machines {
		if r.upgraded() {
			n++
		}
	}
	return n
}

func (p *Pipeline) committedCount() int {
	n := 0
	for _, r := range p.machines {
		if r.committed() {
			n++
		}
	}
	return n
}

// armMachine arms a machine. What was staged may have expired while earlier waves went on: then it is staged again.
func (p *Pipeline) armMachine(ctx context.Context, r *Rollout) error {
	if err := p.ours(ctx); err != nil {
		return err
	}
	arm := func(ctx context.Context) error { return p.order(ctx, r, r.session.Arm, agent.Armed) }
	err := p.withTimeout(ctx, arm)
	if errors.Is(err, agent.ErrGone) || r.status.State == agent.Expired {
		if err := p.stageAgain(ctx, r); err != nil {
			return err
		}
		if err := p.stillAccepted(r); err != nil {
			return p.fail(r, engine.PhaseArm, err)
		}
		err = p.withTimeout(ctx, arm)
	}
	if err != nil {
		return p.fail(r, p.phaseOf(r, engine.PhaseArm), err)
	}
	return nil
}

// stillAccepted: staging a machine again has found no blocker but those that the operator accepted.
func (p *Pipeline) stillAccepted(r *Rollout) error {
	found := findingSet{}
	p.machineFindings(r, found)
	return blockers(&engine.Plan{Findings: found.sorted()}, p.accepted)
}

func (p *Pipeline) commitMachine(ctx context.Context, r *Rollout) error {
	if err := p.ours(ctx); err != nil {
		return err
	}
	r.commit = true
	// From here on the window runs inside the VM whether we look or not.
	ctx, cancel := p.endure(ctx, p.settings.Timeout+target.SettleWithin)
	defer cancel()
	err := p.withTimeout(ctx, func(ctx context.Context) error {
		return p.order(ctx, r, r.session.Commit, agent.Committed)
	})
	switch {
	case err == nil:
		return p.confirmMachine(ctx, r)
	case r.status.State == agent.Expired:
		return errExpired
	}
	return p.ended(r, err)
}

// ended tells why a machine did not commit. No answer is no failure: a later look resolves it.
func (p *Pipeline) ended(r *Rollout, err error) error {
	if r.status.State.Terminal() {
		return p.fail(r, p.phaseOf(r, engine.PhaseSuspension), err)
	}
	p.unknown(r, err)
	return err
}

// confirmMachine verifies a machine that has committed, and records what it runs.
func (p *Pipeline) confirmMachine(ctx context.Context, r *Rollout) error {
	err := p.check(ctx, r)
	if err == nil {
		p.recordMachine(ctx, r)
	}
	return err
}

// resolve looks again at machines whose end was not seen. A commit that never came is taken back meanwhile: an agent that is committing
// does not listen to that.
func (p *Pipeline) resolve(ctx context.Context) {
	var open []*Rollout
	for _, r := range p.machines {
		if r.outcome() == outcomeUnknown {
			open = append(open, r)
		}
	}
	_ = p.each(ctx, open, func(ctx context.Context, r *Rollout) error {
		if err := p.order(ctx, r, r.session.Abort, agent.Committed); err != nil {
			return p.ended(r, err)
		}
		r.problem = nil
		return nil
	})
}

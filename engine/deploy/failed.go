package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/plan"
	"flydeploy/text"
)

// onFailed lets an operator say what becomes of a deploy on which machines have failed: they are tried again as often as wanted, the
// others follow all the same, or what has taken the upgrade is taken back. Without an operator nothing further starts. It gives what is
// not well, and what has failed, if that ends the deploy.
func (c *committing) onFailed(ctx context.Context, w wave, failed error) (sick, left error) {
	for sick == nil && failed != nil && c.settings.Ask && context.Cause(ctx) == nil {
		ways := c.waysOfFailed(w)
		if len(ways) == 1 {
			break
		}
		way, err := c.choose(ctx, engine.QuestionFailed, "machines have failed", failed, ways)
		switch {
		case err != nil:
			return nil, errors.Join(failed, err)
		case way == engine.WayRetry:
			sick, failed = c.tryAgain(ctx, w)
		case way == engine.WayBack:
			return nil, errors.Join(failed, c.takeBack(ctx, engine.AsProblem(failed).What))
		case way == engine.WayContinue:
			c.passed = errors.Join(c.passed, failed)
			return nil, nil
		default:
			return nil, failed
		}
	}
	return sick, failed
}

// waysOfFailed lists what an operator may choose. The first is what happens if nobody does.
func (c *committing) waysOfFailed(w wave) []engine.Way {
	ways := []engine.Way{engine.WayStop}
	if anyOf(w.machines, (*rollout).mayTryAgain) {
		ways = append(ways, engine.WayRetry)
	}
	if anyOf(c.machines, c.hasTaken) {
		ways = append(ways, engine.WayBack)
	}
	if w.number < w.of {
		ways = append(ways, engine.WayContinue)
	}
	return ways
}

// mayTryAgain: it has ended without the upgrade, and it may be that its VM runs; or it could not be disarmed.
func (r *rollout) mayTryAgain() bool {
	if r.awaitsCommit() {
		return true
	}
	switch r.state {
	case engine.MachineFailed, engine.MachineStale, engine.MachineAborted, engine.MachineExpired, engine.MachineRolledBack,
		engine.MachineRolledBackWithLosses, engine.MachineRestarted, engine.MachineReplaced:
		return true
	}
	return false
}

// tryAgain stages the machines of a wave again that have failed, or were disarmed for those, each as a new attempt, and has them follow the way of a wave.
func (c *committing) tryAgain(ctx context.Context, w wave) (sick, failed error) {
	w.machines = filter(w.machines, (*rollout).mayTryAgain)
	c.showWave(w, fmt.Sprintf("trying %s again", text.Counted(len(w.machines), "machine")))
	now, err := c.ports.Fleet.Machines(ctx)
	if err != nil {
		return nil, fmt.Errorf("list machines before trying again: %w", err)
	}
	found := engine.ByID(now)
	failed = c.each(ctx, w.machines, func(ctx context.Context, r *rollout) error {
		if r.session != nil {
			c.awaitReport(ctx, r)
			_ = r.session.Finish(ctx) // its place is needed
		}
		if m, there := found[r.machine.ID]; there {
			r.machine = m // it may have been replaced
		}
		return c.restage(ctx, r)
	})
	w.machines = filter(w.machines, func(r *rollout) bool { return r.isStaged() || r.state == engine.MachineUpToDate })
	if len(w.machines) == 0 || context.Cause(ctx) != nil {
		return nil, failed
	}
	sick, more := c.carryOut(ctx, w)
	return sick, errors.Join(failed, more)
}

// restage stages a machine again. What was not accepted with the plan, fails.
func (c *committing) restage(ctx context.Context, r *rollout) error {
	if err := c.stageAgain(ctx, r); err != nil {
		return err
	}
	if err := blockers(plan.MachineFindings(r.facts(), c.upgrade.BaseImage), c.accepted); err != nil {
		return r.fail(engine.MachineFailed, engine.PhaseArm, err)
	}
	return nil
}

package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/plan"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// committing is the work of the commit: what was staged, and under which lock.
type committing struct {
	*staged
	book     *ledger
	accepted []string // blockers of the plan, by name
}

// commit goes through the strategy's waves: it arms every machine of a wave, and when all are armed sends each the one
// short command. What was sent ends by itself: stopping the deploy keeps machines from starting and waits for those
// that have.
func (j *job) commit(ctx context.Context, all *soFar, book *ledger, accepted []string) error {
	todo := those(all.machines(), (*rollout).isStaged)
	if len(todo) == 0 {
		j.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusSkipped, Text: nothingToCommit(all.machines())})
		return nil
	}
	c := &committing{staged: all.staged, book: book, accepted: accepted}
	return j.phase(engine.PhaseCommit, j.settings.Strategy.Describe(len(todo)), &all.upgrade, func() (string, error) {
		err := c.waves(ctx, todo)
		return fmt.Sprintf("%d of %s upgraded", count(c.machines, (*rollout).mayRun), text.Counted(len(c.machines), "machine")), err
	})
}

func nothingToCommit(machines []*rollout) string {
	if everyOf(machines, (*rollout).mayRun) {
		return "every machine runs this code already"
	}
	return "every machine that runs has this code already"
}

// waves commits one wave after the other. The next one starts only when the last is well.
func (c *committing) waves(ctx context.Context, todo []*rollout) error {
	sizes := c.settings.Strategy.Waves(len(todo))
	for i, size := range sizes {
		w := wave{number: i + 1, of: len(sizes), machines: todo[:size]}
		todo = todo[size:]
		if err := c.wave(ctx, w); err != nil || len(todo) == 0 {
			return err
		}
		if err := c.gate(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (c *committing) wave(ctx context.Context, w wave) error {
	c.tellWave(w, text.Counted(len(w.machines), "machine"))
	if err := c.each(ctx, w.machines, c.arm); err != nil {
		return err
	}
	err := run.Each(ctx, w.machines, len(w.machines), (*rollout).where, func(ctx context.Context, r *rollout) error {
		if err := c.commit(ctx, r); !errors.Is(err, errExpired) {
			return err
		}
		return nil
	})
	failed := anyOf(w.machines, func(r *rollout) bool { return r.state.Final() && !r.isExpired() })
	return errors.Join(err, c.expired(ctx, w, !failed)) // one that is only silent holds nobody up
}

// errExpired: an agent had expired before its commit came. It has suspended nothing.
var errExpired = errors.New("the agent expired before its commit")

// expired completes a wave of so many machines that the first expired before the last was armed: those are armed again, and each
// is committed as soon as it is. Where others failed nothing more begins.
func (c *committing) expired(ctx context.Context, w wave, well bool) error {
	return c.each(ctx, those(w.machines, (*rollout).isExpired), func(ctx context.Context, r *rollout) error {
		if !well {
			return r.explain(endOf(r.status))
		}
		if err := c.arm(ctx, r); err != nil {
			return err
		}
		err := c.commit(ctx, r)
		if errors.Is(err, errExpired) {
			return r.explain(endOf(r.status))
		}
		return err
	})
}

// explain gives a machine whose agent has come to its end the reason, in the phase in which it ended.
func (r *rollout) explain(err error) error {
	r.problem = engine.AsProblem(err)
	report := reportOf(r.status)
	r.emit(engine.Event{Phase: r.phase(engine.PhaseSuspension), Status: engine.StatusFailed, Problem: r.problem, Report: &report})
	return err
}

// arm arms a machine. What was staged may have expired while earlier waves went on: then it is staged again.
func (c *committing) arm(ctx context.Context, r *rollout) error {
	if err := c.held.Confirm(ctx); err != nil {
		return err
	}
	arm := func() error {
		r.move(engine.MachineArming, engine.Event{Phase: engine.PhaseArm, Status: engine.StatusPending})
		return c.within(ctx, func(ctx context.Context) error { return c.order(ctx, ctx, r, r.session.Arm, agent.Armed) })
	}
	var err error
	if r.isStaged() {
		err = arm()
	}
	if errors.Is(err, agent.ErrGone) || r.isExpired() {
		if err := c.stageAgain(ctx, r); err != nil {
			return err
		}
		if err := blockers(plan.MachineFindings(r.facts(), c.upgrade.BaseImage), c.accepted); err != nil {
			return r.fail(engine.MachineFailed, engine.PhaseArm, err)
		}
		if r.state == engine.MachineUpToDate {
			return nil
		}
		err = arm()
	}
	switch {
	case err == nil:
		return nil
	case r.state.Final():
		return r.explain(err)
	}
	return r.fail(engine.MachineFailed, r.phase(engine.PhaseArm), err)
}

// commit sends the one command that suspends, follows it to its end, verifies the machine and records it.
func (c *committing) commit(ctx context.Context, r *rollout) error {
	if r.state == engine.MachineUpToDate { // found when it was staged again
		return c.look(ctx, r, c.book)
	}
	if err := c.held.Confirm(ctx); err != nil {
		return err
	}
	r.move(engine.MachineCommitting, engine.Event{Phase: engine.PhaseSuspension, Status: engine.StatusPending})
	// From here on the window runs inside the VM whether we look or not.
	follow, cancel := c.detached(ctx, c.settings.Timeout+settleWithin)
	defer cancel()
	err := c.within(follow, func(follow context.Context) error {
		return c.order(ctx, follow, r, r.session.Commit, agent.Committed)
	})
	switch {
	case err == nil:
		return c.look(follow, r, c.book)
	case r.isExpired():
		return errExpired
	}
	return c.ended(follow, r, err)
}

// ended tells why a machine did not commit. No answer is no failure: a later look resolves it.
func (j *job) ended(ctx context.Context, r *rollout, err error) error {
	switch {
	case r.state.Final():
		return r.explain(err)
	case errors.Is(err, agent.ErrGone) && j.restarted(ctx, r):
		return r.fail(engine.MachineRestarted, r.phase(engine.PhaseSuspension), restartedProblem(r, "before its commit was seen to end"))
	}
	return r.unseen(engine.MachineUnknown, r.phase(engine.PhaseSuspension), err)
}

func restartedProblem(r *rollout, when string) *engine.Problem {
	return engine.NewProblem("machine_restarted", fmt.Sprintf("machine %s restarted %s, and booted what the record said then", r.machine.ID, when), nil, lookAgain)
}

const lookAgain = "See what runs with `flydeploy status`, then `flydeploy hot --resume`."

// resolve looks again at machines whose end was not seen. A commit that never came is taken back meanwhile: an agent that is committing
// does not listen to that.
func (j *job) resolve(ctx context.Context, machines []*rollout) {
	open := those(machines, (*rollout).isOpen)
	if len(open) == 0 {
		return
	}
	now, _ := j.ports.Fleet.Machines(ctx) // nil: nothing is known of the machines
	found := engine.ByID(now)
	_ = j.each(ctx, open, func(ctx context.Context, r *rollout) error {
		if m := found[r.machine.ID]; now != nil {
			if err := r.sameMachine(m); err != nil { // the VM that was told to commit is no more
				return err
			}
		}
		if err := j.order(ctx, ctx, r, r.session.Abort, agent.Committed); err != nil {
			return j.ended(ctx, r, err)
		}
		r.problem = nil
		return nil
	})
}

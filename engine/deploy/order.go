package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// call is a method of a session that gives the agent's status as soon as its Seq is greater than seen.
type call func(ctx context.Context, seen int64) (agent.Status, error)

// stillFor is how long an agent's status may stay the same before we look at its machine. Agents renew it every few seconds,
// except inside the window.
const stillFor = 15 * time.Second

// sendAndFollow sends the agent a command, more than once if answers get lost, and follows the agent until the wanted state or
// another end. Its phases are emitted as they come. The command is sent only while ctx lives (the lock is held, and the deploy not
// stopped); following goes on under follow, which may live longer, since what was sent ends by itself.
func (j *job) sendAndFollow(ctx, follow context.Context, r *rollout, command call, wanted agent.State) error {
	lost := j.lostAnswer(r.phase(engine.PhaseInject), r.machine.ID)
	before := r.status.Seq
	sent := false
	status, err := run.RetryUnknown(follow, lost, func() (agent.Status, error) {
		if err := context.Cause(ctx); err != nil {
			if !sent {
				return agent.Status{}, err
			}
			return r.session.Wait(follow, before) // do not send it again, but it may have arrived
		}
		sent = true
		return command(engine.Permitted(follow, ctx), before)
	})
	if err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && status.State == agent.Armed && wanted == agent.Committed {
		r.show(status)
		return cause // it has not arrived, and must not be sent again
	}
	return j.follow(follow, r, status, wanted)
}

// follow emits an agent's statuses, beginning with the given one, until the wanted state; another end is an error.
func (j *job) follow(ctx context.Context, r *rollout, status agent.Status, wanted agent.State) error {
	moved := time.Now()
	before := r.status.Seq
	for {
		r.show(status)
		switch {
		case status.State == wanted:
			return nil
		case status.State.Terminal():
			return r.endProblem()
		case status.Seq > before:
			moved = time.Now()
		case time.Since(moved) > stillFor:
			if err := j.stillThere(ctx, r); err != nil {
				return err
			}
			moved = time.Now()
		}
		before = status.Seq
		var err error
		status, err = run.RetryUnknown(ctx, j.lostAnswer(r.phase(engine.PhaseInject), r.machine.ID), func() (agent.Status, error) {
			return r.session.Wait(ctx, before)
		})
		if err != nil {
			return err
		}
	}
}

// stillThere looks whether a machine still runs the VM whose agent stands still: agent.ErrGone if it does not.
func (j *job) stillThere(ctx context.Context, r *rollout) error {
	now, err := j.glance(ctx) // many may stand still at once
	if err != nil {
		return fmt.Errorf("look at a machine whose agent stands still: %w", err)
	}
	if !r.isSameInstance(now[r.machine.ID]) {
		return fmt.Errorf("the machine stopped or was replaced: its agent is %w", agent.ErrGone)
	}
	if j.restarted(ctx, r) {
		return fmt.Errorf("the VM restarted: its agent is %w", agent.ErrGone)
	}
	return nil // it is there, or may be: the deadline decides
}

// restarted reports whether it is certain that the VM has booted again, or does not run.
func (j *job) restarted(ctx context.Context, r *rollout) bool {
	vm, err := agent.Discover(ctx, target.ExecOn(j.ports.Fleet, r.machine.ID), j.settings.Release)
	return errors.Is(err, agent.ErrNoVM) || err == nil && vm.Boot() != r.vm.Boot()
}

// within bounds one step on one machine by --timeout.
func (j *job) within(ctx context.Context, step func(context.Context) error) error {
	return run.Within(ctx, j.settings.Timeout, "Look at the machine with `fly logs`, or give it more time: --timeout.", step)
}

package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// call is one of a session's calls: it gives the agent's status as soon as its seq is greater than seen.
type call func(ctx context.Context, seen int64) (agent.Status, error)

// stillFor: an agent moves its status every few seconds, also without news, except inside the window.
const stillFor = 15 * time.Second

// order gives the agent a command, which may be sent twice, and follows the agent until the wanted state or a terminal one. Its
// phases are shown as they come. The command is sent only while ctx lives (the lock, and no stop); follow bounds the rest, and
// may live longer: what was sent ends by itself.
func (j *job) order(ctx, follow context.Context, r *rollout, command call, wanted agent.State) error {
	lost := j.lostAnswer(r.phase(engine.PhaseInject), r.machine.ID)
	before := r.status.Seq
	sent := false
	status, err := run.RetryUnknown(follow, lost, func() (agent.Status, error) {
		if err := context.Cause(ctx); err != nil {
			if !sent {
				return agent.Status{}, err
			}
			return r.session.Wait(follow, before) // not again: but it may have arrived
		}
		sent = true
		return command(engine.Permitted(follow, ctx), before)
	})
	if err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && status.State == agent.Armed && wanted == agent.Committed {
		r.show(status)
		return cause // it has not arrived, and is not sent again
	}
	return j.follow(follow, r, status, wanted)
}

// follow shows an agent's statuses, from one that has just come on.
func (j *job) follow(ctx context.Context, r *rollout, status agent.Status, wanted agent.State) error {
	moved := time.Now()
	before := r.status.Seq
	for {
		r.show(status)
		switch {
		case status.State == wanted:
			return nil
		case status.State.Terminal():
			return endOf(status)
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

// stillThere looks whether a machine still runs the VM whose agent does not move.
func (j *job) stillThere(ctx context.Context, r *rollout) error {
	now, err := j.ports.Fleet.Machines(ctx)
	if err != nil {
		return fmt.Errorf("look at a machine whose agent does not move: %w", err)
	}
	at := slices.IndexFunc(now, func(m engine.Machine) bool { return m.ID == r.machine.ID })
	if at < 0 || now[at].State != engine.StateStarted || now[at].InstanceID != r.machine.InstanceID {
		return fmt.Errorf("the machine stopped or was replaced, its agent is %w", agent.ErrGone)
	}
	if j.restarted(ctx, r) {
		return fmt.Errorf("the VM restarted, its agent is %w", agent.ErrGone)
	}
	return nil // it is there, or nobody knows: the deadline decides
}

// restarted: another boot of the VM is proven, or that it does not run.
func (j *job) restarted(ctx context.Context, r *rollout) bool {
	vm, err := agent.Discover(ctx, target.ExecOn(j.ports.Fleet, r.machine.ID), j.settings.Release)
	return errors.Is(err, agent.ErrNoVM) || err == nil && vm.Boot() != r.vm.Boot()
}

// within bounds one step on one machine.
func (j *job) within(ctx context.Context, step func(context.Context) error) error {
	return run.Within(ctx, j.settings.Timeout, "Look at the machine with `fly logs`, or give it more time with --timeout.", step)
}

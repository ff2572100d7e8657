package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// wave is the machines that commit together.
type wave struct {
	number, of int
	machines   []*rollout
}

func (c *committing) tellWave(w wave, text string) {
	if w.of > 1 {
		text = fmt.Sprintf("wave %d of %d: %s", w.number, w.of, text)
	}
	c.rec.Emit(engine.Event{
		Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text,
		Done: int64(count(c.machines, (*rollout).isUpgraded)), Total: int64(len(c.machines)), Unit: "machines",
	})
}

// MaxBake bounds a strategy's bake time: agents of upgraded machines stay for ten minutes.
const MaxBake = 8 * time.Minute

// lookAgainAfter is the pause after a look at the fleet that failed.
const lookAgainAfter = 2 * time.Second

// gate watches a wave for the strategy's bake time. A process that crashed or a machine that is not the same any more
// ends the deploy at once; a check that fails, or a fleet that cannot be listed, has until the end to be well again.
func (c *committing) gate(ctx context.Context, w wave) error {
	end := time.Now().Add(c.settings.Strategy.Bake)
	for {
		left := time.Until(end)
		c.tellWave(w, fmt.Sprintf("watched, %s left", max(left, 0).Round(time.Second)))
		sick, failing, err := c.health(ctx, w)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if sick == nil && left <= 0 {
			sick = failing
		}
		switch {
		case sick != nil:
			sick.Remedy = "Nothing further was started. What has been upgraded runs the new code: look at it with `fly logs`. " +
				"`flydeploy hot` goes on with the others; deploying the earlier version takes the upgraded ones back."
			return sick
		case err != nil && left < -c.settings.Timeout: // it had its own time as well
			return err
		case err != nil:
			if err := run.Wait(ctx, lookAgainAfter); err != nil {
				return err
			}
		case left <= 0:
			return nil
		}
	}
}

// health takes one look at a wave, in the time between two statuses of an agent, a few seconds. sick cannot get well
// again; failing may; err says that the fleet could not be listed, which is no sign of a sick machine.
func (c *committing) health(ctx context.Context, w wave) (sick, failing *engine.Problem, err error) {
	bounded, cancel := context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	gone := make([]bool, len(w.machines))
	at := map[*rollout]int{}
	for i, r := range w.machines {
		at[r] = i
	}
	_ = c.each(bounded, w.machines, func(ctx context.Context, r *rollout) error {
		status, err := r.session.Wait(ctx, r.status.Seq)
		if gone[at[r]] = errors.Is(err, agent.ErrGone); err == nil {
			r.show(status)
		}
		return err // no answer is no sign of a sick machine: its last status stands
	})
	now, err := c.ports.Fleet.Machines(bounded)
	if err != nil {
		return nil, nil, fmt.Errorf("list machines after a wave: %w", err)
	}
	found := engine.ByID(now)
	for i, r := range w.machines {
		m := found[r.machine.ID]
		switch {
		case m.InstanceID != r.machine.InstanceID || m.State != engine.StateStarted:
			sick = unhealthy(r, fmt.Sprintf("it is %s, and not the instance that was upgraded", nowState(m)))
		case gone[i]: // a terminal agent stays longer than any watch
			sick = unhealthy(r, "its VM ended")
		case r.status.Crashed > 0:
			sick = unhealthy(r, fmt.Sprintf("%d of the migrated processes crashed", r.status.Crashed))
		case m.ChecksPassed < r.machine.ChecksPassed:
			failing = unhealthy(r, fmt.Sprintf("%d of %d checks pass, before the upgrade %d did", m.ChecksPassed, m.ChecksTotal, r.machine.ChecksPassed))
		}
	}
	return sick, failing, nil
}

func unhealthy(r *rollout, what string) *engine.Problem {
	return engine.NewProblem("unhealthy", fmt.Sprintf("machine %s is not well after the upgrade: %s", r.machine.ID, what), nil, "")
}

// nowState is Fly's state of a machine that may not be there any more.
func nowState(m engine.Machine) string {
	if m.ID == "" {
		return "gone"
	}
	return m.State
}

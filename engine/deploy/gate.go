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

// wave is a group of machines that commit together.
type wave struct {
	number, of int
	machines   []*rollout
}

// showWave emits how far the commit has come, with a text about the wave.
func (c *committing) showWave(w wave, text string) {
	if w.of > 1 {
		text = fmt.Sprintf("wave %d of %d: %s", w.number, w.of, text)
	}
	c.rec.Emit(engine.Event{
		Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text,
		Done: int64(count(c.machines, (*rollout).isUpgraded)), Total: int64(len(c.machines)), Unit: "machines",
	})
}

// MaxBake is the longest bake time of a strategy: the agents of upgraded machines, which are asked meanwhile, stay for ten
// minutes.
const MaxBake = 8 * time.Minute

// lookAgainAfter is the pause after the fleet could not be listed.
const lookAgainAfter = 2 * time.Second

// gate watches a wave for the strategy's bake time. A crashed process or a changed machine ends the deploy at once; a failing
// check, or a fleet that cannot be listed, may recover until the end of the bake time.
func (c *committing) gate(ctx context.Context, w wave) error {
	end := time.Now().Add(c.settings.Strategy.Bake)
	for {
		remaining := time.Until(end)
		c.showWave(w, fmt.Sprintf("watched, %s left", max(remaining, 0).Round(time.Second)))
		sick, failing, err := c.health(ctx, w)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if sick == nil && remaining <= 0 {
			sick = failing
		}
		switch {
		case sick != nil:
			sick.Remedy = "Nothing more was started. The upgraded machines run the new code: look at them with `fly logs`. " +
				"`flydeploy hot` upgrades the others; deploying the earlier version takes the upgraded ones back."
			return sick
		case err != nil && remaining < -c.settings.Timeout: // one machine's time is over as well
			return err
		case err != nil:
			if err := run.Wait(ctx, lookAgainAfter); err != nil {
				return err
			}
		case remaining <= 0:
			return nil
		}
	}
}

// health looks at a wave once, which takes as long as an agent waits between two statuses: a few seconds. sick is final,
// failing may pass, and err says that the fleet could not be listed, which does not mean that a machine is sick.
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
		return err // a missing answer does not mean a sick machine: its last status counts
	})
	now, err := c.ports.Fleet.Machines(bounded)
	if err != nil {
		return nil, nil, fmt.Errorf("list machines after a wave: %w", err)
	}
	found := engine.ByID(now)
	for i, r := range w.machines {
		m := found[r.machine.ID]
		switch {
		case m.State != engine.StateStarted:
			sick = unhealthy(r, "it is "+currentState(m))
		case m.InstanceID != r.machine.InstanceID:
			sick = unhealthy(r, "another instance has replaced it")
		case gone[i]: // an agent that has ended stays longer than MaxBake
			sick = unhealthy(r, "its VM ended")
		case r.status.Crashed > 0:
			sick = unhealthy(r, fmt.Sprintf("%d of the migrated processes crashed", r.status.Crashed))
		case m.ChecksPassed < r.machine.ChecksPassed:
			failing = unhealthy(r, fmt.Sprintf("%d of %d checks pass; before the upgrade, %d did", m.ChecksPassed, m.ChecksTotal, r.machine.ChecksPassed))
		}
	}
	return sick, failing, nil
}

func unhealthy(r *rollout, what string) *engine.Problem {
	return engine.NewProblem("unhealthy", fmt.Sprintf("machine %s is unhealthy after the upgrade: %s", r.machine.ID, what), nil, "")
}

// currentState gives Fly's state of a machine, "gone" if it does not exist any more.
func currentState(m engine.Machine) string {
	if m.ID == "" {
		return "gone"
	}
	return m.State
}

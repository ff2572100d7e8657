package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// wave is the machines that commit together.
type wave struct {
	number, of int
	machines   []*Rollout
}

func (p *Pipeline) tellWave(w wave, text string) {
	if w.of > 1 {
		text = fmt.Sprintf("wave %d of %d: %s", w.number, w.of, text)
	}
	p.rec.Emit(engine.Event{
		Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text,
		Done: int64(p.upgradedCount()), Total: int64(len(p.machines)), Unit: "machines",
	})
}

// MaxBake bounds a strategy's bake time: agents of upgraded machines stay for ten minutes.
const MaxBake = 8 * time.Minute

// gate watches a wave for the strategy's bake time. A process that crashed or a machine that is not the same any more
// ends the deploy at once; a check that fails has until the end to pass again.
func (p *Pipeline) gate(ctx context.Context, w wave) error {
	end := time.Now().Add(p.settings.Strategy.Bake)
	for {
		left := time.Until(end)
		p.tellWave(w, fmt.Sprintf("watched, %s left", max(left, 0).Round(time.Second)))
		sick, failing, err := p.lookAt(ctx, w)
		switch {
		case err != nil:
			return err
		case sick == nil && left <= 0:
			sick = failing
		}
		if sick != nil {
			sick.Remedy = "Nothing further was started. What has been upgraded runs the new code: look at it with `fly logs`. " +
				"`flydeploy hot` goes on with the others; deploying the earlier version takes the upgraded ones back."
			return sick
		}
		if left <= 0 {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// lookAt takes one look at a wave, in the time between two statuses of an agent, a few seconds. sick cannot get well
// again; failing may.
func (p *Pipeline) lookAt(ctx context.Context, w wave) (sick, failing *engine.Problem, err error) {
	bounded, cancel := context.WithTimeout(ctx, p.settings.Timeout)
	defer cancel()
	_ = p.each(bounded, w.machines, func(ctx context.Context, r *Rollout) error {
		status, err := r.session.Wait(ctx, r.status.Seq)
		if r.gone = errors.Is(err, agent.ErrGone); err == nil {
			p.show(r, status)
		}
		return err // no answer is no sign of a sick machine: its last status stands
	})
	now, err := p.ports.Fleet.Machines(bounded)
	if err != nil {
		return nil, nil, fmt.Errorf("list machines after a wave: %w", err)
	}
	found := engine.ByID(now)
	for _, r := range w.machines {
		m := found[r.Machine.ID]
		switch {
		case m.InstanceID != r.Machine.InstanceID || m.State != engine.StateStarted:
			sick = unhealthy(r, "it is "+stateOr(m.State)+", and not the instance that was upgraded")
		case r.gone: // a terminal agent stays longer than any watch
			sick = unhealthy(r, "its VM ended")
		case r.status.Crashed > 0:
			sick = unhealthy(r, fmt.Sprintf("%d of the migrated processes crashed", r.status.Crashed))
		case m.ChecksPassed < r.Machine.ChecksPassed:
			failing = unhealthy(r, fmt.Sprintf("%d of %d checks pass, before the upgrade %d did", m.ChecksPassed, m.ChecksTotal, r.Machine.ChecksPassed))
		}
	}
	return sick, failing, nil
}

func unhealthy(r *Rollout, what string) *engine.Problem {
	return engine.NewProblem("unhealthy", fmt.Sprintf("machine %s is not well after the upgrade: %s", r.Machine.ID, what), nil, "")
}

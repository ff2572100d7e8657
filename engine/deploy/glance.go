package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// glanceLasts is how long machines that are looked at after each other are looked at in one list: many restart at once.
const glanceLasts = 2 * time.Second

// glance is the latest list of the machines that somebody has asked for who wants to know what has become of one.
type glance struct {
	turn chan struct{} // holds one while somebody asks
	at   time.Time
	now  map[string]engine.Machine
}

func newGlance() *glance { return &glance{turn: make(chan struct{}, 1)} }

// glance lists the machines, or gives a list that was made just now.
func (j *job) glance(ctx context.Context) (map[string]engine.Machine, error) {
	g := j.glanced
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if g.now != nil && time.Since(g.at) < glanceLasts {
		return g.now, nil
	}
	at := time.Now()
	now, err := j.ports.Fleet.Machines(ctx)
	if err != nil {
		return nil, err
	}
	g.at, g.now = at, engine.ByID(now)
	return g.now, nil
}

// goneVM says what has become of a machine whose VM is not the one that was upgraded: as far as Fly knows it is another instance, which
// has booted its own image, or else it has restarted.
func (j *job) goneVM(ctx context.Context, r *rollout, phase engine.Phase, when string) error {
	if now, err := j.glance(ctx); err == nil {
		if changed := r.sameMachine(now[r.machine.ID], when); changed != nil {
			return changed
		}
	}
	return r.fail(engine.MachineRestarted, phase, restartedProblem(r, when))
}

// takeFacts takes over what Fly says now of a machine whose agent is gone: it may be another instance, and may not be with another image
// than the plan was made for.
func (c *committing) takeFacts(ctx context.Context, r *rollout, gone error) error {
	if !errors.Is(gone, agent.ErrGone) {
		return nil
	}
	now, err := c.glance(ctx)
	if err != nil {
		return nil // nothing is known: what the VM says decides
	}
	m, there := now[r.machine.ID]
	switch {
	case !there:
		return r.fail(engine.MachineGone, engine.PhaseArm, engine.NewProblem("machine_changed", fmt.Sprintf("machine %s was destroyed after the plan", r.machine.ID), nil, lookAgain))
	case !engine.SameImage(m.FullImage(), c.upgrade.BaseImage):
		images := engine.ImageNames(m.FullImage(), c.upgrade.BaseImage)
		return r.fail(engine.MachineFailed, engine.PhaseArm, engine.NewProblem("machine_changed",
			fmt.Sprintf("machine %s was replaced after the plan: it runs image %s, and the plan is for %s", r.machine.ID, images[0], images[1]), nil,
			"Nothing was committed on it. Somebody deploys cold, it seems: deploy again once all machines have one image."))
	}
	r.machine = m
	return nil
}

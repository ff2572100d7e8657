package deploy

import (
	"context"
	"sync"
	"time"

	"flydeploy/engine"
)

// hook runs the operator's command for a moment of the deploy, and logs what it prints. A dry run has none but the one that is told of
// its plan.
func (j *job) hook(ctx context.Context, ph engine.Phase, e engine.MomentEvent) error {
	if j.ports.Hooks == nil || j.settings.DryRun && e.Hook != engine.MomentPlanned {
		return nil
	}
	e.V, e.Type = engine.EventVersion, "hook"
	return j.ports.Hooks.Run(ctx, e, func(line string) { j.rec.Log(ph, string(e.Hook)+": "+line) })
}

// tell is hook where a command that fails ends nothing. Nobody is told of one that was cut short.
func (j *job) tell(ctx context.Context, ph engine.Phase, e engine.MomentEvent) {
	if err := j.hook(ctx, ph, e); err != nil && ctx.Err() == nil {
		j.rec.Log(ph, string(e.Hook)+": "+engine.AsProblem(err).What+"; the deploy goes on")
	}
}

// telling is tell beside what the deploy does meanwhile. The function that it gives waits for the command.
func (j *job) telling(ctx context.Context, ph engine.Phase, e engine.MomentEvent) (wait func()) {
	var told sync.WaitGroup
	told.Go(func() { j.tell(ctx, ph, e) })
	return told.Wait
}

// tellCommitted tells of machines that have taken the upgrade, if there are any, whatever has become of the deploy.
func (j *job) tellCommitted(ctx context.Context, st *staged) {
	if !anyOf(st.machines, func(r *rollout) bool { return r.hasTaken() || r.state == engine.MachineCold }) {
		return
	}
	ctx, cancel := j.detached(ctx, tellWithin)
	defer cancel()
	j.tell(ctx, engine.PhaseMetadata, engine.MomentEvent{Hook: engine.MomentAfterCommit, Upgrade: st.upgrade, Machines: resultsOf(st.machines)})
}

func resultsOf(machines []*rollout) []engine.MachineResult {
	results := make([]engine.MachineResult, 0, len(machines))
	for _, r := range machines {
		results = append(results, r.result())
	}
	return results
}

const (
	tellWithin = 11 * time.Minute // more than any command's own limit is
	postWithin = 15 * time.Second
)

// tellEnd tells the outcome to the operator's command, and posts it, beside each other.
func (j *job) tellEnd(ctx context.Context, r engine.Result) {
	if j.ports.Hooks == nil || r.DryRun {
		return
	}
	j.rec.Log(engine.PhaseResults, "the deploy has ended: "+string(r.Outcome)) // whoever watches need not wait for what follows
	posting, cancel := j.detached(ctx, postWithin)
	defer cancel()
	var posted sync.WaitGroup
	posted.Go(func() {
		if err := j.ports.Hooks.Post(posting, r); err != nil {
			j.rec.Log(engine.PhaseResults, engine.AsProblem(err).What)
		}
	})
	defer posted.Wait()
	telling, cancelTelling := j.detached(ctx, tellWithin)
	defer cancelTelling()
	j.tell(telling, engine.PhaseResults, engine.MomentEvent{Hook: engine.MomentEnded, Upgrade: r.Upgrade, Result: &r})
}

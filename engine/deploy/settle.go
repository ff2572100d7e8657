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

const (
	settleWithin = 30 * time.Second // one step of settling
	hurryWithin  = time.Second      // one step, once the end may not take long: they are eight at most
)

// bounded runs one step of a deploy's end. It has a time of its own, since the deploy's context may have ended already,
// and since one machine that does not answer must not take the others' time.
func (j *job) bounded(ctx context.Context, step func(context.Context)) {
	bounded, cancel := j.detached(ctx, settleWithin)
	defer cancel()
	step(bounded)
}

// detached gives a context that a stopped deploy does not end, only time; little time once the end is hurried.
func (j *job) detached(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	stop := context.AfterFunc(j.hurry, func() {
		timer := time.AfterFunc(hurryWithin, cancel)
		context.AfterFunc(bounded, func() { timer.Stop() })
	})
	return bounded, func() { stop(); cancel() }
}

// settle leaves nothing behind, whatever happened, and tells the end: agents, a plan's upload, results, the lock, the record; each
// once, each bounded, and each whatever the ones before it did.
func (j *job) settle(ctx context.Context, all *soFar, err error) engine.Result {
	var faults []error
	step := func(work func(context.Context)) {
		if crash := run.Guarded(func() error { j.bounded(ctx, work); return nil }); crash != nil {
			faults = append(faults, crash)
		}
	}
	step(func(ctx context.Context) { j.settleAgents(ctx, all) })
	step(func(ctx context.Context) { j.dropPlansUpload(ctx, all) })
	step(func(ctx context.Context) { j.writeResults(ctx, all) })
	step(func(ctx context.Context) {
		if all.held != nil && all.held.Lost() == nil {
			j.closeEarlier(ctx, all.storage.Records, all.earlier)
		}
		j.releaseLock(ctx, all)
	})
	result := j.result(all, errors.Join(append([]error{err}, faults...)...))
	step(func(ctx context.Context) {
		if all.journal == nil {
			return
		}
		if err := all.journal.Finish(ctx, result); err != nil && result.Problem == nil {
			result.Problem = engine.NewProblem("record", "the end of the record could not be written", err, "The deploy itself is done; `flydeploy history` shows it as unfinished.")
		}
	})
	return result
}

// settleAgents leaves no agent behind: what is staged or armed is aborted, what is terminal finished. A machine whose end
// was looked for in vain is left alone: its agent ends by itself.
func (j *job) settleAgents(ctx context.Context, all *soFar) {
	open := those(all.machines(), func(r *rollout) bool { return r.order != nil && !r.isOpen() })
	_ = run.Each(ctx, open, j.settings.MaxConcurrency, (*rollout).where, func(ctx context.Context, r *rollout) error {
		if r.session == nil && !j.findAgain(ctx, r) {
			return nil
		}
		if !r.status.State.Terminal() {
			j.abort(ctx, r)
		}
		j.awaitReport(ctx, r)
		if r.status.State.Terminal() {
			_ = r.session.Finish(ctx) // it ends by itself as well
		}
		return nil
	})
}

// awaitReport waits for the report of what failed, ten seconds at most. The agent ends only after its upload.
func (j *job) awaitReport(ctx context.Context, r *rollout) {
	if !r.status.ReportDue() || r.report == "" {
		return
	}
	if status, err := r.session.Wait(ctx, r.status.Seq); err == nil {
		r.show(status)
	}
}

// findAgain looks for the agent of an injection that was cut off: the same order again gives its session. It ends by itself
// where this fails.
func (j *job) findAgain(ctx context.Context, r *rollout) bool {
	var err error
	r.session, err = agent.Inject(ctx, target.ExecOn(j.ports.Fleet, r.machine.ID), r.vm, *r.order)
	return err == nil
}

// abort takes back what was staged or armed. Nothing was committed, so an agent that is gone has changed nothing.
func (j *job) abort(ctx context.Context, r *rollout) {
	err := j.order(ctx, ctx, r, r.session.Abort, agent.Aborted)
	switch {
	case r.status.State.Terminal():
	case errors.Is(err, agent.ErrGone):
		if r.state.CanBecome(engine.MachineExpired) {
			r.move(engine.MachineExpired, engine.Event{Phase: r.phase(engine.PhaseInject), Status: engine.StatusSkipped, Text: "its agent had ended"})
		}
	case err != nil && r.problem == nil:
		r.problem = engine.AsProblem(err)
		r.emit(engine.Event{Phase: r.phase(engine.PhaseInject), Status: engine.StatusUnknown, Text: "did not answer", Problem: r.problem})
	}
}

// releaseLock frees the lock once every machine is settled. Where a machine's end is not known, the lock is left to
// expire: its agent may still be at work.
func (j *job) releaseLock(ctx context.Context, all *soFar) {
	if all.held == nil {
		return
	}
	for _, r := range all.machines() {
		if r.isOpen() {
			all.held.Abandon()
			all.lockLeft = true
			j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: fmt.Sprintf(
				"the end on machine %s is not known: the lock stays until it expires, within %s", r.machine.ID, j.settings.LockTimeout)})
			return
		}
	}
	switch err := all.held.Release(ctx); {
	case errors.Is(err, engine.ErrLockLost):
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: "somebody else has the lock by now, or it expired"})
	case err != nil:
		all.lockLeft = true
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
	default:
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
	}
}

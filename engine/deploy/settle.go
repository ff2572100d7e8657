package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/lock"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

const (
	settleWithin = 30 * time.Second // one step of settling
	hurryWithin  = time.Second      // one step after Hurry; there are at most eight
)

// withSettleTimeout runs one step of a deploy's end with a timeout of its own: the deploy's context may have ended already, and a
// machine that does not answer must not use up the time of later steps.
func (j *job) withSettleTimeout(ctx context.Context, step func(context.Context)) {
	bounded, cancel := j.detached(ctx, settleWithin)
	defer cancel()
	step(bounded)
}

// detached gives a context that only a timeout ends, not the end of ctx. After Hurry the timeout is short.
func (j *job) detached(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	stop := context.AfterFunc(j.hurry, func() {
		timer := time.AfterFunc(hurryWithin, cancel)
		context.AfterFunc(bounded, func() { timer.Stop() })
	})
	return bounded, func() { stop(); cancel() }
}

// settle cleans up, whatever happened, and gives the result: it ends agents, deletes a dry run's upload, writes results, releases
// the lock and completes the record. Each step runs once, within a time of its own, even if the ones before it failed.
func (j *job) settle(ctx context.Context, all *soFar, err error) engine.Result {
	var faults []error
	var lockLeft bool // it stays until it expires
	step := func(work func(context.Context)) {
		if crash := run.Guarded(func() error { j.withSettleTimeout(ctx, work); return nil }); crash != nil {
			faults = append(faults, crash)
		}
	}
	step(func(ctx context.Context) { j.settleAgents(ctx, all.machines()) })
	step(func(ctx context.Context) { j.deleteDryRunUpload(ctx, all.storage, all.packed) })
	step(func(ctx context.Context) { j.writeResults(ctx, all) })
	step(func(ctx context.Context) {
		held := all.locked.held
		if held == nil {
			return
		}
		if held.Lost() == nil {
			j.closeEarlier(ctx, all.storage.Records, all.earlier)
		}
		lockLeft = j.releaseLock(ctx, held, all.machines())
	})
	result := j.result(all, errors.Join(append([]error{err}, faults...)...))
	result.LockLeft = lockLeft
	step(func(context.Context) { j.tellEnd(ctx, result) })
	step(func(ctx context.Context) {
		if all.journal == nil {
			return
		}
		if err := all.journal.Finish(ctx, result); err != nil && result.Problem == nil {
			result.Problem = engine.NewProblem("record", "the end of the record could not be written", err, "The deploy itself is complete, although `flydeploy history` shows it as unfinished.")
		}
	})
	return result
}

// settleAgents ends the agents: those that are staged or armed are aborted, and those that have come to an end are removed. If a
// machine's end could not be found out, its agent is left to end by itself.
func (j *job) settleAgents(ctx context.Context, machines []*rollout) {
	open := filter(machines, func(r *rollout) bool { return r.order != nil && !r.endUnknown() })
	_ = run.Each(ctx, open, j.settings.MaxConcurrency, (*rollout).where, func(ctx context.Context, r *rollout) error {
		if r.session == nil && !j.reconnect(ctx, r) {
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

// awaitReport waits up to ten seconds until the agent has uploaded its report of failures.
func (j *job) awaitReport(ctx context.Context, r *rollout) {
	if !r.status.ReportDue() || r.report == "" {
		return
	}
	if status, err := r.session.Wait(ctx, r.status.Seq); err == nil {
		r.show(status)
	}
}

// reconnect finds the agent of an injection that was cut off: sending the same order again gives its session. If that fails,
// the agent ends by itself.
func (j *job) reconnect(ctx context.Context, r *rollout) bool {
	var err error
	r.session, err = agent.Inject(ctx, target.ExecOn(j.ports.Fleet, r.machine.ID), r.vm, *r.order)
	return err == nil
}

// abort takes back what was staged or armed. Without a commit, an agent that is gone has changed nothing.
func (j *job) abort(ctx context.Context, r *rollout) {
	err := j.sendAndFollow(ctx, ctx, r, r.session.Abort, agent.Aborted)
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

// releaseLock frees the lock once every machine is settled. While a machine's end is not known, its agent may still be at work,
// so the lock is left to expire. It reports whether the lock was left.
func (j *job) releaseLock(ctx context.Context, held *lock.Held, machines []*rollout) (left bool) {
	for _, r := range machines {
		if r.endUnknown() {
			held.Abandon()
			j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: fmt.Sprintf(
				"it is not known how machine %s ended: the lock stays until it expires, within %s", r.machine.ID, j.settings.LockTimeout)})
			return true
		}
	}
	switch err := held.Release(ctx); {
	case errors.Is(err, engine.ErrLockLost):
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: "the lock has expired, or somebody else has taken it"})
	case err != nil:
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return true
	default:
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
	}
	return false
}

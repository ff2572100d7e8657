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
	"flydeploy/text"
)

const (
	settleWithin = 30 * time.Second      // one step of settling, and
	settleEach   = 30 * time.Millisecond // for each machine as much more
	hurryWithin  = time.Second           // one step after Hurry; there are at most eight
)

// settleTime is how long one step of settling may take for a fleet.
func (j *job) settleTime() time.Duration {
	return settleWithin + time.Duration(j.machines.Load())*settleEach
}

// withSettleTimeout runs one step of a deploy's end with a timeout of its own: the deploy's context may have ended already, and a
// machine that does not answer must not use up the time of later steps.
func (j *job) withSettleTimeout(ctx context.Context, step func(context.Context)) {
	bounded, cancel := j.detached(ctx, j.settleTime())
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
	step(func(ctx context.Context) { j.tidy(ctx, all) })
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
		lockLeft = j.releaseLock(ctx, all.storage.Locks, all.locked.id, held, all.machines())
	})
	result := j.result(all, errors.Join(append([]error{err}, faults...)...))
	result.LockLeft, result.Left = lockLeft, j.left.list()
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

// tidy ends the agents, and shows that it does.
func (j *job) tidy(ctx context.Context, all *soFar) {
	n := count(all.machines(), func(r *rollout) bool { return r.mayHaveAgent() && !r.keepsAgent() })
	if n == 0 {
		return
	}
	show := func(status engine.Status, text string) {
		j.rec.Emit(engine.Event{Phase: engine.PhaseResults, Status: status, Text: text})
	}
	show(engine.StatusRunning, "ending the agents of "+text.Counted(n, "machine"))
	j.settleAgents(ctx, all.machines())
	if all.journal == nil { // no results are written
		show(engine.StatusSkipped, "the agents of "+text.Counted(n, "machine")+" have ended")
	}
}

func (r *rollout) mayHaveAgent() bool { return r.order != nil }

// settleAgents ends the agents: those that are staged or armed are aborted, and those that have come to an end are removed. If a
// machine's end could not be found out, its agent is left to end by itself.
func (j *job) settleAgents(ctx context.Context, machines []*rollout) {
	for _, r := range filter(machines, func(r *rollout) bool { return r.mayHaveAgent() && r.endUnknown() }) {
		j.leaveAgent(r)
	}
	open := filter(machines, func(r *rollout) bool { return r.mayHaveAgent() && !r.endUnknown() && !r.keepsAgent() })
	_ = j.eachButLast(ctx, open, j.few(len(machines)), afterwardsGet, func(ctx context.Context, r *rollout) error {
		if r.session == nil {
			if err := j.reconnect(ctx, r); err != nil {
				if !isNone(err) {
					j.leaveAgent(r)
				}
				return nil
			}
		}
		if !r.status.State.Terminal() && j.abort(ctx, r) {
			return nil
		}
		j.awaitReport(ctx, r)
		if !r.status.State.Terminal() || r.session.Finish(ctx) != nil {
			j.leaveAgent(r)
		}
		return nil
	})
}

// isNone reports whether an injection that has failed with err has certainly left no agent, nor met one.
func isNone(err error) bool {
	var refused *agent.Refusal
	return errors.Is(err, agent.ErrNoVM) || errors.Is(err, agent.ErrGone) || errors.As(err, &refused)
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
func (j *job) reconnect(ctx context.Context, r *rollout) error {
	session, err := agent.Inject(ctx, target.ExecOn(j.ports.Fleet, r.machine.ID), r.vm, *r.order)
	if err == nil {
		r.session = session
	}
	return err
}

// abort takes back what was staged or armed, and reports whether the agent has gone. Without a commit, one that is gone has changed nothing.
func (j *job) abort(ctx context.Context, r *rollout) (gone bool) {
	err := j.sendAndFollow(ctx, ctx, r, r.session.Abort, agent.Aborted)
	switch {
	case r.status.State.Terminal():
	case errors.Is(err, agent.ErrGone):
		gone = true
		if r.state.CanBecome(engine.MachineExpired) {
			r.move(engine.MachineExpired, engine.Event{Phase: r.phase(engine.PhaseInject), Status: engine.StatusSkipped, Text: "its agent had ended"})
		}
	case err != nil && r.problem == nil:
		r.problem = engine.AsProblem(err)
		r.emit(engine.Event{Phase: r.phase(engine.PhaseInject), Status: engine.StatusUnknown, Text: "did not answer", Problem: r.problem})
	}
	return gone
}

// releaseLock frees the lock once every machine is settled. While a machine's end is not known, its agent may still be at work,
// so the lock is left to expire. It reports whether the lock was left.
func (j *job) releaseLock(ctx context.Context, locks engine.Locks, id string, held *lock.Held, machines []*rollout) (left bool) {
	for _, r := range machines {
		if r.endUnknown() {
			held.Abandon()
			j.leaveLock()
			j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: fmt.Sprintf(
				"it is not known how machine %s ended: the lock stays until it expires, within %s", r.machine.ID, j.settings.LockTimeout)})
			return true
		}
	}
	switch err := held.Release(ctx); {
	case errors.Is(err, engine.ErrLockLost) && j.dropLock(ctx, locks, id):
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: "the lock could not be renewed, nor released: it stays until it expires"})
		return true
	case errors.Is(err, engine.ErrLockLost):
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusSkipped, Text: "the lock has expired, or somebody else has taken it"})
	case err != nil:
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		j.leaveLock()
		return true
	default:
		j.rec.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
	}
	return false
}

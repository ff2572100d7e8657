package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/text"
)

// committing is what the commit works with: what was staged, where verified machines are recorded, and what was accepted.
type committing struct {
	*staged
	book     *ledger
	accepted []string     // names of accepted blockers
	leases   *leases      // of the wave
	failed   atomic.Int64 // machines of the wave, if it is too large to be armed together
	passed   error        // what has failed in waves after which an operator went on
}

// commit goes through the waves of the strategy: it arms every machine of a wave, and once all are armed, sends each the short
// command that commits. A commit that was sent ends by itself: a stop only keeps further machines from starting.
func (st *staged) commit(ctx context.Context, book *ledger, accepted []string) error {
	adopted, todo := filter(st.machines, (*rollout).isAdopted), filter(st.machines, (*rollout).isStaged)
	st.saysUnwatched()
	if len(adopted)+len(todo) == 0 {
		st.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusSkipped, Text: nothingToCommit(st.machines)})
		return nil
	}
	if err := st.checkTrial(todo); err != nil {
		return err
	}
	c := &committing{staged: st, book: book, accepted: accepted}
	st.left.canResume(true)
	return st.phase(engine.PhaseCommit, st.settings.Strategy.Describe(st.groups(todo)...), &st.upgrade, func() (string, error) {
		err := c.waves(ctx, c.split(adopted, todo))
		return fmt.Sprintf("%d of %s upgraded", count(c.machines, (*rollout).reportsUpgrade), text.Counted(len(c.machines), "machine")), err
	})
}

// groups gives the sizes of the groups of which waves hold one each.
func (st *staged) groups(todo []*rollout) []int {
	_, sizes := engine.Grouped(st.settings.Strategy.By, todo, (*rollout).facing)
	return sizes
}

// beforeWaves does what comes between the confirmation and the first wave: it looks for machines that have changed, has the operator's
// command decide, and runs the release_command, which takes its time, so that machines are looked at again after it. It gives the plan
// that holds now.
func (st *staged) beforeWaves(ctx context.Context, p *engine.Plan, accepted []string) (*engine.Plan, error) {
	p, err := st.stageChanged(ctx, p, accepted)
	if err != nil || !anyOf(st.machines, (*rollout).isStaged) {
		return p, err
	}
	if err := st.beforeCommit(ctx, p); err != nil || !st.runsReleaseCommand() {
		return p, err
	}
	if err := st.runReleaseCommand(ctx); err != nil {
		return p, err
	}
	for _, r := range st.machines {
		r.heard = time.Time{} // before it
	}
	return st.stageChanged(ctx, p, accepted)
}

// beforeCommit has the operator's command decide.
func (st *staged) beforeCommit(ctx context.Context, p *engine.Plan) error {
	err := st.hook(ctx, engine.PhaseCommit, engine.MomentEvent{Hook: engine.MomentBeforeCommit, Upgrade: st.upgrade, Plan: p})
	if err != nil {
		st.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: failedBy(err), Problem: engine.AsProblem(err)})
	}
	return err
}

func nothingToCommit(machines []*rollout) string {
	if everyOf(machines, (*rollout).reportsUpgrade) {
		return "every machine runs this code already"
	}
	return "every machine whose VM runs has this code already"
}

// waves commits one wave after another, and watches each, the last one too. A wave must be well before the next one starts.
func (c *committing) waves(ctx context.Context, waves []wave) error {
	for _, w := range waves {
		sick, failed := c.carryOut(ctx, w)
		n, taken := count(c.machines, (*rollout).hasFailed), anyOf(w.machines, (*rollout).reportsUpgrade) // a wave that none has taken shows nothing
		if failed != nil && n > 0 && n <= c.settings.MaxFailed && taken {
			c.passed, failed = errors.Join(c.passed, failed), nil
		}
		if sick == nil { // whoever goes on with what is not well is still asked about a machine that has failed
			sick, failed = c.onFailed(ctx, w, failed)
		}
		if sick != nil || failed != nil {
			return errors.Join(cmp.Or(sick, c.unhealthyError()), c.passed, failed)
		}
	}
	return errors.Join(c.unhealthyError(), c.passed) // of waves after which it went on
}

// carryOut commits a wave and watches it, and does what is to be done about one that is not well. sick is nil where it may go on.
func (c *committing) carryOut(ctx context.Context, w wave) (sick, failed error) {
	failed = c.wave(ctx, w)
	if context.Cause(ctx) == nil { // what has committed is watched, whatever has become of the others
		sick = c.gate(ctx, w)
	}
	if errors.Is(sick, errUnhealthy) {
		sick = c.onSick(ctx, w, sick)
	}
	return sick, failed
}

func (c *committing) wave(ctx context.Context, w wave) error {
	c.showWave(w, text.Counted(len(w.machines), "machine"))
	c.leases = c.holdLeases(ctx, c.upgrade.ID)
	defer c.withSettleTimeout(ctx, c.leases.release)
	if len(w.machines) > c.atOnce(len(w.machines)) {
		return c.inTurn(ctx, w)
	}
	return c.together(ctx, w)
}

// disarm takes back what was armed in a wave that does not commit since arming has failed: an armed agent expires while an operator thinks.
// The error that it returns says that more machines than the failed ones have not been upgraded. A stop, or a lost lock, leaves it to settle.
func (c *committing) disarm(ctx context.Context, w wave, failed error) error {
	others := filter(w.machines, (*rollout).awaitsCommit)
	if len(others) == 0 || context.Cause(ctx) != nil {
		return failed
	}
	c.withSettleTimeout(ctx, func(ctx context.Context) {
		_ = c.each(ctx, others, func(ctx context.Context, r *rollout) error {
			c.abort(ctx, r)
			return nil
		})
	})
	p := *engine.AsProblem(failed)
	p.What += "; so nothing was committed on " + text.Counted(len(others), "other machine") + " of its wave"
	return p.WithCause(failed)
}

// explainEnd emits why the agent of a machine has ended, with the phase in which it did, and returns err.
func (r *rollout) explainEnd(err error) error {
	r.problem = engine.AsProblem(err)
	report := reportOf(r.status)
	r.emit(engine.Event{Phase: r.phase(engine.PhaseSuspension), Status: engine.StatusFailed, Problem: r.problem, Report: &report})
	return err
}

// arm arms a machine. If what was staged has expired during earlier waves, it is staged again first.
func (c *committing) arm(ctx context.Context, r *rollout) error {
	if err := c.leases.take(ctx, r); err != nil {
		return r.fail(engine.MachineFailed, engine.PhaseArm, err)
	}
	if err := c.held.Confirm(ctx); err != nil {
		return err
	}
	arm := func() error {
		r.move(engine.MachineArming, engine.Event{Phase: engine.PhaseArm, Status: engine.StatusPending})
		return c.within(ctx, func(ctx context.Context) error { return c.sendAndFollow(ctx, ctx, r, r.session.Arm, agent.Armed) })
	}
	var err error
	if r.isStaged() {
		err = arm()
	}
	if errors.Is(err, agent.ErrGone) || r.isExpired() {
		if err := c.takeFacts(ctx, r, err); err != nil {
			return err
		}
		if err := c.restage(ctx, r); err != nil {
			return err
		}
		if r.state == engine.MachineUpToDate {
			return nil
		}
		err = arm()
	}
	switch {
	case err == nil:
		return nil
	case r.state.Final():
		return r.explainEnd(err)
	}
	return r.fail(engine.MachineFailed, r.phase(engine.PhaseArm), err)
}

// commitMachine sends the command that suspends, loads and migrates; follows it to its end, and calls ended then; and verifies and
// records the machine.
func (c *committing) commitMachine(ctx context.Context, r *rollout, ended func()) error {
	if r.state == engine.MachineUpToDate { // seen when it was staged again
		return c.verifyMachine(ctx, r, c.book)
	}
	if err := c.held.Confirm(ctx); err != nil {
		return err
	}
	r.move(engine.MachineCommitting, engine.Event{Phase: engine.PhaseSuspension, Status: engine.StatusPending})
	// From here on the VM goes on by itself, whether we follow or not.
	follow, cancel := c.detached(ctx, c.settings.Timeout+c.settleTime())
	defer cancel()
	follow, giveUp := context.WithCancelCause(follow)
	defer giveUp(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); isSilent(cause) {
			giveUp(cause)
		}
	})()
	err := c.within(follow, func(follow context.Context) error {
		return c.sendAndFollow(ctx, follow, r, r.session.Commit, agent.Committed)
	})
	switch {
	case err == nil:
		ended()
		return c.verifyMachine(follow, r, c.book)
	case r.isExpired():
		return errExpired
	}
	return c.notCommitted(follow, r, err)
}

// notCommitted says why a machine did not commit, and returns an error. A missing answer is not final: see resolve.
func (j *job) notCommitted(ctx context.Context, r *rollout, err error) error {
	switch {
	case r.state.Final():
		return r.explainEnd(err)
	case errors.Is(err, agent.ErrGone) && j.restarted(ctx, r):
		return j.goneVM(ctx, r, r.phase(engine.PhaseSuspension), "before the end of its commit was seen")
	}
	return r.noAnswer(engine.MachineUnknown, r.phase(engine.PhaseSuspension), err)
}

func restartedProblem(r *rollout, when string) *engine.Problem {
	return engine.NewProblem("machine_restarted", fmt.Sprintf("machine %s restarted %s, and runs the code that was recorded at that moment", r.machine.ID, when), nil, lookAgain)
}

const lookAgain = "See what runs with `flydeploy status`, then run `flydeploy hot --resume`."

// resolve looks again at machines whose end was not seen. It sends an abort, which takes back an upgrade whose commit never
// arrived; an agent that is committing ignores it.
func (j *job) resolve(ctx context.Context, machines []*rollout) {
	open := filter(machines, (*rollout).endUnknown)
	if len(open) == 0 {
		return
	}
	now, _ := j.ports.Fleet.Machines(ctx) // nil: nothing is known of the machines
	found := engine.ByID(now)
	_ = j.eachButLast(ctx, open, j.few(len(machines)), lastOnesGet, func(ctx context.Context, r *rollout) error {
		ctx, cancel := context.WithTimeout(ctx, settleWithin) // the fleet's time is for many
		defer cancel()
		if now != nil {
			if r.isSuspended(found[r.machine.ID]) {
				return r.noAnswer(engine.MachineUnknown, r.phase(engine.PhaseSuspension), engine.NewProblem("suspended",
					"it was suspended before the end of its commit was seen: that goes on when it wakes", nil, lookAgain))
			}
			if err := r.sameMachine(found[r.machine.ID], "before the end of its commit was seen"); err != nil { // the VM that was told to commit is gone
				return err
			}
		}
		if err := j.sendAndFollow(ctx, ctx, r, r.session.Abort, agent.Committed); err != nil {
			return j.notCommitted(ctx, r, err)
		}
		r.problem = nil
		return nil
	})
}

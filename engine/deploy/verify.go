package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// verifyMachine asks a machine's VM, past the agent, which code it has loaded, and records a machine that runs the upgrade. The VM
// must be the one that was upgraded, and all its code must be what the tarball put onto its disk. If the VM does not answer, the
// machine keeps its state, and a later look may verify it.
func (j *job) verifyMachine(ctx context.Context, r *rollout, book *ledger) error {
	r.emit(engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusRunning})
	err := j.within(ctx, func(ctx context.Context) error {
		code, err := run.RetryUnknown(ctx, j.lostAnswer(engine.PhaseCheck, r.machine.ID), func() (agent.Code, error) { return r.session.Loaded(ctx) })
		if err == nil {
			r.code = code
			r.noteTrial()
		}
		return err
	})
	switch {
	case errors.Is(err, agent.ErrGone):
		return j.goneVM(ctx, r, engine.PhaseCheck, "after the commit")
	case err != nil:
		return r.noAnswer(r.state, engine.PhaseCheck, err)
	}
	if wrong := wrongCode(r); wrong != nil {
		return r.fail(r.state, engine.PhaseCheck, wrong)
	}
	r.problem = nil
	if why := undone(r.status); why != "" && !r.isSick() {
		r.sick = notWell(why)
	}
	r.move(engine.MachineVerified, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone,
		Text: fmt.Sprintf("%d modules loaded, code %.8s", r.code.Modules, r.code.Fingerprint)})
	book.add(ctx, r)
	r.becomeUnhealthy()
	return nil
}

// wrongCode says which loaded code is not the upgrade's, nil if there is none.
func wrongCode(r *rollout) *engine.Problem {
	if e := r.status.Error; e != nil && e.Name == "md5_differs" {
		return engine.NewProblem(e.Name, e.What, nil, lookAgain)
	}
	if r.code.DriftedTotal > 0 && len(r.status.Unplaced) == 0 {
		return engine.NewProblem("md5_differs", fmt.Sprintf("%s loaded that are not the upgrade's: %s", text.Counted(r.code.DriftedTotal, "module"),
			strings.Join(r.code.Drifted, ", ")), nil, "Restart the machine, so that memory and disk agree again: `fly machine restart "+r.machine.ID+"`.")
	}
	return nil
}

// verify looks at every machine that should run the upgrade but was not verified yet, and lists the fleet again to report machines
// that have come, gone or restarted meanwhile. It gives the fleet as it is now, nil if it could not be listed.
func (j *job) verify(ctx context.Context, st *staged, book *ledger) ([]engine.Machine, error) {
	var now []engine.Machine
	err := j.phase(engine.PhaseVerify, "", nil, func() (string, error) {
		var wrong []error
		var err error
		asleep := 0
		if now, err = j.listUntil(ctx); err != nil {
			wrong = append(wrong, fmt.Errorf("list machines after the commit: %w", err))
		}
		found := engine.ByID(now)
		for _, r := range filter(st.machines, func(r *rollout) bool { return now != nil && r.reportsUpgrade() }) {
			if r.isSuspended(found[r.machine.ID]) {
				wrong = append(wrong, r.sleepsSince())
				asleep++
			} else if err := r.sameMachine(found[r.machine.ID], "after the commit"); err != nil {
				wrong = append(wrong, err)
			}
		}
		wrong = append(wrong, j.eachButLast(ctx, filter(st.machines, func(r *rollout) bool { return r.isUnverified() && !r.isSuspended(found[r.machine.ID]) }), j.few(len(st.machines)), lastOnesGet, func(ctx context.Context, r *rollout) error {
			return j.verifyMachine(ctx, r, book)
		}))
		j.reportNewcomers(st, now)
		j.logDifferentCode(st.machines)
		return runs(count(st.machines, (*rollout).isUpgraded)) + " " + st.upgrade.Version + sleeping(asleep), errors.Join(wrong...)
	})
	return now, err
}

// listUntil lists the machines, again while that fails and there is time for another try: a list that failed says nothing about a
// machine.
func (j *job) listUntil(ctx context.Context) ([]engine.Machine, error) {
	warn := j.lostAnswer(engine.PhaseVerify, "")
	for {
		now, err := j.ports.Fleet.Machines(ctx)
		if err == nil {
			return now, nil
		}
		warn(err)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < listingMayTake || run.Wait(ctx, lookAgainAfter) != nil {
			return nil, err
		}
	}
}

// listingMayTake is kept of the time for verifying, for machines that are not verified yet.
const listingMayTake = 15 * time.Second

// runs gives a number of machines with its verb: "1 machine runs", "6 machines run".
func runs(n int) string {
	if n == 1 {
		return "1 machine runs"
	}
	return text.Counted(n, "machine") + " run"
}

// isSameInstance reports whether the machine, as it is now (zero if it is gone), is the started instance that was staged.
func (r *rollout) isSameInstance(now engine.Machine) bool {
	return now.ID != "" && now.InstanceID == r.machine.InstanceID && now.State == engine.StateStarted
}

// sameMachine checks that the machine that has committed is still the same instance, and started. when is added to what has become of it
// otherwise.
func (r *rollout) sameMachine(now engine.Machine, when string) error {
	if r.isSameInstance(now) {
		return nil
	}
	next := r.becomes(now)
	return r.fail(next, engine.PhaseCheck, engine.NewProblem("machine_changed",
		fmt.Sprintf("machine %s was %s %s", r.machine.ID, next, when), nil, lookAgain))
}

// becomes gives the state of a machine that is not the started instance any more that was staged.
func (r *rollout) becomes(now engine.Machine) engine.MachineState {
	switch {
	case now.ID == "":
		return engine.MachineGone
	case now.InstanceID != r.machine.InstanceID:
		return engine.MachineReplaced
	case now.IsStarting():
		return engine.MachineRestarted
	}
	return engine.MachineStopped
}

// reportNewcomers reports machines that started during the deploy: they booted what the record said at that moment.
func (j *job) reportNewcomers(st *staged, now []engine.Machine) {
	before := engine.ByID(st.surveyed.target.Machines)
	for _, m := range now {
		if engine.WhyLeftOut(m) != "" || m.Temporary != "" || before[m.ID].State == engine.StateStarted {
			continue
		}
		j.rec.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusSkipped, Facts: &m,
			Text: "started during the deploy: `flydeploy hot --resume` upgrades it if it does not have the upgrade"})
	}
}

// logDifferentCode says so if verified machines run different code, because their images or earlier upgrades differ.
func (j *job) logDifferentCode(machines []*rollout) {
	groups := map[string][]string{}
	for _, r := range filter(machines, (*rollout).isUpgraded) {
		groups[r.code.Fingerprint] = append(groups[r.code.Fingerprint], r.machine.ID)
	}
	if len(groups) < 2 {
		return
	}
	for code, ids := range groups {
		j.rec.Log(engine.PhaseVerify, fmt.Sprintf("code %.8s runs on %s", code, strings.Join(ids, ", ")))
	}
}

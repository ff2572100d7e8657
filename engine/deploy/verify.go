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

// look asks a machine's VM, past the agent, which code it has loaded, and records a machine that runs the upgrade. All code must
// be what the verified tarball put onto its disk, and the VM must be the one that was upgraded. A VM that does not answer keeps
// its state: a later look may find it.
func (j *job) look(ctx context.Context, r *rollout, book *ledger) error {
	r.emit(engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusRunning})
	err := j.within(ctx, func(ctx context.Context) error {
		code, err := run.RetryUnknown(ctx, j.lostAnswer(engine.PhaseCheck, r.machine.ID), func() (agent.Code, error) { return r.session.Loaded(ctx) })
		if err == nil {
			r.code = code
		}
		return err
	})
	switch {
	case errors.Is(err, agent.ErrGone):
		return r.fail(engine.MachineRestarted, engine.PhaseCheck, restartedProblem(r, "after the commit"))
	case err != nil:
		return r.unseen(r.state, engine.PhaseCheck, err)
	}
	if wrong := wrongCode(r); wrong != nil {
		return r.fail(r.state, engine.PhaseCheck, wrong)
	}
	r.problem = nil
	r.move(engine.MachineVerified, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone,
		Text: fmt.Sprintf("%d modules loaded, code %.8s", r.code.Modules, r.code.Fingerprint)})
	book.enter(ctx, r)
	return nil
}

// wrongCode says what the VM has loaded beside the upgrade.
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

// verify looks at every machine that should run the upgrade and was not verified yet, and at the fleet again: machines
// that came, went or restarted meanwhile are named. It gives the fleet as it is now, nil where it could not be listed.
func (j *job) verify(ctx context.Context, st *staged, book *ledger) (now []engine.Machine, err error) {
	return now, j.phase(engine.PhaseVerify, "", nil, func() (string, error) {
		var wrong []error
		now, err = j.listUntil(ctx)
		if err != nil {
			now, wrong = nil, append(wrong, fmt.Errorf("list machines after the commit: %w", err))
		}
		found := engine.ByID(now)
		for _, r := range those(st.machines, func(r *rollout) bool { return now != nil && r.mayRun() }) {
			if err := r.sameMachine(found[r.machine.ID]); err != nil {
				wrong = append(wrong, err)
			}
		}
		wrong = append(wrong, j.each(ctx, those(st.machines, (*rollout).isUnverified), func(ctx context.Context, r *rollout) error {
			return j.look(ctx, r, book)
		}))
		j.nameNewcomers(st, now)
		j.compareCode(st.machines)
		return runs(count(st.machines, (*rollout).isUpgraded)) + " " + st.upgrade.Version, errors.Join(wrong...)
	})
}

// listUntil lists the machines, again while that fails and there is time for another try: a list that failed says nothing of a machine.
func (j *job) listUntil(ctx context.Context) ([]engine.Machine, error) {
	tell := j.lostAnswer(engine.PhaseVerify, "")
	for {
		now, err := j.ports.Fleet.Machines(ctx)
		if err == nil {
			return now, nil
		}
		tell(err)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < listingMayTake || run.Wait(ctx, lookAgainAfter) != nil {
			return nil, err
		}
	}
}

// listingMayTake is left of the time for verifying, for machines that were not verified yet.
const listingMayTake = 15 * time.Second

// runs are so many machines with their verb: 1 machine runs, 6 machines run.
func runs(n int) string {
	if n == 1 {
		return "1 machine runs"
	}
	return text.Counted(n, "machine") + " run"
}

// sameMachine: the machine that committed must be the instance that was upgraded, and run.
func (r *rollout) sameMachine(now engine.Machine) error {
	var next engine.MachineState
	switch {
	case now.ID == "":
		next = engine.MachineGone
	case now.InstanceID != r.machine.InstanceID:
		next = engine.MachineReplaced
	case now.State != engine.StateStarted:
		next = engine.MachineStopped
	default:
		return nil
	}
	return r.fail(next, engine.PhaseCheck, engine.NewProblem("machine_changed",
		fmt.Sprintf("machine %s was %s after the commit", r.machine.ID, next), nil, lookAgain))
}

// nameNewcomers says which machines started while the deploy was under way: they booted what the record said then.
func (j *job) nameNewcomers(st *staged, now []engine.Machine) {
	before := engine.ByID(st.scope.target.Machines)
	for _, m := range now {
		if engine.WhyLeftOut(m) != "" || m.Temporary != "" || before[m.ID].State == engine.StateStarted {
			continue
		}
		j.rec.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusSkipped, Facts: &m,
			Text: "it started while the deploy was under way: `flydeploy hot --resume` looks whether it has the upgrade"})
	}
}

// compareCode says when verified machines do not run the same code: their images or earlier upgrades differ.
func (j *job) compareCode(machines []*rollout) {
	groups := map[string][]string{}
	for _, r := range those(machines, (*rollout).isUpgraded) {
		groups[r.code.Fingerprint] = append(groups[r.code.Fingerprint], r.machine.ID)
	}
	if len(groups) < 2 {
		return
	}
	for code, ids := range groups {
		j.rec.Log(engine.PhaseVerify, fmt.Sprintf("code %.8s runs on %s", code, strings.Join(ids, ", ")))
	}
}

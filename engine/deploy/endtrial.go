package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
	"flydeploy/text"
)

// endTrial confirms what is on trial, or takes it back. It is a deploy that stages and suspends nothing, or that of what ran before.
func (j *job) endTrial(ctx context.Context, all *soFar, s *surveyed) error {
	trial := s.recorded.Trial()
	tried, err := j.readTried(ctx, s, trial)
	if err == nil {
		err = j.checkMeant(trial.ID)
	}
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: failedBy(err), Problem: engine.AsProblem(err)})
		return preferCause(ctx, err)
	}
	u := tried.Upgrade
	u.ID, u.App, u.OTPApp, u.BaseImage = all.upgrade.ID, all.upgrade.App, all.upgrade.OTPApp, all.upgrade.BaseImage
	u.Owner, u.Host, u.Message, u.CILink, u.Signature = all.upgrade.Owner, all.upgrade.Host, all.upgrade.Message, all.upgrade.CILink, nil
	all.upgrade = u
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusDone, Text: all.locked.text(), Upgrade: &u})
	all.staged = &staged{job: j, surveyed: s, upgrade: u, held: all.locked.held, leftOut: s.out}
	for _, m := range s.in {
		if _, on := trial.Machines[m.ID]; on {
			all.staged.machines = append(all.staged.machines, j.newRollout(m))
		}
	}
	end := &trialEnding{staged: all.staged, trial: trial}
	looked := errors.Join(end.look(ctx), end.unreached())
	s.tried, s.over = trial.ID, end.over()
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case !anyOf(all.staged.machines, (*rollout).isOnTrial):
		return end.nothingLeft(ctx, looked)
	case j.settings.EndTrial == engine.TrialTakenBack:
		return errors.Join(looked, end.back(ctx))
	}
	if err := end.checkHealth(); err != nil {
		return err
	}
	confirmed := u
	confirmed.ID = trial.ID // boots are counted by the deploy whose code it is
	return errors.Join(looked, end.confirm(ctx, newLedger(j, s, confirmed, all.locked.held)))
}

// trialEnding is the work on a trial's machines.
type trialEnding struct {
	*staged
	trial *engine.Trial
}

// readTried gives the record of the deploy that is on trial: what is confirmed is what it has packed, and signed where anything is. The records
// of all deploys that the machines may say they are on trial by must be of the same code.
func (j *job) readTried(ctx context.Context, s *surveyed, trial *engine.Trial) (record.Record, error) {
	if trial == nil {
		return record.Record{}, nothingOnTrial()
	}
	tried, err := j.readOneTried(ctx, s, trial, trial.ID)
	seen := map[string]bool{trial.ID: true}
	for _, m := range trial.Machines {
		if err == nil && !seen[m.ID] {
			_, err = j.readOneTried(ctx, s, trial, m.ID)
		}
		seen[m.ID] = true
	}
	return tried, err
}

func (j *job) readOneTried(ctx context.Context, s *surveyed, trial *engine.Trial, id string) (record.Record, error) {
	r, err := readRecord(ctx, s.target.Storage.Records, id)
	if err == nil {
		err = j.checkSigned(s.target.OTPApp, r)
	}
	if err == nil && r.Upgrade.SHA256 != trial.SHA256 {
		err = engine.NewProblem("trial_differs", "current.json says that "+text.Line(trial.Version)+" is on trial with another sha256 than deploy "+text.Line(id)+" has recorded", nil,
			"Somebody else may have written it. To get rid of it, restart the machines: `fly machine restart ID`.")
	}
	return r, err
}

func nothingOnTrial() error {
	return engine.NewProblem("nothing_on_trial", "nothing is on trial", nil, "`flydeploy hot --trial 10m` deploys on trial; `flydeploy status` shows what runs.")
}

// look asks each machine's VM whether it still runs what is on trial, and its agent, if it is there, what has crashed.
func (e *trialEnding) look(ctx context.Context) error {
	return e.each(ctx, e.machines, func(ctx context.Context, r *rollout) error {
		r.move(engine.MachineStaging, engine.Event{Phase: engine.PhaseInject, Status: engine.StatusDone, Text: "nothing is injected", Facts: &r.machine})
		if err := e.within(ctx, func(ctx context.Context) error { return e.lookAt(ctx, r) }); err != nil {
			return r.fail(engine.MachineFailed, engine.PhaseCheck, err)
		}
		return nil
	})
}

func (e *trialEnding) lookAt(ctx context.Context, r *rollout) error {
	exec, lost := target.ExecOn(e.ports.Fleet, r.machine.ID), e.lostAnswer(engine.PhaseCheck, r.machine.ID)
	vm, err := run.RetryUnknown(ctx, lost, func() (agent.VM, error) { return agent.Discover(ctx, exec, e.settings.Release) })
	if err != nil {
		return err
	}
	r.vm = vm
	r.code.Trial, err = run.RetryUnknown(ctx, lost, func() (agent.Trial, error) {
		found, s, err := agent.LookAtTrial(ctx, exec, vm)
		if s != nil {
			r.session = s
		}
		return found, err
	})
	if err != nil {
		return err
	}
	if want := e.trial.Machines[r.machine.ID].ID; r.code.Trial.ID != want {
		r.code.Trial = agent.Trial{}
		return engine.NewProblem("trial_over", "it does not run "+text.Line(e.trial.Version)+" on trial now: it has restarted or been upgraded since", nil, lookAgain)
	}
	if r.session != nil {
		if status, err := r.session.Wait(ctx, 0); err == nil && status.State == agent.Committed {
			r.status = agent.Status{State: agent.Committed, Watch: status.Watch, Running: status.Running, Ran: status.Ran}
		}
	}
	if r.status.Ran == nil {
		r.status.Ran = r.code.Trial.Ran
	}
	left := text.Seconds(r.code.Trial.Left)
	r.move(engine.MachineUpToDate, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusRunning, Text: "on trial, " + left + " left"})
	return nil
}

// over gives the machines that are not on trial any more: they have restarted, stopped, or were destroyed.
func (e *trialEnding) over() []string {
	var ids []string
	looked, out := map[string]*rollout{}, engine.ByID(e.leftOut)
	for _, r := range e.machines {
		looked[r.machine.ID] = r
	}
	for id := range e.trial.Machines {
		r, isIn := looked[id]
		m, isOut := out[id]
		switch {
		case isIn && (r.problem == nil || r.problem.Name != "trial_over"):
		case !isIn && isOut && (m.LeftOut == engine.LeftOutNotSelected || isAsleep(m)):
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

// isAsleep: the machine's VM cannot be asked, and may run what it ran.
func isAsleep(m engine.Machine) bool {
	return m.State == engine.StateSuspended || m.HostStatus == engine.HostUnreachable
}

// unreached names the selected machines that are still on trial and cannot be told how it ends; nil for none.
func (e *trialEnding) unreached() error {
	var errs []error
	for _, m := range e.leftOut {
		if _, on := e.trial.Machines[m.ID]; !on || m.LeftOut == engine.LeftOutNotSelected || !isAsleep(m) {
			continue
		}
		what, remedy := "is suspended", "Start it (`fly machine start "+m.ID+"`), then end the trial again."
		if m.State != engine.StateSuspended {
			what, remedy = "cannot be reached", "End the trial again once its host is back."
		}
		errs = append(errs, engine.NewProblem("trial_not_ended", m.Where()+" "+what+", and is still on trial", nil, remedy))
	}
	return errors.Join(errs...)
}

// nothingLeft says why there is nothing to confirm or to take back. What is over is taken out of current.json.
func (e *trialEnding) nothingLeft(ctx context.Context, why error) error {
	var unwritten error
	if len(e.surveyed.over) == len(e.trial.Machines) {
		e.withSettleTimeout(ctx, func(ctx context.Context) { unwritten = e.forget(ctx) })
	}
	return errors.Join(engine.NewProblem("trial_over", "no machine runs "+text.Line(e.trial.Version)+" on trial any more", why, lookAgain), unwritten)
}

// forget takes the trial out of current.json.
func (e *trialEnding) forget(ctx context.Context) error {
	records := e.surveyed.target.Storage.Records
	md, etag, err := records.Metadata(ctx)
	if err != nil {
		return fmt.Errorf("read current.json: %w", err)
	}
	if t := md.Trial(); t == nil || t.ID != e.trial.ID {
		return nil
	}
	md.ForgetTrial()
	if err := records.WriteMetadata(ctx, md, etag); err != nil {
		return fmt.Errorf("write current.json: %w", err)
	}
	return nil
}

// acceptedUnhealthy is the name with which --accept confirms what is not well.
const acceptedUnhealthy = "unhealthy"

// checkHealth fails if the agents have seen that it is not well.
func (e *trialEnding) checkHealth() error {
	all := engine.NewTally(len(e.machines))
	for _, r := range e.machines {
		r.status.Watch.AddTo(all, r.machine.ID)
	}
	for _, r := range e.machines {
		if why := whyNotWell(r.status); why != "" {
			r.sick, r.health = notWell(why), engine.HealthUnhealthy
		} else if r.isOnTrial() && r.status.Watch != nil {
			r.health = engine.HealthHealthy
		}
	}
	if !anyOf(e.machines, (*rollout).isSick) || slices.Contains(e.settings.Accept, acceptedUnhealthy) {
		return nil
	}
	return engine.NewProblem("unhealthy", text.Line(e.trial.Version)+" is not well, and was not confirmed: "+e.whyUnhealthy(), nil,
		"`flydeploy confirm --back` takes it back; --accept unhealthy confirms it nevertheless.").WithCause(&blockedError{})
}

// confirm records what is on trial as every deploy records what runs, and then tells the VMs: whichever of them is not reached in time
// restarts, and boots it.
func (e *trialEnding) confirm(ctx context.Context, book *ledger) error {
	for _, r := range e.machines {
		r.status.UpToDate, r.sick = true, nil // nothing was suspended
		e.attach(r)
	}
	err := e.each(ctx, filter(e.machines, (*rollout).isOnTrial), func(ctx context.Context, r *rollout) error { return e.verifyMachine(ctx, r, book) })
	err = e.verifyAndRecord(ctx, e.staged, book, err)
	written := book.written()
	told := e.each(ctx, filter(e.machines, func(r *rollout) bool { return written[r.machine.ID] }), e.tellConfirmed)
	return errors.Join(err, told)
}

// attach gives a machine whose agent has ended a session with its VM.
func (e *trialEnding) attach(r *rollout) {
	if r.session == nil {
		r.session = agent.Past(target.ExecOn(e.ports.Fleet, r.machine.ID), r.vm)
	}
}

func (e *trialEnding) tellConfirmed(ctx context.Context, r *rollout) error {
	ctx, cancel := e.detached(ctx, settleWithin) // it is recorded
	defer cancel()
	_, err := run.RetryUnknown(ctx, e.lostAnswer(engine.PhaseCheck, r.machine.ID), func() (struct{}, error) {
		return struct{}{}, agent.ConfirmTrial(ctx, target.ExecOn(e.ports.Fleet, r.machine.ID), r.vm, e.trial.Machines[r.machine.ID].ID)
	})
	if err != nil {
		until := time.Now().Add(r.code.Trial.Left).Format("15:04")
		return engine.NewProblem("trial_not_ended", fmt.Sprintf("the VM could not be told that %s is confirmed: it stops at %s, and its machine boots what is recorded", text.Line(e.trial.Version), until),
			err, "It is recorded: nothing is lost but what is in that VM's memory.")
	}
	_ = r.session.Finish(ctx) // what it counts is not needed any more
	return nil
}

// back deploys to the machines on trial what they ran before.
func (e *trialEnding) back(ctx context.Context) error {
	for _, r := range filter(e.machines, (*rollout).isOnTrial) {
		e.attach(r)
		r.move(engine.MachineVerified, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone, Text: "runs " + text.Line(e.trial.Version) + " on trial"})
	}
	c := &committing{staged: e.staged, accepted: e.settings.Accept}
	return c.phase(engine.PhaseCommit, "", nil, func() (string, error) {
		err := c.takeBack(ctx, "its trial was taken back")
		if err == nil {
			err = e.notTakenBack()
		}
		return "taken back from " + text.Counted(count(e.machines, (*rollout).isTakenBack), "machine"), err
	})
}

// notTakenBack says of the machines that are still on trial why, nil for none.
func (e *trialEnding) notTakenBack() error {
	left := filter(e.machines, func(r *rollout) bool { return r.stays != nil })
	if len(left) == 0 {
		return nil
	}
	p := *left[0].stays
	if more := len(left) - 1; more > 0 {
		p.What += fmt.Sprintf(" (and %d more)", more)
	}
	p.What += ": its VM stops when its trial is over, and its machine starts without it"
	return p.WithPrefix(left[0].where())
}

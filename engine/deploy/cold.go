package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"flydeploy/engine"
	"flydeploy/engine/plan"
	"flydeploy/text"
)

// errGoCold ends the confirmation of a plan that goes out as a cold deploy.
var errGoCold = errors.New("deploy cold")

// canGoCold reports whether an image can go out as a cold deploy, which is always one to all machines. A resumed deploy may be of some of
// them.
func (st *staged) canGoCold() bool {
	return st.ports.Cold != nil && !st.settings.DryRun && st.surveyed.selected.Empty()
}

// orColdUnstaged has an image go out cold for which no agent is known that could stage it (no_agent): its plan says no more than that. It gives
// back any other error, and this one as well where the image may not go out cold.
func (j *job) orColdUnstaged(ctx context.Context, all *soFar, s *surveyed, err error) error {
	st := j.newStaged(s, all.packed, all.locked.held)
	problem := engine.AsProblem(err)
	if problem.Name != "no_agent" || !j.settings.OrCold || !st.canGoCold() {
		return err
	}
	f := st.facts()
	f.Own = append(f.Own, engine.Finding{Name: problem.Name, Severity: engine.SeverityRefuse, What: problem.What, Remedy: problem.Remedy})
	all.staged, all.plan = st, plan.Make(f)
	_, err = j.confirm(ctx, all.plan, all.upgrade)
	if all.cold = errors.Is(err, errGoCold); all.cold {
		err = st.goCold(ctx, all.plan)
	}
	return err
}

// goCold deploys cold, between the operator's commands for what is before and after a commit.
func (st *staged) goCold(ctx context.Context, p *engine.Plan) error {
	if err := st.beforeCommit(ctx, p); err != nil {
		return err
	}
	err := st.deployCold(ctx)
	st.tellCommitted(ctx, st)
	return err
}

// deployCold gives the very image that was planned to all of the app's machines, in the way of fly.toml: they restart. The record
// follows: it is about the new image, and names no upgrade. Until that begins, the agents are ended.
func (st *staged) deployCold(ctx context.Context) error {
	image := st.upgrade.SourceImage
	if err := st.held.Confirm(ctx); err != nil {
		return err
	}
	st.withSettleTimeout(ctx, func(ctx context.Context) { st.settleAgents(ctx, st.machines) })
	for _, r := range st.machines {
		if r.state != engine.MachineLeftOut {
			r.newAttempt()
			r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusPending})
		}
	}
	err := st.phase(engine.PhaseCommit, "deploying cold: fly deploy --image "+image, &st.upgrade, func() (string, error) {
		err := context.Cause(ctx)
		if err == nil {
			err = st.ports.Cold(ctx, image, func(line string) { st.rec.Log(engine.PhaseCommit, line) })
		}
		return "fly deploy has ended", preferCause(ctx, err)
	})
	var unverified, unrecorded error
	st.withSettleTimeout(ctx, func(ctx context.Context) { unverified = st.verifyCold(ctx, image, err == nil) })
	if everyOf(st.machines, (*rollout).isCold) { // however fly deploy has ended
		st.withSettleTimeout(ctx, func(ctx context.Context) { unrecorded = st.recordCold(ctx, image) })
		if errors.Is(err, errStopped) || errors.Is(err, context.Canceled) { // it came too late
			err = nil
		}
	}
	return errors.Join(err, unverified, unrecorded)
}

// isCold reports whether a cold deploy has brought the machine to the new image, if it was in the deploy.
func (r *rollout) isCold() bool {
	return r.state == engine.MachineCold || r.state == engine.MachineLeftOut
}

// verifyCold looks which machines have the image now. After a cold deploy that has ended well, all must.
func (st *staged) verifyCold(ctx context.Context, image string, ended bool) error {
	return st.phase(engine.PhaseVerify, "looking at the machines' images", nil, func() (string, error) {
		fleet, err := st.ports.Fleet.Machines(ctx)
		if err != nil {
			return "", fmt.Errorf("list machines after the cold deploy: %w", err)
		}
		var faults []error
		for _, r := range st.machines {
			if r.state != engine.MachineLeftOut {
				faults = append(faults, r.takeImage(fleet, image, ended))
			}
		}
		return fmt.Sprintf("%d of %s have it", count(st.machines, (*rollout).isUpgraded), text.Counted(len(st.machines), "machine")), errors.Join(faults...)
	})
}

// takeImage moves a machine to what a cold deploy has made of it. One that does not exist any more was replaced, if another one of its
// process group has the image.
func (r *rollout) takeImage(fleet []engine.Machine, image string, ended bool) error {
	has := func(m engine.Machine) bool { return m.Temporary == "" && engine.SameImage(m.FullImage(), image) }
	cold := func(said string) error {
		r.move(engine.MachineCold, engine.Event{Phase: engine.PhaseCheck, Status: engine.StatusDone, Text: said, Facts: &r.machine})
		return nil
	}
	now, there := engine.ByID(fleet)[r.machine.ID]
	switch {
	case there && has(now):
		r.machine = now
		return cold("it has the image " + engine.Tag(image))
	case there && !ended: // it runs what it ran
		return nil
	case there:
		return r.fail(engine.MachineFailed, engine.PhaseCheck, engine.NewProblem("cold_incomplete",
			"machine "+r.machine.ID+" still has the image "+engine.Tag(now.FullImage()), nil, engine.Remedies["cold_incomplete"]))
	}
	i := slices.IndexFunc(fleet, func(m engine.Machine) bool { return m.ProcessGroup == r.machine.ProcessGroup && has(m) })
	if i >= 0 {
		return cold("replaced by machine " + fleet[i].ID)
	}
	return r.fail(engine.MachineGone, engine.PhaseCheck, engine.NewProblem("cold_incomplete", "machine "+r.machine.ID+" was destroyed, and no machine of its process group has the image", nil,
		engine.Remedies["cold_incomplete"]))
}

// recordCold has current.json be about the new image, without upgrades.
func (st *staged) recordCold(ctx context.Context, image string) error {
	records := st.surveyed.target.Storage.Records
	return st.phase(engine.PhaseMetadata, "", nil, func() (string, error) {
		if err := st.held.Confirm(ctx); err != nil {
			return "", err
		}
		for range 5 {
			md, etag, err := records.Metadata(ctx)
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return "", fmt.Errorf("read current.json: %w", err)
			}
			if err := checkOwner(md, image); err != nil {
				return "", err
			}
			md.HotUpgrade, md.MachineUpgrades = nil, nil
			md.SetImage(image)
			st.ports.Keys.OwnCode(appOf(st.upgrade), &md, st.surveyed.target.Storage.Clock())
			if err = records.WriteMetadata(ctx, md, etag); !errors.Is(err, engine.ErrConflict) {
				return "machines run their image, without an upgrade", err
			}
		}
		return "", engine.NewProblem("metadata_busy", "write current.json", engine.ErrConflict, engine.Remedies["cold_record"])
	})
}

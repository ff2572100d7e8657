package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"flydeploy/engine"
	"flydeploy/engine/record"
)

// findEarlier looks up the deploy that is to be resumed, or deployed again. A selection that the operator does not give is
// that of the earlier deploy.
func (p *Pipeline) findEarlier(ctx context.Context) error {
	var r record.Record
	var err error
	switch records := p.Target.Storage.Records; {
	case p.settings.To != "":
		r, err = record.ReadRecord(ctx, records, p.settings.To)
		if errors.Is(err, engine.ErrNotFound) {
			err = record.ErrNoRecord(p.settings.To, err)
		} else if err == nil && r.Upgrade.TarballURL == "" {
			err = engine.NewProblem("no_tarball", "deploy "+p.settings.To+" ended before its tarball was uploaded", nil, "Choose another: `flydeploy history`.")
		}
	case p.settings.Resume:
		r, err = lastDeploy(ctx, records)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	p.earlier = &r
	if p.settings.Resume && p.settings.Select.Empty() {
		p.settings.Select = r.Select
	}
	if p.settings.Resume && p.settings.Image == "" {
		p.settings.Image = r.Upgrade.SourceImage // where the tarball is missing
	}
	u := r.Upgrade
	p.Upgrade.Version, p.Upgrade.SourceImage, p.Upgrade.SHA256, p.Upgrade.Size, p.Upgrade.TarballURL = u.Version, u.SourceImage, u.SHA256, u.Size, u.TarballURL
	return nil
}

// closeEarlier marks the deploy that is resumed as unfinished: the lock is ours, so nobody writes its record any more.
func (p *Pipeline) closeEarlier(ctx context.Context) {
	if p.earlier == nil || !p.earlier.Running {
		return
	}
	r := *p.earlier
	r.Running, r.Outcome = false, engine.OutcomeUnfinished
	body, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = p.Target.Storage.Records.WriteResult(ctx, r.ID, record.RecordFile, append(body, '\n'))
	}
	if err != nil { // it is told as unfinished anyway, once it is old enough
		p.rec.Log(engine.PhaseLock, fmt.Sprintf("the record of deploy %s cannot be closed: %v", r.ID, err))
	}
}

// lastDeploy gives the last deploy, if it was not finished.
func lastDeploy(ctx context.Context, records engine.Records) (record.Record, error) {
	ids, err := records.Upgrades(ctx)
	if err != nil {
		return record.Record{}, fmt.Errorf("list the recorded deploys: %w", err)
	}
	for _, id := range ids {
		r, err := record.ReadRecord(ctx, records, id)
		switch {
		case errors.Is(err, engine.ErrNotFound) || err == nil && r.Outcome == engine.OutcomeUnreadable:
			continue
		case err != nil:
			return r, err
		case r.Outcome == engine.OutcomeSucceeded || r.Outcome == engine.OutcomeWithdrawn:
			return r, engine.NewProblem("nothing_to_resume", fmt.Sprintf("the last deploy (%s of %s) ended: %s", id, r.Version, r.Outcome), nil,
				"There is nothing to finish. `flydeploy hot` deploys anew, `flydeploy hot --to ID` an earlier version.")
		}
		return r, nil
	}
	return record.Record{}, engine.NewProblem("nothing_to_resume", "no deploy is recorded", nil, "`flydeploy hot` deploys.")
}

// again: an earlier deploy's tarball takes the place of build and temporary machine.
func (p *Pipeline) again() bool { return p.earlier != nil && p.earlier.Upgrade.TarballURL != "" }

func (p *Pipeline) reuseTarball(ctx context.Context) error {
	u := p.earlier.Upgrade
	for _, ph := range []engine.Phase{engine.PhaseOrchestrator, engine.PhaseTarball} {
		p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusSkipped, Text: "the tarball was made by deploy " + p.earlier.ID})
	}
	if !p.settings.DryRun {
		p.removeLeftovers(ctx)
	}
	p.tarball.key = "releases/" + path.Base(u.TarballURL)
	object, err := p.Target.Storage.Tarballs.Stat(ctx, p.tarball.key)
	if err == nil && (object.SHA256 != u.SHA256 || object.Size != u.Size) {
		err = fmt.Errorf("it has %d bytes with sha256 %.12s…, not the recorded %d with %.12s…", object.Size, object.SHA256, u.Size, u.SHA256)
	}
	if err != nil {
		problem := engine.NewProblem("no_tarball", fmt.Sprintf("the tarball %s of deploy %s", p.tarball.key, p.earlier.ID), err,
			"Deploy its image instead: flydeploy hot --skip-build --image "+u.SourceImage)
		p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusFailed, Problem: problem})
		return problem
	}
	p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: p.tarball.key + " is in the bucket already", Upgrade: p.known()})
	return nil
}

// earlierFindings are what a plan must say when code is deployed that was made before.
func (p *Pipeline) earlierFindings() []engine.Finding {
	if p.earlier == nil {
		return nil
	}
	var found []engine.Finding
	if base := p.earlier.Upgrade.BaseImage; base != "" && !engine.SameImage(base, p.Upgrade.BaseImage) {
		found = append(found, engine.Finding{Name: "other_base", Severity: engine.SeverityBlock,
			What:   fmt.Sprintf("deploy %s was made for machines of image %s; these run %s", p.earlier.ID, engine.Tag(base), engine.Tag(p.Upgrade.BaseImage)),
			Remedy: engine.Remedies["other_base"]})
	}
	if now := p.Before.HotUpgrade; now != nil && now.SHA256 != p.Upgrade.SHA256 && now.DeployedAt.After(p.earlier.At) {
		found = append(found, engine.Finding{Name: "step_back", Severity: engine.SeverityWarn,
			What:   fmt.Sprintf("version %s was deployed after %s", now.Version, p.Upgrade.Version),
			Remedy: engine.Remedies["step_back"]})
	}
	return found
}

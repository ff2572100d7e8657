package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
)

// findEarlier looks up the deploy that is to be resumed, or deployed again. A selection that the operator does not give is
// that of the earlier deploy.
func (p *pipeline) findEarlier(ctx context.Context) error {
	var r record
	var err error
	switch records := p.target.Storage.Records; {
	case p.settings.To != "":
		r, err = readRecord(ctx, records, p.settings.To)
		if errors.Is(err, ErrNotFound) {
			err = errNoRecord(p.settings.To, err)
		} else if err == nil && r.Upgrade.TarballURL == "" {
			err = NewProblem("no_tarball", "deploy "+p.settings.To+" ended before its tarball was uploaded", nil, "Choose another: `flydeploy history`.")
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
	if p.settings.Resume && p.settings.Select.empty() {
		p.settings.Select = r.Select
	}
	if p.settings.Resume && p.settings.Image == "" {
		p.settings.Image = r.Upgrade.SourceImage // where the tarball is missing
	}
	u := r.Upgrade
	p.upgrade.Version, p.upgrade.SourceImage, p.upgrade.SHA256, p.upgrade.Size, p.upgrade.TarballURL = u.Version, u.SourceImage, u.SHA256, u.Size, u.TarballURL
	return nil
}

// closeEarlier marks the deploy that is resumed as unfinished: the lock is ours, so nobody writes its record any more.
func (p *pipeline) closeEarlier(ctx context.Context) {
	if p.earlier == nil || !p.earlier.Running {
		return
	}
	r := *p.earlier
	r.Running, r.Outcome = false, OutcomeUnfinished
	body, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = p.target.Storage.Records.WriteResult(ctx, r.ID, recordFile, append(body, '\n'))
	}
	if err != nil { // it is told as unfinished anyway, once it is old enough
		p.rec.log(PhaseLock, fmt.Sprintf("the record of deploy %s cannot be closed: %v", r.ID, err))
	}
}

func (s Selection) empty() bool {
	return len(s.Machines) == 0 && len(s.Regions) == 0 && len(s.ProcessGroups) == 0
}

// lastDeploy gives the last deploy, if it was not finished.
func lastDeploy(ctx context.Context, records Records) (record, error) {
	ids, err := records.Upgrades(ctx)
	if err != nil {
		return record{}, fmt.Errorf("list the recorded deploys: %w", err)
	}
	for _, id := range ids {
		r, err := readRecord(ctx, records, id)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && r.Outcome == OutcomeUnreadable:
			continue
		case err != nil:
			return r, err
		case r.Outcome == OutcomeSucceeded || r.Outcome == OutcomeWithdrawn:
			return r, NewProblem("nothing_to_resume", fmt.Sprintf("the last deploy (%s of %s) ended: %s", id, r.Version, r.Outcome), nil,
				"There is nothing to finish. `flydeploy hot` deploys anew, `flydeploy hot --to ID` an earlier version.")
		}
		return r, nil
	}
	return record{}, NewProblem("nothing_to_resume", "no deploy is recorded", nil, "`flydeploy hot` deploys.")
}

// again: an earlier deploy's tarball takes the place of build and temporary machine.
func (p *pipeline) again() bool { return p.earlier != nil && p.earlier.Upgrade.TarballURL != "" }

func (p *pipeline) reuseTarball(ctx context.Context) error {
	u := p.earlier.Upgrade
	for _, ph := range []Phase{PhaseOrchestrator, PhaseTarball} {
		p.rec.emit(Event{Phase: ph, Status: StatusSkipped, Text: "the tarball was made by deploy " + p.earlier.ID})
	}
	if !p.settings.DryRun {
		p.removeLeftovers(ctx)
	}
	p.tarball.key = "releases/" + path.Base(u.TarballURL)
	object, err := p.target.Storage.Tarballs.Stat(ctx, p.tarball.key)
	if err == nil && (object.SHA256 != u.SHA256 || object.Size != u.Size) {
		err = fmt.Errorf("it has %d bytes with sha256 %.12s…, not the recorded %d with %.12s…", object.Size, object.SHA256, u.Size, u.SHA256)
	}
	if err != nil {
		problem := NewProblem("no_tarball", fmt.Sprintf("the tarball %s of deploy %s", p.tarball.key, p.earlier.ID), err,
			"Deploy its image instead: flydeploy hot --skip-build --image "+u.SourceImage)
		p.rec.emit(Event{Phase: PhaseUpload, Status: StatusFailed, Problem: problem})
		return problem
	}
	p.rec.emit(Event{Phase: PhaseUpload, Status: StatusSkipped, Text: p.tarball.key + " is in the bucket already", Upgrade: p.known()})
	return nil
}

// earlierFindings are what a plan must say when code is deployed that was made before.
func (p *pipeline) earlierFindings() []Finding {
	if p.earlier == nil {
		return nil
	}
	var found []Finding
	if base := p.earlier.Upgrade.BaseImage; base != "" && !SameImage(base, p.upgrade.BaseImage) {
		found = append(found, Finding{Name: "other_base", Severity: SeverityBlock,
			What:   fmt.Sprintf("deploy %s was made for machines of image %s; these run %s", p.earlier.ID, Tag(base), Tag(p.upgrade.BaseImage)),
			Remedy: remedies["other_base"]})
	}
	if now := p.before.HotUpgrade; now != nil && now.SHA256 != p.upgrade.SHA256 && now.DeployedAt.After(p.earlier.At) {
		found = append(found, Finding{Name: "step_back", Severity: SeverityWarn,
			What:   fmt.Sprintf("version %s was deployed after %s", now.Version, p.upgrade.Version),
			Remedy: remedies["step_back"]})
	}
	return found
}

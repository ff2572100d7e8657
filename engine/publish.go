package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// verify looks at the fleet again: every machine that committed must be the instance that we upgraded.
func (p *pipeline) verify(ctx context.Context) error {
	return p.phase(PhaseVerify, "", func() (string, error) {
		now, err := p.ports.Fleet.Machines(ctx)
		if err != nil {
			return "", fmt.Errorf("list machines after the commit: %w", err)
		}
		byID := map[string]Machine{}
		for _, m := range now {
			byID[m.ID] = m
		}
		var restarted []error
		for _, r := range p.machines {
			if !r.upgraded() {
				continue
			}
			if m := byID[r.machine.ID]; m.InstanceID != r.machine.InstanceID || m.State != StateStarted {
				restarted = append(restarted, p.fail(r, PhaseCheck, NewProblem("machine_changed",
					fmt.Sprintf("machine %s is %s after the commit, and not the instance that was upgraded", r.machine.ID, stateOr(m.State)), nil,
					"Run `flydeploy status` and deploy again.")))
				continue
			}
			p.rec.emit(Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: PhaseCheck, Status: StatusDone})
		}
		return fmt.Sprintf("%d machines run %s", p.upgradedCount(), p.upgrade.Version), errors.Join(restarted...)
	})
}

func stateOr(state string) string {
	if state == "" {
		return "gone"
	}
	return state
}

// writeMetadata records in current.json what the machines run now, so that a restart boots the same code. It is written
// only after the machines were verified, and only over the version that was read.
func (p *pipeline) writeMetadata(ctx context.Context) error {
	return p.phase(PhaseMetadata, "", func() (string, error) {
		records := p.target.Storage.Records
		for range 3 {
			md, etag, err := records.Metadata(ctx)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return "", fmt.Errorf("read current.json: %w", err)
			}
			if err := p.update(&md); err != nil {
				return "", err
			}
			if err = records.WriteMetadata(ctx, md, etag); err == nil {
				return metadataText(md), nil
			} else if !errors.Is(err, ErrConflict) {
				return "", fmt.Errorf("write current.json: %w", err)
			}
		}
		return "", fmt.Errorf("write current.json: %w", ErrConflict)
	})
}

func metadataText(md Metadata) string {
	if md.HotUpgrade != nil && len(md.MachineUpgrades) == 0 {
		return "the whole fleet runs " + md.HotUpgrade.Version
	}
	return fmt.Sprintf("%d machines run upgrades of their own", len(md.MachineUpgrades))
}

// update changes md to what this deploy has done. Metadata of another image starts anew in the same write.
func (p *pipeline) update(md *Metadata) error {
	if md.ImageRef != "" && Repository(md.ImageRef) != Repository(p.upgrade.BaseImage) {
		return NewProblem("foreign_metadata", fmt.Sprintf("current.json belongs to %s, not to %s", Repository(md.ImageRef), Repository(p.upgrade.BaseImage)), nil,
			"Two Fly apps share a bucket and an OTP application's name. Give each a bucket of its own: --bucket, or AWS_BUCKET.")
	}
	if !SameImage(md.ImageRef, p.upgrade.BaseImage) {
		md.ImageRef, md.HotUpgrade, md.MachineUpgrades = p.upgrade.BaseImage, nil, nil
	}
	mine := HotUpgrade{
		Version: p.upgrade.Version, SourceImageRef: p.upgrade.SourceImage, TarballURL: p.upgrade.TarballURL,
		DeployedAt: time.Now().UTC().Truncate(time.Second), SHA256: p.upgrade.SHA256, Size: p.upgrade.Size, ID: p.upgrade.ID,
	}
	if p.wholeFleet() {
		if md.HotUpgrade == nil || md.HotUpgrade.SHA256 != mine.SHA256 {
			md.HotUpgrade = &mine
		}
		md.MachineUpgrades = nil
		return nil
	}
	if md.MachineUpgrades == nil {
		md.MachineUpgrades = map[string]HotUpgrade{}
	}
	for _, r := range p.machines {
		if r.upgraded() {
			md.MachineUpgrades[r.machine.ID] = mine
		}
	}
	return nil
}

// wholeFleet reports whether every machine of this image that runs a release has the upgrade now, or takes it at its
// next boot because it is stopped.
func (p *pipeline) wholeFleet() bool {
	for _, r := range p.machines {
		if !r.upgraded() {
			return false
		}
	}
	for _, m := range p.scope.out {
		if m.LeftOut == "not selected" && SameImage(m.Image, p.upgrade.BaseImage) {
			return false
		}
	}
	return true
}

// writeResults stores each machine's end and the event stream below releases/<app>-results/<upgrade id>/.
func (p *pipeline) writeResults(ctx context.Context, result Result) {
	if p.settings.DryRun || p.lock == nil {
		return
	}
	_ = p.phase(PhaseResults, "", func() (string, error) {
		records := p.target.Storage.Records
		for _, m := range result.Machines {
			body, err := json.MarshalIndent(m, "", "  ")
			if err != nil {
				return "", err
			}
			if err := records.WriteResult(ctx, p.upgrade.ID, m.ID+".json", append(body, '\n')); err != nil {
				return "", fmt.Errorf("write the result of machine %s: %w", m.ID, err)
			}
		}
		return fmt.Sprintf("releases/%s-results/%s/", p.target.OTPApp, p.upgrade.ID),
			records.WriteResult(ctx, p.upgrade.ID, "events.ndjson", p.rec.events())
	})
}

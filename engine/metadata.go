package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine/agent"
)

// readMetadata looks at current.json before anything is built: a document that we could not change afterwards must stop the
// deploy before it suspends anything.
func (p *pipeline) readMetadata(ctx context.Context) error {
	md, _, err := p.target.Storage.Records.Metadata(ctx)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		p.before = md
		err = p.checkOwner(md)
	}
	if err != nil {
		err = fmt.Errorf("read current.json: %w", err)
		p.rec.emit(Event{Phase: PhaseBuild, Status: StatusFailed, Problem: AsProblem(err)})
	}
	return err
}

func (p *pipeline) checkOwner(md Metadata) error {
	if md.ImageRef != "" && Repository(md.ImageRef) != Repository(p.upgrade.BaseImage) {
		return NewProblem("foreign_metadata", fmt.Sprintf("current.json belongs to %s, not to %s", Repository(md.ImageRef), Repository(p.upgrade.BaseImage)), nil,
			"Two Fly apps share a bucket and an OTP application's name. Give each a bucket of its own: --bucket, or AWS_BUCKET.")
	}
	return nil
}

// recordMachine writes down what a machine runs that has just been verified. Those that come while another one is being
// written are recorded together by the next. What cannot be written now is written at the end.
func (p *pipeline) recordMachine(ctx context.Context, r *rollout) {
	p.guard.Lock()
	p.sure = append(p.sure, r)
	p.guard.Unlock()
	p.recording.Lock()
	defer p.recording.Unlock()
	if r.recorded {
		return
	}
	if _, err := p.changeMetadata(ctx, nil); err != nil {
		p.rec.log(PhaseMetadata, fmt.Sprintf("current.json cannot be written now: %v", err))
	}
}

// writeMetadata records the end: what single machines run, or what the whole fleet runs.
func (p *pipeline) writeMetadata(ctx context.Context) error {
	return p.phase(PhaseMetadata, "", func() (string, error) {
		p.sure = nil
		for _, r := range p.machines {
			if r.isVerified() {
				p.sure = append(p.sure, r)
			}
		}
		md, err := p.changeMetadata(ctx, p.after)
		return metadataText(md, p.upgrade.SHA256), err
	})
}

// lookAside asks machines that were not selected and do not have the upgrade whether they run a release: those that run none do
// not keep the others from being the whole fleet. The first one that does ends it.
func (p *pipeline) lookAside(ctx context.Context) {
	if slices.ContainsFunc(p.machines, func(r *rollout) bool { return !r.isVerified() }) {
		return
	}
	now := byID(p.after)
	p.scope.out = slices.Clone(p.scope.out) // the plan shows them as they were
	for i, m := range p.scope.out {
		u, _ := p.before.upgradeOf(m)
		if m.LeftOut != leftOutNotSelected || u.SHA256 == p.upgrade.SHA256 || !p.counts(now[m.ID]) {
			continue
		}
		if _, err := agent.Discover(ctx, execOn(p.ports.Fleet, m.ID), p.settings.Release); !errors.Is(err, agent.ErrNoVM) {
			return
		}
		p.scope.out[i].LeftOut = leftOutNoVM
	}
}

func metadataText(md Metadata, sha256 string) string {
	if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == sha256 && len(md.MachineUpgrades) == 0 {
		return "the whole fleet runs " + md.HotUpgrade.Version
	}
	return Counted(len(md.MachineUpgrades), "machine") + " recorded apart from the fleet" // with this upgrade or others
}

// changeMetadata changes current.json to what was verified, over the very version that was read, again where somebody else
// wrote in between. fleet is the fleet as it is now, nil while the deploy is under way.
func (p *pipeline) changeMetadata(ctx context.Context, fleet []Machine) (Metadata, error) {
	records := p.target.Storage.Records
	for range 5 {
		md, etag, err := records.Metadata(ctx)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return md, fmt.Errorf("read current.json: %w", err)
		}
		if err := p.checkOwner(md); err != nil {
			return md, err
		}
		done := p.update(&md, fleet)
		if err = records.WriteMetadata(ctx, md, etag); err == nil {
			for _, r := range done {
				r.recorded = true
			}
			return md, nil
		} else if !errors.Is(err, ErrConflict) {
			return md, fmt.Errorf("write current.json: %w", err)
		}
	}
	return Metadata{}, NewProblem("metadata_busy", "write current.json", ErrConflict,
		"Somebody writes it all the time: does an old fly_deploy run? The machines run the new code; deploy again to record it.")
}

// update changes md to what the verified machines run. Metadata of another image starts anew in the same write.
func (p *pipeline) update(md *Metadata, fleet []Machine) (done []*rollout) {
	if !SameImage(md.ImageRef, p.upgrade.BaseImage) {
		if p.lockLost() && md.ImageRef != "" {
			return nil
		}
		md.ImageRef, md.HotUpgrade, md.MachineUpgrades = p.upgrade.BaseImage, nil, nil
	}
	if md.MachineUpgrades == nil {
		md.MachineUpgrades = map[string]HotUpgrade{}
	}
	for _, r := range p.verified() {
		if p.lockLost() && !p.asBefore(*md, r.machine) {
			continue
		}
		done = append(done, r)
		md.MachineUpgrades[r.machine.ID] = p.hotUpgrade(r)
		if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == p.upgrade.SHA256 {
			delete(md.MachineUpgrades, r.machine.ID)
		}
	}
	if fleet != nil && !p.lockLost() {
		dropGone(md, fleet)
		p.unite(md, fleet)
	}
	return done
}

func (p *pipeline) verified() []*rollout {
	p.guard.Lock()
	defer p.guard.Unlock()
	return slices.Clone(p.sure)
}

// asBefore: nobody else has recorded another upgrade of the machine since we began. Without the lock that may happen.
func (p *pipeline) asBefore(md Metadata, m Machine) bool {
	was, _ := p.before.upgradeOf(m)
	is, _ := md.upgradeOf(m)
	return was.ID == is.ID || is.ID == p.upgrade.ID
}

func (p *pipeline) hotUpgrade(r *rollout) HotUpgrade {
	return HotUpgrade{
		Version: p.upgrade.Version, SourceImageRef: p.upgrade.SourceImage, TarballURL: p.upgrade.TarballURL,
		DeployedAt: time.Now().UTC().Truncate(time.Second), SHA256: p.upgrade.SHA256, Size: p.upgrade.Size, ID: p.upgrade.ID,
		Fingerprint: r.code.Fingerprint,
	}
}

// dropGone forgets machines that do not exist any more.
func dropGone(md *Metadata, fleet []Machine) {
	found := byID(fleet)
	for id := range md.MachineUpgrades {
		if _, there := found[id]; !there {
			delete(md.MachineUpgrades, id)
		}
	}
}

// unite moves the upgrade to hot_upgrade when every machine of this image that runs a release has it, or takes it at its
// next boot because it is stopped.
func (p *pipeline) unite(md *Metadata, fleet []Machine) {
	out := byID(p.scope.out)
	mine, some := HotUpgrade{}, false
	for _, m := range fleet {
		if out[m.ID].LeftOut == leftOutNoVM || !p.counts(m) {
			continue
		}
		u, ok := md.upgradeOf(m)
		if !ok || u.SHA256 != p.upgrade.SHA256 {
			return
		}
		mine, some = u, true
	}
	if !some {
		return
	}
	md.HotUpgrade, md.MachineUpgrades = &mine, nil
}

// counts: the machine is one of the fleet's image now.
func (p *pipeline) counts(m Machine) bool {
	return m.Temporary == "" && whyOut(m) == "" && SameImage(m.Image, p.upgrade.BaseImage)
}

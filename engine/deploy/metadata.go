package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/target"
)

// readMetadata looks at current.json before anything is built: a document that we could not change afterwards must stop the
// deploy before it suspends anything.
func (p *Pipeline) readMetadata(ctx context.Context) error {
	md, _, err := p.Target.Storage.Records.Metadata(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err == nil {
		p.Before = md
		err = p.checkOwner(md)
	}
	if err != nil {
		err = fmt.Errorf("read current.json: %w", err)
		p.rec.Emit(engine.Event{Phase: engine.PhaseBuild, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
	}
	return err
}

func (p *Pipeline) checkOwner(md engine.Metadata) error {
	if md.ImageRef != "" && engine.Repository(md.ImageRef) != engine.Repository(p.Upgrade.BaseImage) {
		return engine.NewProblem("foreign_metadata", fmt.Sprintf("current.json belongs to %s, not to %s", engine.Repository(md.ImageRef), engine.Repository(p.Upgrade.BaseImage)), nil,
			"Two Fly apps share a bucket and an OTP application's name. Give each a bucket of its own: --bucket, or AWS_BUCKET.")
	}
	return nil
}

// recordMachine writes down what a machine runs that has just been verified. Those that come while another one is being
// written are recorded together by the next. What cannot be written now is written at the end.
func (p *Pipeline) recordMachine(ctx context.Context, r *Rollout) {
	p.guard.Lock()
	p.sure = append(p.sure, r)
	p.guard.Unlock()
	p.recording.Lock()
	defer p.recording.Unlock()
	if r.recorded {
		return
	}
	if _, err := p.changeMetadata(ctx, nil); err != nil {
		p.rec.Log(engine.PhaseMetadata, fmt.Sprintf("current.json cannot be written now: %v", err))
	}
}

// writeMetadata records the end: what single machines run, or what the whole fleet runs.
func (p *Pipeline) writeMetadata(ctx context.Context) error {
	return p.phase(engine.PhaseMetadata, "", func() (string, error) {
		p.sure = nil
		for _, r := range p.machines {
			if r.isVerified() {
				p.sure = append(p.sure, r)
			}
		}
		md, err := p.changeMetadata(ctx, p.after)
		return MetadataText(md, p.Upgrade.SHA256), err
	})
}

// lookAside asks machines that were not selected and do not have the upgrade whether they run a release: those that run none do
// not keep the others from being the whole fleet. The first one that does ends it.
func (p *Pipeline) lookAside(ctx context.Context) {
	if slices.ContainsFunc(p.machines, func(r *Rollout) bool { return !r.isVerified() }) {
		return
	}
	now := engine.ByID(p.after)
	p.Scope.Out = slices.Clone(p.Scope.Out) // the plan shows them as they were
	for i, m := range p.Scope.Out {
		u, _ := p.Before.UpgradeOf(m)
		if m.LeftOut != engine.LeftOutNotSelected || u.SHA256 == p.Upgrade.SHA256 || !p.counts(now[m.ID]) {
			continue
		}
		if _, err := agent.Discover(ctx, target.ExecOn(p.ports.Fleet, m.ID), p.settings.Release); !errors.Is(err, agent.ErrNoVM) {
			return
		}
		p.Scope.Out[i].LeftOut = engine.LeftOutNoVM
	}
}

func MetadataText(md engine.Metadata, sha256 string) string {
	if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == sha256 && len(md.MachineUpgrades) == 0 {
		return "the whole fleet runs " + md.HotUpgrade.Version
	}
	return engine.Counted(len(md.MachineUpgrades), "machine") + " recorded apart from the fleet" // with this upgrade or others
}

// changeMetadata changes current.json to what was verified, over the very version that was read, again where somebody else
// wrote in between. fleet is the fleet as it is now, nil while the deploy is under way.
func (p *Pipeline) changeMetadata(ctx context.Context, fleet []engine.Machine) (engine.Metadata, error) {
	records := p.Target.Storage.Records
	for range 5 {
		md, etag, err := records.Metadata(ctx)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
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
		} else if !errors.Is(err, engine.ErrConflict) {
			return md, fmt.Errorf("write current.json: %w", err)
		}
	}
	return engine.Metadata{}, engine.NewProblem("metadata_busy", "write current.json", engine.ErrConflict,
		"Somebody writes it all the time: does an old fly_deploy run? The machines run the new code; deploy again to record it.")
}

// update changes md to what the verified machines run. Metadata of another image starts anew in the same write.
func (p *Pipeline) update(md *engine.Metadata, fleet []engine.Machine) (done []*Rollout) {
	if !engine.SameImage(md.ImageRef, p.Upgrade.BaseImage) {
		if p.lockLost() && md.ImageRef != "" {
			return nil
		}
		md.ImageRef, md.HotUpgrade, md.MachineUpgrades = p.Upgrade.BaseImage, nil, nil
	}
	if md.MachineUpgrades == nil {
		md.MachineUpgrades = map[string]engine.HotUpgrade{}
	}
	for _, r := range p.verified() {
		if p.lockLost() && !p.asBefore(*md, r.Machine) {
			continue
		}
		done = append(done, r)
		md.MachineUpgrades[r.Machine.ID] = p.hotUpgrade(r)
		if md.HotUpgrade != nil && md.HotUpgrade.SHA256 == p.Upgrade.SHA256 {
			delete(md.MachineUpgrades, r.Machine.ID)
		}
	}
	if fleet != nil && !p.lockLost() {
		dropGone(md, fleet)
		p.unite(md, fleet)
	}
	return done
}

func (p *Pipeline) verified() []*Rollout {
	p.guard.Lock()
	defer p.guard.Unlock()
	return slices.Clone(p.sure)
}

// asBefore: nobody else has recorded another upgrade of the machine since we began. Without the lock that may happen.
func (p *Pipeline) asBefore(md engine.Metadata, m engine.Machine) bool {
	was, _ := p.Before.UpgradeOf(m)
	is, _ := md.UpgradeOf(m)
	return was.ID == is.ID || is.ID == p.Upgrade.ID
}

func (p *Pipeline) hotUpgrade(r *Rollout) engine.HotUpgrade {
	return engine.HotUpgrade{
		Version: p.Upgrade.Version, SourceImageRef: p.Upgrade.SourceImage, TarballURL: p.Upgrade.TarballURL,
		DeployedAt: time.Now().UTC().Truncate(time.Second), SHA256: p.Upgrade.SHA256, Size: p.Upgrade.Size, ID: p.Upgrade.ID,
		Fingerprint: r.code.Fingerprint,
	}
}

// dropGone forgets machines that do not exist any more.
func dropGone(md *engine.Metadata, fleet []engine.Machine) {
	found := engine.ByID(fleet)
	for id := range md.MachineUpgrades {
		if _, there := found[id]; !there {
			delete(md.MachineUpgrades, id)
		}
	}
}

// unite moves the upgrade to hot_upgrade when every machine of this image that runs a release has it, or takes it at its
// next boot because it is stopped.
func (p *Pipeline) unite(md *engine.Metadata, fleet []engine.Machine) {
	out := engine.ByID(p.Scope.Out)
	mine, some := engine.HotUpgrade{}, false
	for _, m := range fleet {
		if out[m.ID].LeftOut == engine.LeftOutNoVM || !p.counts(m) {
			continue
		}
		u, ok := md.UpgradeOf(m)
		if !ok || u.SHA256 != p.Upgrade.SHA256 {
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
func (p *Pipeline) counts(m engine.Machine) bool {
	return m.Temporary == "" && engine.WhyOut(m) == "" && engine.SameImage(m.Image, p.Upgrade.BaseImage)
}

package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

const (
	presignedFor      = 30 * time.Minute // covers staging until its expiry
	temporaryLivesFor = 20 * time.Minute
	packWithin        = 8 * time.Minute // each of packing and uploading, within the machine's life
	TemporaryMemoryMB = 1024            // 256 MB was killed for memory (fly_deploy 0.1.12)
)

// tarball is the new release's code in the bucket, and the machine that made it.
type tarball struct {
	temporary string // machine id of the orchestrator, "" once it is destroyed
	made      agent.Tarball
	key       string
	sent      bool // its upload has begun
}

// build makes the new image, or takes the one that was given.
func (p *Pipeline) build(ctx context.Context) error {
	if p.again() {
		p.rec.Emit(engine.Event{Phase: engine.PhaseBuild, Status: engine.StatusSkipped, Text: "deploys " + p.earlier.ID + " again", Upgrade: p.known()})
		return nil
	}
	if p.settings.Image != "" {
		p.Upgrade.SourceImage = p.settings.Image
		p.rec.Emit(engine.Event{Phase: engine.PhaseBuild, Status: engine.StatusSkipped, Text: "uses " + p.settings.Image, Upgrade: p.known()})
		return nil
	}
	return p.phase(engine.PhaseBuild, "building the new image", func() (string, error) {
		ref, err := p.ports.Build(ctx, func(line string) { p.rec.Log(engine.PhaseBuild, line) })
		if err != nil {
			return "", fmt.Errorf("build the new image: %w", err)
		}
		p.Upgrade.SourceImage = ref
		return ref, nil
	})
}

// makeTarball has a temporary machine with the new image pack its release and upload it, and removes the machine.
func (p *Pipeline) makeTarball(ctx context.Context) error {
	if p.again() {
		return p.reuseTarball(ctx)
	}
	defer func() {
		p.settling(ctx, p.removeTemporary)
	}()
	if err := p.phase(engine.PhaseOrchestrator, "starting a temporary machine with the new image", func() (string, error) {
		return p.startTemporary(ctx)
	}); err != nil {
		return err
	}
	exec := target.ExecOn(p.ports.Fleet, p.tarball.temporary)
	const remedy = "Look at the temporary machine with `fly logs`, and deploy again."
	if err := p.phase(engine.PhaseTarball, "packing the new release", func() (text string, err error) {
		err = run.Within(ctx, packWithin, remedy, func(ctx context.Context) (err error) { text, err = p.pack(ctx, exec); return })
		return text, err
	}); err != nil {
		return err
	}
	return run.Within(ctx, packWithin, remedy, func(ctx context.Context) error { return p.upload(ctx, exec) })
}

func (p *Pipeline) startTemporary(ctx context.Context) (string, error) {
	if !p.settings.DryRun { // the lock is ours: what an earlier, killed deploy left can go
		p.removeLeftovers(ctx)
	}
	m, err := p.ports.Fleet.CreateTemporary(ctx, engine.TemporaryMachine{
		UpgradeID: p.Upgrade.ID, Image: p.Upgrade.SourceImage, Region: p.Scope.In[0].Region,
		LiveFor: temporaryLivesFor, MemoryMB: TemporaryMemoryMB, Env: p.settings.Env,
	})
	if err != nil {
		return "", err
	}
	p.tarball.temporary = m.ID
	return fmt.Sprintf("machine %s in %s", m.ID, m.Region), nil
}

func (p *Pipeline) removeLeftovers(ctx context.Context) {
	for _, m := range p.Target.Machines {
		if m.Temporary == "" {
			continue
		}
		text := fmt.Sprintf("removes temporary machine %s, left by deploy %s", m.ID, m.Temporary)
		if err := p.ports.Fleet.Destroy(ctx, m.ID); err != nil {
			text = fmt.Sprintf("temporary machine %s of deploy %s could not be removed: %v", m.ID, m.Temporary, err)
		}
		p.rec.Log(engine.PhaseOrchestrator, text)
	}
}

func (p *Pipeline) pack(ctx context.Context, exec agent.Exec) (string, error) {
	made, err := run.Insist(ctx, p.lost(engine.PhaseTarball, ""), func() (agent.Tarball, error) {
		return agent.MakeTarball(ctx, exec, p.Upgrade.ID, p.Target.VM.Root, p.Target.OTPApp, p.count(engine.PhaseTarball, "files"))
	})
	if err != nil {
		return "", fmt.Errorf("pack the release of %s: %w", p.Upgrade.SourceImage, err)
	}
	p.tarball.made = made
	p.Upgrade.Version, p.Upgrade.SHA256, p.Upgrade.Size = made.AppVersion, made.SHA256, made.Size
	return fmt.Sprintf("%s %s, %d files, %.1f MB", p.Target.OTPApp, made.AppVersion, made.Entries, float64(made.Size)/1e6), nil
}

// count shows the progress of long work inside a phase.
func (p *Pipeline) count(ph engine.Phase, unit string) func(done, total int64) {
	return func(done, total int64) {
		p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Done: done, Total: total, Unit: unit})
	}
}

// upload puts the tarball under its key, unless the very same bytes are there already.
func (p *Pipeline) upload(ctx context.Context, exec agent.Exec) error {
	key, there, err := p.chooseKey(ctx)
	if err != nil {
		return err
	}
	p.tarball.key = key
	p.Upgrade.TarballURL = p.Target.Storage.Tarballs.URL(key)
	if there {
		p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: key + " is in the bucket already", Upgrade: p.known()})
		return nil
	}
	err = p.phase(engine.PhaseUpload, key, func() (string, error) {
		made := p.tarball.made
		url, headers, err := p.Target.Storage.Tarballs.PresignPut(ctx, key, made.Size, made.SHA256, presignedFor)
		if err != nil {
			return "", err
		}
		p.tarball.sent = true
		status, err := run.Insist(ctx, p.lost(engine.PhaseUpload, ""), func() (int, error) {
			return agent.UploadTarball(ctx, exec, p.Upgrade.ID, p.Target.VM.Root, url, headers, "", p.count(engine.PhaseUpload, "bytes"))
		})
		if err != nil && status != http.StatusPreconditionFailed { // there already: an upload whose answer was lost
			return "", fmt.Errorf("upload %s: %w", key, err)
		}
		return key, p.checkUploaded(ctx, key)
	})
	return err
}

func (p *Pipeline) checkUploaded(ctx context.Context, key string) error {
	object, err := p.Target.Storage.Tarballs.Stat(ctx, key)
	if err != nil {
		return fmt.Errorf("look at the uploaded %s: %w", key, err)
	}
	if made := p.tarball.made; object.Size != made.Size || object.SHA256 != made.SHA256 {
		return fmt.Errorf("the uploaded %s has %d bytes with sha256 %s instead of %d with %s",
			key, object.Size, object.SHA256, made.Size, made.SHA256)
	}
	return nil
}

// chooseKey gives the release's key. Bytes behind a published upgrade never change, so another upgrade of the same
// version gets a key with the start of its sha256. A dry run uploads beside the releases.
func (p *Pipeline) chooseKey(ctx context.Context) (key string, there bool, err error) {
	made := p.tarball.made
	if p.settings.DryRun {
		return fmt.Sprintf("releases/%s-plan/%s.tar.gz", p.Target.OTPApp, p.Upgrade.ID), false, nil
	}
	plain := fmt.Sprintf("releases/%s-%s.tar.gz", p.Target.OTPApp, made.AppVersion)
	for _, key := range []string{plain, strings.TrimSuffix(plain, ".tar.gz") + "-" + made.SHA256[:12] + ".tar.gz"} {
		object, err := p.Target.Storage.Tarballs.Stat(ctx, key)
		if errors.Is(err, engine.ErrNotFound) {
			return key, false, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("look at %s: %w", key, err)
		}
		if object.SHA256 == made.SHA256 && object.Size == made.Size {
			return key, true, nil
		}
	}
	return "", false, fmt.Errorf("%s exists with other bytes under both of its names", plain)
}

// removeTemporary destroys the orchestrator. It destroys itself later where this fails, and the next deploy looks.
func (p *Pipeline) removeTemporary(ctx context.Context) {
	id := p.tarball.temporary
	if id == "" {
		return
	}
	p.tarball.temporary = ""
	if err := p.ports.Fleet.Destroy(ctx, id); err != nil {
		p.rec.Log(engine.PhaseOrchestrator, fmt.Sprintf("temporary machine %s could not be destroyed (%v); it ends itself within %s", id, err, temporaryLivesFor))
		return
	}
	p.rec.Log(engine.PhaseOrchestrator, fmt.Sprintf("temporary machine %s destroyed", id))
}

// dropDryRunUpload removes what a dry run has put into the bucket.
func (p *Pipeline) dropDryRunUpload(ctx context.Context) {
	if !p.settings.DryRun || !p.tarball.sent {
		return
	}
	if err := p.Target.Storage.Tarballs.Delete(ctx, p.tarball.key); err != nil {
		p.rec.Log(engine.PhaseUpload, fmt.Sprintf("%s could not be removed from the bucket: %v", p.tarball.key, err))
	}
}

package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// uploadTarball stores the tarball under its key, unless the same bytes are there already.
func (p *packing) uploadTarball(ctx context.Context) error {
	key, there, err := p.chooseKey(ctx)
	if err != nil {
		return err
	}
	p.key, p.upgrade.TarballURL = key, p.target.Storage.Tarballs.URL(key)
	if there {
		p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: key + " is in the bucket already", Upgrade: copyOf(&p.upgrade)})
		return nil
	}
	p.sent = true
	return run.Within(ctx, packWithin, lookAtTemporary, func(ctx context.Context) error {
		return p.phase(engine.PhaseUpload, key, &p.upgrade, func() (string, error) { return key, p.send(ctx, key) })
	})
}

func (p *packing) send(ctx context.Context, key string) error {
	url, headers, err := p.target.Storage.Tarballs.PresignPut(ctx, key, p.made.Size, p.made.SHA256, presignedFor)
	if err != nil {
		return err
	}
	status, err := run.RetryUnknown(ctx, p.lostAnswer(engine.PhaseUpload, ""), func() (int, error) {
		return agent.UploadTarball(ctx, p.exec, p.upgrade.ID, p.target.VM.Root, url, headers, "", p.count(engine.PhaseUpload, "bytes"))
	})
	if err != nil && status != http.StatusPreconditionFailed { // 412: an earlier upload, whose answer was lost, has succeeded
		return fmt.Errorf("upload %s: %w", key, err)
	}
	object, err := p.target.Storage.Tarballs.Stat(ctx, key)
	if err != nil {
		return fmt.Errorf("look at the uploaded %s: %w", key, err)
	}
	if object.Size != p.made.Size || object.SHA256 != p.made.SHA256 {
		return fmt.Errorf("the uploaded %s has %d bytes with sha256 %s, not %d with %s",
			key, object.Size, object.SHA256, p.made.Size, p.made.SHA256)
	}
	return nil
}

// chooseKey gives the tarball's key, and whether it is there already. A published tarball never changes, so another upgrade of
// the same version gets a key with the first digits of its sha256. A dry run uploads to a folder of its own.
func (p *packing) chooseKey(ctx context.Context) (key string, there bool, err error) {
	if p.settings.DryRun {
		return fmt.Sprintf("releases/%s-plan/%s.tar.gz", p.target.OTPApp, p.upgrade.ID), false, nil
	}
	plain := fmt.Sprintf("releases/%s-%s.tar.gz", p.target.OTPApp, p.made.AppVersion)
	for _, key := range []string{plain, strings.TrimSuffix(plain, ".tar.gz") + "-" + p.made.SHA256[:12] + ".tar.gz"} {
		object, err := p.target.Storage.Tarballs.Stat(ctx, key)
		if errors.Is(err, engine.ErrNotFound) {
			return key, false, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("look at %s: %w", key, err)
		}
		if object.SHA256 == p.made.SHA256 && object.Size == p.made.Size {
			return key, true, nil
		}
	}
	return "", false, fmt.Errorf("%s exists with other contents under both of its names", plain)
}

// deleteDryRunUpload deletes what a dry run has uploaded.
func (j *job) deleteDryRunUpload(ctx context.Context, storage engine.Storage, p packed) {
	if !j.settings.DryRun || !p.sent {
		return
	}
	if err := storage.Tarballs.Delete(ctx, p.key); err != nil {
		j.rec.Log(engine.PhaseUpload, fmt.Sprintf("%s could not be deleted from the bucket: %v", p.key, err))
	}
}

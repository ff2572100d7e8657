package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// file is one that the temporary machine has made. key and url are for its place in the bucket.
type file struct {
	upload   agent.Upload
	sha256   string
	size     int64
	key, url *string
}

func (p *packing) tarball() file {
	return file{agent.UploadTarball, p.upgrade.SHA256, p.upgrade.Size, &p.key, &p.upgrade.TarballURL}
}

func (p *packing) agent() file {
	a := &p.upgrade.Agent
	return file{agent.UploadAgent, a.SHA256, a.Size, &p.agentKey, &a.URL}
}

// upload stores files under their keys, unless the same bytes are there already. The last one is what is told of.
func (p *packing) upload(ctx context.Context, files ...file) error {
	p.sign(p.packed, p.surveyed)
	var missing []file
	for _, f := range files {
		key, there, err := p.chooseKey(ctx, f)
		if err != nil {
			return err
		}
		*f.key, *f.url = key, p.target.Storage.Tarballs.URL(key)
		if !there {
			missing = append(missing, f)
		}
	}
	told := *files[len(files)-1].key
	if len(missing) == 0 {
		p.rec.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusSkipped, Text: told + " is in the bucket already", Upgrade: copyOf(&p.upgrade)})
		return nil
	}
	return p.phase(engine.PhaseUpload, told, &p.upgrade, func() (string, error) {
		for _, f := range missing {
			if err := p.send(ctx, f); err != nil {
				return "", err
			}
		}
		return told, nil
	})
}

// send uploads a file: from here what was kept or made here, everything else from the temporary machine. It looks whether the file has
// arrived.
func (p *packing) send(ctx context.Context, f file) error {
	key := *f.key
	p.sent = append(p.sent, key)
	var err error
	switch {
	case f.upload == agent.UploadAgent && p.agentFile != nil:
		err = p.sendFromHere(ctx, f, bytes.NewReader(p.agentFile), nil)
	case f.upload == agent.UploadTarball && p.made != nil:
		err = p.sendFromHere(ctx, f, p.made.File, p.count(engine.PhaseUpload, "bytes"))
	default:
		err = p.sendFromTemporary(ctx, f)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", key, err)
	}
	object, err := p.target.Storage.Tarballs.Stat(ctx, key)
	if err != nil {
		return fmt.Errorf("look at the uploaded %s: %w", key, err)
	}
	if object.Size != f.size || object.SHA256 != f.sha256 {
		return fmt.Errorf("the uploaded %s has %d bytes with sha256 %s, not %d with %s",
			key, object.Size, object.SHA256, f.size, f.sha256)
	}
	return nil
}

func (p *packing) sendFromHere(ctx context.Context, f file, content io.ReadSeeker, progress func(done, total int64)) error {
	err := run.Within(ctx, packWithin, "Check the network, and deploy again.", func(ctx context.Context) error {
		return p.target.Storage.Tarballs.Put(ctx, *f.key, content, f.sha256, progress)
	})
	if errors.Is(err, engine.ErrConflict) { // somebody else has just sent it, or an earlier attempt whose answer was lost
		return nil
	}
	return err
}

func (p *packing) sendFromTemporary(ctx context.Context, f file) error {
	url, headers, err := p.target.Storage.Tarballs.PresignPut(ctx, *f.key, f.size, f.sha256, presignedFor)
	if err != nil {
		return err
	}
	var progress func(done, total int64)
	if f.upload == agent.UploadTarball {
		progress = p.count(engine.PhaseUpload, "bytes")
	}
	status, err := inTemporary(ctx, p, engine.PhaseUpload, func(ctx context.Context) (int, error) {
		return f.upload.Send(ctx, p.exec, p.upgrade.ID, p.target.VM.Root, url, headers, "", progress)
	})
	if status == http.StatusPreconditionFailed { // an earlier upload, whose answer was lost, has succeeded
		return nil
	}
	return err
}

// sendSource puts the agent's source into the bucket, under the deploy's own id, and gives it with the URL from which the temporary machine
// gets it. It is deleted with that machine.
func (p *packing) sendSource(ctx context.Context) (source agent.Source, url string, err error) {
	if source, err = agent.AgentSource(); err != nil {
		return source, "", err
	}
	p.source = fmt.Sprintf("releases/%s-results/%s/agent.source", p.target.OTPApp, p.upgrade.ID)
	if p.settings.DryRun {
		p.source = fmt.Sprintf("releases/%s-plan/%s.source", p.target.OTPApp, p.upgrade.ID)
	}
	if err = p.sendFromHere(ctx, file{sha256: source.SHA256(), key: &p.source}, bytes.NewReader(source.File), nil); err == nil {
		url, err = p.target.Storage.Tarballs.PresignGet(ctx, p.source, presignedFor)
	}
	if err != nil {
		return source, "", fmt.Errorf("upload the agent's source as %s: %w", p.source, err)
	}
	return source, url, nil
}

// chooseKey gives a file's key, and whether it is there already. What is published never changes, so another upgrade of the same
// version gets a key with the first digits of its sha256, as every agent does. A dry run uploads to a folder of its own.
func (p *packing) chooseKey(ctx context.Context, f file) (key string, there bool, err error) {
	app := p.target.OTPApp
	plain := fmt.Sprintf("releases/%s-%s.tar.gz", app, p.upgrade.Version)
	keys := []string{plain, strings.TrimSuffix(plain, ".tar.gz") + "-" + f.sha256[:12] + ".tar.gz"}
	if f.upload == agent.UploadAgent {
		keys = []string{agentKey(app, f.sha256)}
	}
	if p.settings.DryRun {
		return fmt.Sprintf("releases/%s-plan/%s%s", app, p.upgrade.ID, extension(keys[0])), false, nil
	}
	for _, key := range keys {
		object, err := p.target.Storage.Tarballs.Stat(ctx, key)
		if errors.Is(err, engine.ErrNotFound) {
			return key, false, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("look at %s: %w", key, err)
		}
		if object.SHA256 == f.sha256 && object.Size == f.size {
			return key, true, nil
		}
	}
	return "", false, fmt.Errorf("%s exists with other contents", strings.Join(keys, " and "))
}

func agentKey(otpApp, sha256 string) string {
	return fmt.Sprintf("releases/%s-agent-%s.beams", otpApp, sha256[:12])
}

func extension(key string) string {
	if strings.HasSuffix(key, ".beams") {
		return ".beams"
	}
	return ".tar.gz"
}

// deleteDryRunUpload deletes what a dry run has uploaded.
func (j *job) deleteDryRunUpload(ctx context.Context, storage engine.Storage, p packed) {
	if !j.settings.DryRun {
		return
	}
	for _, key := range slices.Compact(slices.Sorted(slices.Values(p.sent))) {
		j.deleteUpload(ctx, storage, key)
	}
}

func (j *job) deleteUpload(ctx context.Context, storage engine.Storage, key string) {
	if err := storage.Tarballs.Delete(ctx, key); err != nil {
		j.rec.Log(engine.PhaseUpload, fmt.Sprintf("%s could not be deleted from the bucket: %v", key, err))
	}
}

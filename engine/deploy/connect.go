package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
)

// scope is what a deploy works on: everything that is read from the fleet and the bucket, behind the lock.
type scope struct {
	target   *target.Target
	in, out  []engine.Machine // that take part, and that do not, with their reasons
	recorded engine.Metadata  // current.json as the deploy found it
	earlier  *record.Record   // the deploy that is resumed, or whose code is deployed again; nil for none
	image    string           // to be packed, "" builds one
}

// connect finds the release and the storage. It belongs to the lock's phase: without them there is none.
func (j *job) connect(ctx context.Context, all *soFar) (*target.Target, error) {
	u := &all.upgrade
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: "reading the running release and its storage settings", Upgrade: known(u)})
	found, err := j.findTarget(ctx)
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return nil, err
	}
	all.storage = found.Storage
	u.OTPApp = found.OTPApp
	j.rec.Log(engine.PhaseLock, found.StorageText())
	return found, nil
}

func (j *job) findTarget(ctx context.Context) (*target.Target, error) {
	s := j.settings
	found, err := target.Connect(ctx, engine.App{OTPApp: s.OTPApp, Release: s.Release}, j.ports.Fleet, j.ports.Storage)
	if err != nil {
		return nil, err
	}
	if s.To == "" && !s.Resume { // else the tarball may be there, and no machine is created
		err = j.checkPower(ctx)
	}
	if _, wrong := target.ScopeOf(found.Machines, s.Select); err == nil {
		err = wrong // before anybody waits for a lock
	}
	return found, err
}

// checkPower spares a build whose temporary machine the token may not create.
func (j *job) checkPower(ctx context.Context) error {
	if err := j.ports.Fleet.MayCreate(ctx); errors.Is(err, engine.ErrForbidden) {
		return fmt.Errorf("check what the token may do: %w", err)
	}
	return nil // else the launch will tell
}

// survey reads what the deploy works on. The lock is held, so that nobody else changes it; waited: the fleet may have changed
// since it was connected to.
func (j *job) survey(ctx context.Context, all *soFar, found *target.Target, waited bool) (*scope, error) {
	var err error
	if waited {
		if found, err = target.Connect(ctx, engine.App{OTPApp: found.OTPApp, Release: j.settings.Release}, j.ports.Fleet, j.ports.Storage); err != nil {
			return nil, err
		}
	}
	s := &scope{target: found, image: j.settings.Image}
	if s.earlier, err = j.findEarlier(ctx, found.Storage.Records); err != nil {
		return nil, err
	}
	sel := j.settings.Select
	if s.earlier != nil && j.settings.Resume {
		if sel.Empty() {
			sel = s.earlier.Select
		}
		if s.image == "" {
			s.image = s.earlier.Upgrade.SourceImage // where the tarball is missing
		}
	}
	parts, err := target.ScopeOf(found.Machines, sel)
	if err != nil {
		return nil, err
	}
	s.in, s.out = parts.In, parts.Out
	if s.earlier != nil && s.earlier.Upgrade.TarballURL == "" {
		if err := j.checkPower(ctx); err != nil {
			return nil, err
		}
	}
	all.upgrade.BaseImage = engine.BaseImage(s.in)
	s.recorded, err = readMetadata(ctx, found.Storage.Records, all.upgrade.BaseImage)
	return s, err
}

// again: an earlier deploy's tarball takes the place of build and temporary machine.
func (s *scope) again() bool { return s.earlier != nil && s.earlier.Upgrade.TarballURL != "" }

// readMetadata looks at current.json before anything is built: a document that we could not change afterwards must stop the
// deploy before it suspends anything.
func readMetadata(ctx context.Context, records engine.Records, baseImage string) (engine.Metadata, error) {
	md, _, err := records.Metadata(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return engine.Metadata{}, nil
	}
	if err == nil {
		err = checkOwner(md, baseImage)
	}
	if err != nil {
		return md, fmt.Errorf("read current.json: %w", err)
	}
	return md, nil
}

func checkOwner(md engine.Metadata, baseImage string) error {
	if md.ImageRef == "" || engine.Repository(md.ImageRef) == engine.Repository(baseImage) {
		return nil
	}
	return engine.NewProblem("foreign_metadata", fmt.Sprintf("current.json belongs to %s, not to %s", engine.Repository(md.ImageRef), engine.Repository(baseImage)), nil,
		"Two Fly apps share a bucket and an OTP application's name. Give each a bucket of its own: --bucket, or AWS_BUCKET.")
}

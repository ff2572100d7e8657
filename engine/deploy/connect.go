package deploy

import (
	"context"
	"errors"
	"fmt"

	"flydeploy/engine"
	"flydeploy/engine/target"
)

// connect finds the release and the storage. It belongs to the phase of the lock, which lies in that storage.
func (j *job) connect(ctx context.Context, u engine.Upgrade) (*target.Target, error) {
	j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: "reading the running release and its storage settings", Upgrade: &u})
	found, err := j.findTarget(ctx)
	if err != nil {
		j.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: failedBy(err), Problem: engine.AsProblem(err)})
		return nil, err
	}
	j.rec.Log(engine.PhaseLock, found.StorageText())
	return found, nil
}

func (j *job) findTarget(ctx context.Context) (*target.Target, error) {
	s := j.settings
	if j.ports.Keys.Demands() && j.ports.Keys.SignsWith() == "" && !s.DryRun {
		return nil, engine.NewProblem("no_signing_key", "public_keys demands signed upgrades, and this console has no key to sign with", nil,
			"Give it a key: --signing-key, or FLYDEPLOY_SIGNING_KEY. Or take public_keys out of flydeploy.toml.")
	}
	if err := j.checkPause(s.Strategy); err != nil {
		return nil, err
	}
	if err := j.checkSource(); err != nil {
		return nil, err
	}
	found, err := target.Connect(ctx, engine.App{OTPApp: s.OTPApp, Release: s.Release}, j.ports.Fleet, j.ports.Storage)
	if err != nil {
		return nil, err
	}
	if s.To == "" && !s.Resume { // otherwise the tarball may exist, and no machine is created
		err = j.checkToken(ctx)
	}
	if _, wrong := target.ScopeOf(found.Machines, s.Select); err == nil {
		err = wrong // now rather than after a wait for the lock
	}
	return found, err
}

// checkToken fails if the token may not create the temporary machine, so that nothing is built in vain.
func (j *job) checkToken(ctx context.Context) error {
	if j.settings.Source == engine.SourceRegistry {
		return nil
	}
	if err := j.ports.Fleet.MayCreate(ctx); errors.Is(err, engine.ErrForbidden) {
		return fmt.Errorf("check what the token may do: %w", err)
	}
	return nil // after another error the launch will show it
}

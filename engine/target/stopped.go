package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// ErrNoneRuns says that no machine of the fleet runs the release, so that none can be asked.
var ErrNoneRuns = errors.New("no machine runs the release")

const (
	stoppedWithin = 3 * time.Minute // for all of ConnectStopped: the temporary machine has to pull its image
	readerLives   = 5 * time.Minute // after that the temporary machine destroys itself
	destroyWithin = 30 * time.Second
)

// TemporaryMemoryMB is the memory of a temporary machine, in MB. With 256 it was killed for lack of memory (fly_deploy 0.1.12).
const TemporaryMemoryMB = 1024

// ConnectStopped opens the bucket of a fleet on which no machine runs the release. It asks a temporary machine of the fleet's image,
// which has the same secrets, and destroys it afterwards. env is what that machine gets from fly.toml's [env].
func ConnectStopped(ctx context.Context, app engine.App, env map[string]string, fleet engine.Fleet, open engine.OpenStorage) (*Target, error) {
	ctx, cancel := context.WithTimeout(ctx, stoppedWithin)
	defer cancel()
	t := &Target{}
	var err error
	if t.Machines, err = fleet.Machines(ctx); err != nil {
		return nil, err
	}
	settings, err := t.askImage(ctx, app.Release, env, fleet)
	if err != nil {
		return nil, err
	}
	if t.OTPApp = cmp.Or(app.OTPApp, t.VM.OTPApp); t.OTPApp == "" {
		return nil, NoOTPAppProblem(t.VM.Name)
	}
	if t.Storage, err = open(ctx, t.OTPApp, settings); err != nil {
		return nil, err
	}
	return t, nil
}

// askImage finds the release and its storage settings in a temporary machine.
func (t *Target) askImage(ctx context.Context, release engine.Release, env map[string]string, fleet engine.Fleet) (map[string]string, error) {
	var asleep []engine.Machine
	for _, m := range t.Machines {
		if m.LeftOut == "" && m.Temporary == "" {
			asleep = append(asleep, m)
		}
	}
	if len(asleep) == 0 {
		return nil, NoMachineProblem("there is no machine to ask where the bucket is", t.Machines)
	}
	m, err := fleet.CreateTemporary(ctx, engine.TemporaryMachine{
		UpgradeID: ulid.Make().String(), Image: engine.BaseImage(asleep), Region: asleep[0].Region,
		LiveFor: readerLives, MemoryMB: TemporaryMemoryMB, Env: env,
	})
	if err != nil {
		return nil, fmt.Errorf("read the storage settings without a running machine: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyWithin)
		defer cancel()
		_ = fleet.Destroy(ctx, m.ID) // if this fails, it destroys itself, or the next deploy does
	}()
	t.Machine = m.ID
	var settings map[string]string
	t.VM, err = run.RetryUnknown(ctx, nil, func() (vm agent.VM, err error) {
		vm, settings, err = agent.ImageStorage(ctx, ExecOn(fleet, m.ID), release)
		return vm, err
	})
	return settings, err
}

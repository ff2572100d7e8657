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
	stoppedWithin = 7 * time.Minute // for all of ConnectStopped: the temporary machine has to pull its image
	readerLives   = 5 * time.Minute // after that the temporary machine destroys itself
	destroyWithin = 30 * time.Second
)

// ConnectStopped opens the bucket of a fleet on which no machine runs the release. It asks a temporary machine of the fleet's image,
// which has the same secrets, and destroys it afterwards. No machine of the app is started.
func ConnectStopped(ctx context.Context, app engine.App, temporary engine.Temporary, fleet engine.Fleet, open engine.OpenStorage) (*Target, error) {
	ctx, cancel := context.WithTimeout(ctx, stoppedWithin)
	defer cancel()
	t := &Target{}
	var err error
	if t.Machines, err = fleet.Machines(ctx); err != nil {
		return nil, err
	}
	settings, err := t.askImage(ctx, app.Release, temporary, fleet)
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
func (t *Target) askImage(ctx context.Context, release engine.Release, temporary engine.Temporary, fleet engine.Fleet) (map[string]string, error) {
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
		UpgradeID: ulid.Make().String(), Image: engine.BaseImage(asleep), LiveFor: readerLives, Temporary: temporary.For(asleep),
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

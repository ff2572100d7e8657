package fly

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
	"flydeploy/text"
)

const (
	// minMemoryMB: with 256 MB, fly_deploy 0.1.12 ran out of memory.
	minMemoryMB = 1024
	// imageWithin is longer than an image takes from a push to the registry's mirrors: about 15 s. Source: Fly's community forum.
	imageWithin  = 45 * time.Second
	imageEvery   = 2 * time.Second // between attempts to launch an image that is not there yet
	startWithin  = 2 * time.Minute
	pollEvery    = 400 * time.Millisecond // while a machine starts
	findWithin   = 6 * time.Second        // for a machine whose launch got no answer
	findEvery    = time.Second
	maxLaunches  = 2
	removeWithin = 30 * time.Second // for a machine whose caller has given up
)

// CreateTemporary implements engine.Fleet. If it fails it leaves no machine behind, or says which one.
func (c *Client) CreateTemporary(ctx context.Context, spec engine.TemporaryMachine) (engine.Machine, error) {
	launched, err := c.launch(ctx, spec)
	if launched == nil && !errors.Is(err, engine.ErrUnknownOutcome) {
		return engine.Machine{}, err
	}
	if err == nil {
		var started *flyapi.Machine
		if started, err = c.waitStarted(ctx, launched.ID); err == nil {
			return describe(started), nil
		}
	}
	return engine.Machine{}, errors.Join(err, c.removeLaunched(ctx, spec, launched))
}

// launch creates the machine. If the outcome is unknown, it looks for the machine before it tries again.
func (c *Client) launch(ctx context.Context, spec engine.TemporaryMachine) (*flyapi.Machine, error) {
	var unknown error
	for range maxLaunches {
		m, err := c.launchOnce(ctx, spec)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, engine.ErrUnknownOutcome) || ctx.Err() != nil {
			return nil, errors.Join(err, unknown) // with unknown, so that a machine of the earlier attempt is removed
		}
		unknown = err
		found, lookErr := c.findLaunched(ctx, spec.UpgradeID)
		if lookErr != nil {
			return nil, errors.Join(err, lookErr)
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return nil, unknown
}

// launchOnce sends one launch. It repeats launches that failed because the registry's mirrors did not have the image yet.
func (c *Client) launchOnce(ctx context.Context, spec engine.TemporaryMachine) (*flyapi.Machine, error) {
	start := time.Now()
	for {
		var m flyapi.Machine
		err := c.do(ctx, request{
			op: "start a temporary machine", action: "launch", method: http.MethodPost, body: launchInput(spec),
			timeout: 90 * time.Second, maxElapsed: 30 * time.Second,
		}, &m)
		var failed *requestError
		if !errors.As(err, &failed) || !failed.noSuchImage() {
			return &m, err
		}
		if time.Since(start) > imageWithin {
			return nil, engine.NewProblem("no_image", failed.what, failed,
				"Check that the image exists and that the app may pull it: "+spec.Image)
		}
		if err := sleep(ctx, imageEvery); err != nil {
			return nil, fmt.Errorf("%s: %w", failed.what, err)
		}
	}
}

// launchInput describes a machine that only sleeps, and so stops by itself after a while. `fly deploy` leaves machines of the
// process group for consoles alone.
func launchInput(spec engine.TemporaryMachine) flyapi.LaunchMachineInput {
	return flyapi.LaunchMachineInput{
		Region:                  spec.Region,
		SkipServiceRegistration: true,
		Config: &flyapi.MachineConfig{
			Image: spec.Image,
			Env:   spec.Env,
			Init:  flyapi.MachineInit{Exec: []string{"/bin/sleep", strconv.Itoa(int(spec.LiveFor.Seconds()))}},
			Guest: &flyapi.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: max(minMemoryMB, spec.MemoryMB)},
			Metadata: map[string]string{
				metadataUpgrade: spec.UpgradeID,
				flyapi.MachineConfigMetadataKeyFlyProcessGroup: flyapi.MachineProcessGroupFlyAppConsole,
			},
			AutoDestroy: true,
			Restart:     &flyapi.MachineRestart{Policy: flyapi.MachineRestartPolicyNo},
			DNS:         &flyapi.DNSConfig{SkipRegistration: true},
		},
	}
}

// findLaunched looks for machines that a launch without an answer may have created, for up to findWithin.
func (c *Client) findLaunched(ctx context.Context, upgradeID string) ([]*flyapi.Machine, error) {
	for start := time.Now(); ; {
		found, err := c.launchedFor(ctx, upgradeID)
		if err != nil || len(found) > 0 || time.Since(start) > findWithin {
			return found, err
		}
		if err := sleep(ctx, findEvery); err != nil {
			return nil, err
		}
	}
}

// waitStarted polls until the machine has started or cannot start any more. The API's own wait would not return for a machine
// that has failed.
func (c *Client) waitStarted(ctx context.Context, id string) (*flyapi.Machine, error) {
	what := "start the temporary machine " + id
	for start := time.Now(); ; {
		m, err := c.get(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case m.State == flyapi.MachineStateStarted:
			return m, nil
		case m.State == flyapi.MachineStateStopped, m.State == "failed", m.State == "launch_failed", isDestroyed(m.State):
			return nil, engine.NewProblem("temporary_failed", what, fmt.Errorf("it is %s%s", m.State, lastExit(m)),
				"Check `fly logs -i "+id+"`. The image must contain /bin/sleep.")
		case time.Since(start) > startWithin:
			return nil, engine.NewProblem("temporary_slow", what,
				fmt.Errorf("it is still %s after %s", m.State, text.Seconds(startWithin)), "Check https://status.flyio.net, and run again.")
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
}

// lastExit says how the machine's process ended, if the API knows.
func lastExit(m *flyapi.Machine) string {
	exit := m.GetLatestEventOfType("exit")
	switch {
	case exit == nil || exit.Request == nil || exit.Request.ExitEvent == nil:
		return ""
	case exit.Request.ExitEvent.OOMKilled:
		return ", out of memory"
	}
	return fmt.Sprintf(", exit code %d", exit.Request.ExitEvent.ExitCode)
}

// removeLaunched destroys launched, or if that is nil whatever the launch may have created, even if ctx has ended.
func (c *Client) removeLaunched(ctx context.Context, spec engine.TemporaryMachine, launched *flyapi.Machine) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
	defer cancel()
	found, err := []*flyapi.Machine{launched}, error(nil)
	if launched == nil {
		found, err = c.findLaunched(ctx, spec.UpgradeID)
	}
	for _, m := range found {
		err = errors.Join(err, c.Destroy(ctx, m.ID))
	}
	if err != nil {
		return fmt.Errorf("a temporary machine may remain; it stops by itself within %s: %w", text.Seconds(spec.LiveFor), err)
	}
	return nil
}

// Destroy implements engine.Fleet. It refuses machines that are not temporary. It also destroys other machines of the same
// deploy, which a repeated launch may have created.
func (c *Client) Destroy(ctx context.Context, machineID string) error {
	m, err := c.get(ctx, machineID)
	if isNotFound(err) || (err == nil && isDestroyed(m.State)) {
		return nil
	}
	if err != nil {
		return err
	}
	upgradeID := m.GetMetadataByKey(metadataUpgrade)
	if upgradeID == "" {
		return fmt.Errorf("destroy machine %s: it is not a temporary machine of flydeploy", machineID)
	}
	siblings, err := c.launchedFor(ctx, upgradeID)
	errs := []error{err, c.remove(ctx, machineID)}
	for _, sibling := range siblings {
		if sibling.ID != machineID {
			errs = append(errs, c.remove(ctx, sibling.ID))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) remove(ctx context.Context, id string) error {
	err := c.do(ctx, request{
		op: "destroy machine", action: "destroy", method: http.MethodDelete, machine: id,
		path: "/" + url.PathEscape(id) + "?force=true", timeout: 20 * time.Second, maxElapsed: 20 * time.Second, repeatable: true,
	}, nil)
	if isNotFound(err) {
		return nil
	}
	return err
}

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
)

const (
	// minMemoryMB: with 256 MB an orchestrator was killed for memory. Source: fly_deploy 0.1.12.
	minMemoryMB = 1024
	// imagePatience outlasts the lag between a push and the registry's mirrors, about 15 s. Source: Fly's community forum.
	imagePatience = 45 * time.Second
	imageEvery    = 2 * time.Second
	startPatience = 2 * time.Minute
	lookEvery     = 400 * time.Millisecond
	lookPatience  = 6 * time.Second // for finding a machine whose launch got no answer
	maxLaunches   = 2
	removeWithin  = 30 * time.Second // for a machine whose creator has given up
)

// CreateTemporary implements engine.Fleet. A failure leaves no machine behind, or says which.
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

// launch creates the machine. After an unknown outcome it looks for the machine before it tries again.
func (c *Client) launch(ctx context.Context, spec engine.TemporaryMachine) (*flyapi.Machine, error) {
	var unknown error
	for range maxLaunches {
		m, err := c.launchOnce(ctx, spec)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, engine.ErrUnknownOutcome) || ctx.Err() != nil {
			return nil, errors.Join(err, unknown) // what an earlier one may have made is to be removed
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

// launchOnce sends one launch that may be carried out; launches that the registry's lag made fail do not count.
func (c *Client) launchOnce(ctx context.Context, spec engine.TemporaryMachine) (*flyapi.Machine, error) {
	start := time.Now()
	for {
		var m flyapi.Machine
		err := c.do(ctx, request{
			op: "start a temporary machine", action: "launch", method: http.MethodPost, body: launchInput(spec),
			timeout: 90 * time.Second, patience: 30 * time.Second,
		}, &m)
		var failed *requestError
		if !errors.As(err, &failed) || !failed.noSuchImage() {
			return &m, err
		}
		if time.Since(start) > imagePatience {
			return nil, engine.NewProblem("no_image", failed.what, failed,
				"Check that the image exists and that this app may pull it: "+spec.Image)
		}
		if err := sleep(ctx, imageEvery); err != nil {
			return nil, fmt.Errorf("%s: %w", failed.what, err)
		}
	}
}

// launchInput describes a machine that runs nothing but a sleep, which bounds its life. flyctl's reserved group for
// consoles keeps `fly deploy` from touching it.
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

// findLaunched looks for a while for what a launch without an answer may have made.
func (c *Client) findLaunched(ctx context.Context, upgradeID string) ([]*flyapi.Machine, error) {
	for start := time.Now(); ; {
		found, err := c.launchedFor(ctx, upgradeID)
		if err != nil || len(found) > 0 || time.Since(start) > lookPatience {
			return found, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

// waitStarted looks until the machine is started, or can no longer become so. The API's own wait would not return for a
// machine that has failed.
func (c *Client) waitStarted(ctx context.Context, id string) (*flyapi.Machine, error) {
	what := "start the temporary machine " + id
	for start := time.Now(); ; {
		m, err := c.get(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case m.State == flyapi.MachineStateStarted:
			return m, nil
		case m.State == flyapi.MachineStateStopped, m.State == "failed", m.State == "launch_failed", isEnding(m.State):
			return nil, engine.NewProblem("temporary_failed", what, fmt.Errorf("it is %s%s", m.State, lastExit(m)),
				"Look at `fly logs -i "+id+"`. The image must have /bin/sleep.")
		case time.Since(start) > startPatience:
			return nil, engine.NewProblem("temporary_slow", what,
				fmt.Errorf("it is still %s after %s", m.State, startPatience), "Look at https://status.flyio.net, and run again.")
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
}

// lastExit tells how the machine's process ended, where the API knows.
func lastExit(m *flyapi.Machine) string {
	exit := m.GetLatestEventOfType("exit")
	switch {
	case exit == nil || exit.Request == nil || exit.Request.ExitEvent == nil:
		return ""
	case exit.Request.ExitEvent.OOMKilled:
		return ", killed for memory"
	}
	return fmt.Sprintf(", exit code %d", exit.Request.ExitEvent.ExitCode)
}

// removeLaunched destroys what a launch has made, or may have made where launched is nil, also after ctx has ended.
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
		return fmt.Errorf("a temporary machine may be left; it ends itself within %s: %w", spec.LiveFor, err)
	}
	return nil
}

// Destroy implements engine.Fleet. It refuses a machine that is not temporary, and takes a twin along that a repeated
// launch may have left.
func (c *Client) Destroy(ctx context.Context, machineID string) error {
	m, err := c.get(ctx, machineID)
	if isGone(err) || (err == nil && isEnding(m.State)) {
		return nil
	}
	if err != nil {
		return err
	}
	upgradeID := m.GetMetadataByKey(metadataUpgrade)
	if upgradeID == "" {
		return fmt.Errorf("destroy machine %s: it is not a temporary machine of flydeploy", machineID)
	}
	twins, err := c.launchedFor(ctx, upgradeID)
	errs := []error{err, c.remove(ctx, machineID)}
	for _, twin := range twins {
		if twin.ID != machineID {
			errs = append(errs, c.remove(ctx, twin.ID))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) remove(ctx context.Context, id string) error {
	err := c.do(ctx, request{
		op: "destroy machine", action: "destroy", method: http.MethodDelete, machine: id,
		path: "/" + url.PathEscape(id) + "?force=true", timeout: 20 * time.Second, patience: 20 * time.Second, repeatable: true,
	}, nil)
	if isGone(err) {
		return nil
	}
	return err
}

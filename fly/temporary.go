package fly

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
	"flydeploy/text"
)

const (
	// startWithin is flyctl's patience, too: the host may have to pull the image. Source: flyctl, DefaultWaitTimeout.
	startWithin  = 5 * time.Minute
	pollEvery    = 400 * time.Millisecond // while a machine starts
	removeWithin = 30 * time.Second       // for a machine whose caller has given up
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
			return machineOf(started), nil
		}
	}
	return engine.Machine{}, errors.Join(err, c.removeLaunched(ctx, spec, launched))
}

// waitStarted polls until the machine has started or cannot start any more. The API's own wait would not return for a machine
// that has failed.
func (c *Client) waitStarted(ctx context.Context, id string) (*flyapi.Machine, error) {
	what := "start the temporary machine " + id
	for start := time.Now(); ; {
		m, err := c.get(ctx, id)
		switch {
		case isNotFound(err):
			return nil, engine.NewProblem("temporary_failed", what, fmt.Errorf("it was gone before it had started: %w", err),
				"Check that the image fits on a machine's disk (8 GB unpacked), and look at `fly logs -i "+id+"`.")
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

// Destroy implements engine.Fleet. It refuses machines that are not temporary, and asks nothing about one that it has created
// itself: an answer of another host, which does not know the machine yet, would leave it behind. It also destroys other machines of
// the same deploy, which a repeated launch may have created.
func (c *Client) Destroy(ctx context.Context, machineID string) error {
	upgradeID := c.made.get(machineID).upgradeID
	if upgradeID == "" {
		m, err := c.get(ctx, machineID)
		if isNotFound(err) || (err == nil && isDestroyed(m.State)) {
			return nil
		}
		if err != nil {
			return err
		}
		if upgradeID = m.GetMetadataByKey(metadataUpgrade); upgradeID == "" {
			return fmt.Errorf("destroy machine %s: it is not a temporary machine of flydeploy", machineID)
		}
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
	if err == nil || isNotFound(err) {
		c.made.remove(id)
		return nil
	}
	return err
}

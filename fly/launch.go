package fly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	flyapi "github.com/superfly/fly-go"

	"flydeploy/engine"
)

const (
	// minMemoryMB: with 256 MB, fly_deploy 0.1.12 ran out of memory.
	minMemoryMB = 1024
	defaultSize = "shared-cpu-1x"
	// imageWithin is longer than an image takes from a push to the registry's mirrors: about 15 s. Source: Fly's community forum.
	imageWithin = 45 * time.Second
	imageEvery  = 2 * time.Second // between attempts to launch an image that is not there yet
	findWithin  = 6 * time.Second // for a machine whose launch got no answer
	findEvery   = time.Second
	maxLaunches = 2 // in one region
)

// launch creates the machine in the first region that has room for it.
func (c *Client) launch(ctx context.Context, spec engine.TemporaryMachine) (*flyapi.Machine, error) {
	regions := spec.Regions
	if len(regions) == 0 {
		regions = []string{engine.AnyRegion}
	}
	var full []error
	for _, region := range regions {
		m, err := c.launchIn(ctx, spec, region)
		if !isFull(err) {
			return m, err
		}
		full = append(full, err)
	}
	return nil, noRoom(regions, full)
}

// isFull reports whether Fly refused a launch for a reason that another region may not have.
func isFull(err error) bool {
	var failed *requestError
	return errors.As(err, &failed) && (failed.noCapacity() || failed.overQuota())
}

// noRoom joins the refusals of all regions. It says first what can be changed: a quota can, what others use cannot.
func noRoom(regions []string, full []error) error {
	var quota, all []string
	for i, err := range full {
		var failed *requestError
		errors.As(err, &failed) // all are: see isFull
		all = append(all, regions[i]+": "+failed.Error())
		if failed.overQuota() {
			quota = append(quota, regions[i])
		}
	}
	name, remedy := "no_capacity", "Fly has no room for such a machine now. Ask for it in other regions (--temporary-region), or for less memory (--temporary-memory), or run again later."
	if len(quota) > 0 {
		name, remedy = "over_quota", "The organization's quota is used up in "+strings.Join(quota, ", ")+". Ask for the machine in other regions (--temporary-region), or for less memory "+
			"(--temporary-memory), stop what is not needed, or ask Fly's support for a higher quota."
	}
	return engine.NewProblem(name, "start a temporary machine: no region has room for it: "+strings.Join(all, "; "), nil, remedy).WithCause(errors.Join(full...))
}

// launchIn creates the machine in a region. If the outcome is unknown, it looks for the machine before it tries again.
func (c *Client) launchIn(ctx context.Context, spec engine.TemporaryMachine, region string) (*flyapi.Machine, error) {
	var unknown error
	for range maxLaunches {
		m, err := c.launchOnce(ctx, spec, region)
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
func (c *Client) launchOnce(ctx context.Context, spec engine.TemporaryMachine, region string) (*flyapi.Machine, error) {
	start := time.Now()
	for {
		var m flyapi.Machine
		err := c.do(ctx, request{
			op: "start a temporary machine in region " + region, action: "launch", method: http.MethodPost, body: launchInput(spec, region),
			timeout: 90 * time.Second, maxElapsed: 30 * time.Second,
		}, &m)
		var failed *requestError
		if !errors.As(err, &failed) || !failed.noSuchImage() {
			if err == nil {
				c.made.add(m.ID, spec.UpgradeID)
			}
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
func launchInput(spec engine.TemporaryMachine, region string) flyapi.LaunchMachineInput {
	metadata := map[string]string{
		metadataUpgrade: spec.UpgradeID,
		flyapi.MachineConfigMetadataKeyFlyProcessGroup: flyapi.MachineProcessGroupFlyAppConsole,
	}
	if spec.UnderLock {
		metadata[metadataUnderLock] = "true"
	}
	return flyapi.LaunchMachineInput{
		Region:                  region,
		SkipServiceRegistration: true,
		Config: &flyapi.MachineConfig{
			Image:       spec.Image,
			Env:         spec.Env,
			Init:        flyapi.MachineInit{Exec: []string{"/bin/sleep", strconv.Itoa(int(spec.LiveFor.Seconds()))}},
			Guest:       guest(spec.Temporary),
			Metadata:    metadata,
			AutoDestroy: true,
			Restart:     &flyapi.MachineRestart{Policy: flyapi.MachineRestartPolicyNo},
			DNS:         &flyapi.DNSConfig{SkipRegistration: true},
		},
	}
}

func guest(t engine.Temporary) *flyapi.MachineGuest {
	g := *flyapi.MachinePresets[defaultSize]
	if size, ok := flyapi.MachinePresets[t.Size]; ok {
		g = *size
	}
	g.MemoryMB = cmp.Or(t.MemoryMB, max(minMemoryMB, g.MemoryMB))
	return &g
}

// Sizes lists the sizes of machines without a GPU, the smallest first.
func Sizes() []string {
	var sizes []string
	for name, g := range flyapi.MachinePresets {
		if g.GPUs == 0 {
			sizes = append(sizes, name)
		}
	}
	slices.SortFunc(sizes, func(a, b string) int {
		x, y := flyapi.MachinePresets[a], flyapi.MachinePresets[b]
		return cmp.Or(-cmp.Compare(x.CPUKind, y.CPUKind), cmp.Compare(x.CPUs, y.CPUs))
	})
	return sizes
}

// findLaunched looks for machines that a launch without an answer may have created, for up to findWithin.
func (c *Client) findLaunched(ctx context.Context, upgradeID string) ([]*flyapi.Machine, error) {
	for start := time.Now(); ; {
		found, err := c.launchedFor(ctx, upgradeID)
		for _, m := range found {
			c.made.add(m.ID, upgradeID)
		}
		if err != nil || len(found) > 0 || time.Since(start) > findWithin {
			return found, err
		}
		if err := sleep(ctx, findEvery); err != nil {
			return nil, err
		}
	}
}

package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
)

// Spec is a machine as `fly deploy` would make it.
type Spec struct {
	Name   string // invented if empty
	Region string // the primary region if empty
	Group  string // process group, "app" if empty
	Image  string // reference, as Push returns it
	// Command runs instead of the image's, for a group without a BEAM: []string{"/usr/bin/tail", "-f", "/dev/null"}.
	Command []string
	Env     map[string]string
	// State is what Launch waits for: started (if empty), stopped or suspended. A machine that is to be suspended boots
	// first, and answers on its service's port.
	State    string
	MemoryMB int // 512 if 0
	// NoService leaves the machine without a service on its PORT.
	NoService bool
	// Containers names the containers that the machine has besides being one itself: commands can be run in them.
	Containers []string
	// CheckPath is requested every two seconds by a health check of the service. Without it there is no check.
	CheckPath string
}

// Launch makes a machine and waits until it is in the state that spec asks for. started does not mean that the
// application is ready.
func (f *Fleet) Launch(ctx context.Context, spec Spec) (id string, err error) {
	m, err := f.Create(ctx, spec.input())
	if err != nil {
		return "", fmt.Errorf("launch machine: %w", err)
	}
	if err := f.bring(ctx, m, spec); err != nil {
		return "", fmt.Errorf("launch machine %s: %w", m.id, err)
	}
	return m.id, nil
}

func (spec Spec) input() fly.LaunchMachineInput {
	group, memory := spec.Group, spec.MemoryMB
	if group == "" {
		group = fly.MachineProcessGroupApp
	}
	if memory == 0 {
		memory = 512
	}
	sigterm := "SIGTERM"
	config := &fly.MachineConfig{
		Image: spec.Image,
		Env:   map[string]string{"PORT": isolation.DefaultPort},
		Init:  fly.MachineInit{Exec: spec.Command},
		Guest: &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: memory},
		Metadata: map[string]string{
			fly.MachineConfigMetadataKeyFlyProcessGroup:    group,
			fly.MachineConfigMetadataKeyFlyPlatformVersion: fly.MachineFlyPlatformVersion2,
			fly.MachineConfigMetadataKeyFlyReleaseVersion:  "1",
		},
		StopConfig: &fly.StopConfig{Signal: &sigterm},
	}
	maps.Copy(config.Env, spec.Env)
	for _, name := range spec.Containers {
		config.Containers = append(config.Containers, &fly.ContainerConfig{Name: name, Image: spec.Image})
	}
	if !spec.NoService {
		port, _ := strconv.Atoi(config.Env["PORT"]) // 0 is a service that never answers
		config.Services = []fly.MachineService{{Protocol: "tcp", InternalPort: port, Checks: serviceChecks(spec.CheckPath)}}
	}
	return fly.LaunchMachineInput{
		Name: spec.Name, Region: spec.Region, Config: config, SkipLaunch: spec.State == fly.MachineStateStopped,
	}
}

func serviceChecks(path string) []fly.MachineServiceCheck {
	if path == "" {
		return nil
	}
	kind, interval := "http", fly.Duration{Duration: 2 * time.Second}
	return []fly.MachineServiceCheck{{Type: &kind, HTTPPath: &path, Interval: &interval}}
}

// bring takes a new machine to the state that is wanted.
func (f *Fleet) bring(ctx context.Context, m *Machine, spec Spec) error {
	switch spec.State {
	case "", fly.MachineStateStarted:
		return f.arrive(ctx, m, fly.MachineStateStarted)
	case fly.MachineStateStopped:
		m.moveTo(fly.MachineStateStopped, "stop", "flyd")
		return nil
	case fly.MachineStateSuspended:
	default:
		return fmt.Errorf("state %q: want started, stopped or suspended", spec.State)
	}
	if err := f.arrive(ctx, m, fly.MachineStateStarted); err != nil {
		return err
	}
	if services := m.Snapshot().Config.Services; len(services) > 0 {
		if err := f.AwaitPort(ctx, m.id, services[0].InternalPort); err != nil {
			return err
		}
	}
	if err := m.Suspend(); err != nil {
		return err
	}
	return f.arrive(ctx, m, fly.MachineStateSuspended)
}

// arrive waits for a state that the machine is on its way to.
func (f *Fleet) arrive(ctx context.Context, m *Machine, want string) error {
	switch state, err := m.Await(ctx, want, StateFailed, fly.MachineStateDestroyed); {
	case errors.Is(err, ErrClosed):
		return err
	case err != nil:
		return fmt.Errorf("still %s: %w", state, err)
	case state != want:
		return fmt.Errorf("it is %s; its console says:\n%s", state, f.Console(m.id))
	}
	return nil
}

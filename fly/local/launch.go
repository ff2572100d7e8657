package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	fly "github.com/superfly/fly-go"
)

// MachineSpec is a machine as `fly deploy` would make it.
type MachineSpec struct {
	Name   string // invented if empty
	Region string // the primary region if empty
	Group  string // process group, "app" if empty
	Image  string // reference, as Push returns it
	// Command runs instead of the image's, for a group without a BEAM: []string{"/usr/bin/tail", "-f", "/dev/null"}.
	Command []string
	Env     map[string]string
	// State is what Launch waits for: started (if empty), stopped or suspended. A machine that is to be suspended has
	// booted before, and answers on its service's port.
	State    string
	MemoryMB int // 512 if 0
	// NoService leaves the machine without a service on its PORT.
	NoService bool
	// CheckPath is requested every two seconds by a health check of the service, which has none if it is empty.
	CheckPath string
}

// Launch makes a machine and waits until it is in the state that spec asks for. started does not mean that the
// application is ready.
func (f *Fly) Launch(ctx context.Context, spec MachineSpec) (id string, err error) {
	m, err := f.create(ctx, f.launchInput(spec))
	if err != nil {
		return "", fmt.Errorf("launch machine: %w", err)
	}
	if err := f.bring(ctx, m, spec); err != nil {
		return "", fmt.Errorf("launch machine %s: %w", m.id(), err)
	}
	return m.id(), nil
}

func (f *Fly) launchInput(spec MachineSpec) fly.LaunchMachineInput {
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
		Env:   map[string]string{"PORT": defaultPort},
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
func (f *Fly) bring(ctx context.Context, m *machine, spec MachineSpec) error {
	switch spec.State {
	case "", fly.MachineStateStarted:
		return f.awaitState(ctx, m, fly.MachineStateStarted)
	case fly.MachineStateStopped:
		m.moveTo(fly.MachineStateStopped, "stop", "flyd")
		return nil
	case fly.MachineStateSuspended:
	default:
		return fmt.Errorf("state %q: want started, stopped or suspended", spec.State)
	}
	if err := f.awaitState(ctx, m, fly.MachineStateStarted); err != nil {
		return err
	}
	if services := m.snapshot().Config.Services; len(services) > 0 {
		if err := f.awaitPort(ctx, m, services[0].InternalPort); err != nil {
			return err
		}
	}
	if err := m.order(ActionSuspend, stateSuspending, []string{fly.MachineStateStarted}, func() { f.machines.suspend(m) }); err != nil {
		return err
	}
	return f.awaitState(ctx, m, fly.MachineStateSuspended)
}

// create pulls the image and lets the machine come up, unless the input says otherwise.
func (f *Fly) create(ctx context.Context, input fly.LaunchMachineInput) (*machine, error) {
	if input.Config == nil || input.Config.Image == "" {
		return nil, refuse(http.StatusBadRequest, "invalid_argument: config.image is required")
	}
	if input.Region == "" {
		input.Region = f.options.PrimaryRegion
	}
	image, err := f.images.pull(ctx, input.Config.Image)
	if err != nil {
		return nil, imageError(input.Config.Image, err)
	}
	m := newMachine(input, image)
	m.addEvent("launch", fly.MachineStateCreated, "user", nil)
	if !input.SkipLaunch {
		m.orders <- func() {
			m.moveTo(stateStarting, "start", "flyd")
			f.machines.start(f.background, m)
		}
	}
	return m, f.machines.add(m)
}

func imageError(ref string, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return refuse(http.StatusBadRequest, "invalid_argument: failed to get manifest %s: MANIFEST_UNKNOWN: manifest unknown", ref)
	}
	return refuse(http.StatusBadRequest, "invalid_argument: failed to get manifest %s: %v", ref, err)
}

func (f *Fly) awaitState(ctx context.Context, m *machine, want string) error {
	for {
		state, changed := m.state()
		if state == want {
			return nil
		}
		if state == stateFailed || state == fly.MachineStateDestroyed {
			return fmt.Errorf("it is %s; its console says:\n%s", state, f.Console(m.id()))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("still %s: %w", state, ctx.Err())
		case <-f.background.Done():
			return errClosed
		}
	}
}

// awaitPort asks until something listens.
func (f *Fly) awaitPort(ctx context.Context, m *machine, port int) error {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		conn, err := f.Dial(ctx, m.id(), port)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d: %w", port, errors.Join(ctx.Err(), err))
		}
	}
}

// Dial connects to a port that a started machine listens on, as the machine's configuration numbers it.
func (f *Fly) Dial(ctx context.Context, machineID string, port int) (net.Conn, error) {
	m, ok := f.machines.get(machineID)
	if !ok {
		return nil, fmt.Errorf("dial machine %s: no such machine", machineID)
	}
	vm := m.running()
	if vm == nil {
		state, _ := m.state()
		return nil, fmt.Errorf("dial machine %s: it is %s: %w", machineID, state, syscall.ECONNREFUSED)
	}
	conn, err := vm.dial(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("dial machine %s: %w", machineID, err)
	}
	return conn, nil
}

// Console is what a machine's entrypoint has printed over all its boots, its last 64 KB.
func (f *Fly) Console(machineID string) string {
	const most = 64 << 10
	text, err := os.ReadFile(f.machines.consolePath(machineID))
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-most):])
}

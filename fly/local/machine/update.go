package machine

import (
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	fly "github.com/superfly/fly-go"
)

// Update orders a machine to boot again with another configuration, and so from another image perhaps: it keeps its id, and becomes
// another instance at once. This is what `fly deploy` does. A machine that does not run stays so if the input skips the launch.
func (f *Fleet) Update(ctx context.Context, m *Machine, input fly.LaunchMachineInput) error {
	if input.Config == nil || input.Config.Image == "" {
		return fmt.Errorf("%w: config.image is required", ErrInvalid)
	}
	if err := checkConfig(input.Config); err != nil {
		return err
	}
	image, err := f.config.Pull(ctx, input.Config.Image)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	how, err := m.Stopping("", 0)
	if err != nil {
		return err
	}
	return m.replace(input.Config, image, func(ctx context.Context) {
		m.end(ctx, how)
		m.image = image
		if input.SkipLaunch {
			m.moveTo(fly.MachineStateStopped, "update", "flyd")
			return
		}
		m.moveTo(StateStarting, "start", "flyd")
		m.start(ctx)
	})
}

// replace makes the machine another instance, and queues the work of that.
func (m *Machine) replace(config *fly.MachineConfig, image Image, work func(context.Context)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := []string{fly.MachineStateCreated, fly.MachineStateStarted, fly.MachineStateStopped, fly.MachineStateSuspended, StateFailed}
	if !slices.Contains(from, m.record.State) {
		return fmt.Errorf("%w: unable to update machine from current state: '%s'", ErrState, m.record.State)
	}
	select {
	case m.orders <- work:
	default:
		return fmt.Errorf("%w: machine %s has too much to do", ErrBusy, m.id)
	}
	instance := ulid.Make().String()
	m.record.Config, m.record.ImageRef, m.record.InstanceID, m.record.Version = config, image.Ref(), instance, instance
	m.addEvent("update", StateReplacing, "user", nil)
	m.setState(StateReplacing)
	return nil
}

// UpdateImage updates a machine to another image and waits until it has started.
func (f *Fleet) UpdateImage(ctx context.Context, id, image string) error {
	m, ok := f.Get(id)
	if !ok {
		return fmt.Errorf("update machine %s: no such machine", id)
	}
	config := *m.Snapshot().Config
	config.Image = image
	if err := f.Update(ctx, m, fly.LaunchMachineInput{Config: &config}); err != nil {
		return fmt.Errorf("update machine %s: %w", id, err)
	}
	return f.arrive(ctx, m, fly.MachineStateStarted)
}

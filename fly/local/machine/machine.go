// Package machine is the life of an app's machines: how they come up, what orders they carry out, how they end, and what
// the Machines API knows of them meanwhile.
package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
)

// States that fly-go has no name for.
const (
	StateStarting   = "starting"
	StateStopping   = "stopping"
	StateSuspending = "suspending"
	StateRestarting = "restarting"
	StateReplacing  = "replacing"
	StateFailed     = "failed"
)

// Machine is one of an app's machines. Its methods may be called from any goroutine; a goroutine of its own
// (lifecycle.go) carries out what they order, one thing after the other.
type Machine struct {
	fleet  *Fleet
	id     string
	orders chan func(context.Context)
	execs  chan struct{} // holds a token while a command runs that others wait for

	mu      sync.Mutex
	record  fly.Machine // Config and Events are replaced, never written to
	past    []past      // of the record
	changed chan struct{}
	vm      isolation.VM // nil unless started or suspended

	// The rest is the machine's goroutine's alone, which is also the only one to set vm.

	image   Image
	frozen  bool
	unwatch context.CancelFunc // ends the boot's health checks
	retries int                // boots after the entrypoint has ended by itself, since the last order
	retry   <-chan time.Time   // when the next of them is due
}

func newMachine(fleet *Fleet, input fly.LaunchMachineInput, image Image) *Machine {
	now := timestamp()
	id := make([]byte, 7)
	_, _ = rand.Read(id) // never fails
	m := &Machine{
		fleet: fleet, id: hex.EncodeToString(id), image: image,
		orders: make(chan func(context.Context), 16), changed: make(chan struct{}), execs: make(chan struct{}, 1),
	}
	instance := ulid.Make().String()
	m.record = fly.Machine{
		ID: m.id, Name: input.Name, Region: input.Region, State: fly.MachineStateCreated,
		ImageRef: image.Ref(), InstanceID: instance, Version: instance, PrivateIP: privateIP(id),
		CreatedAt: now, UpdatedAt: now, Config: input.Config, HostStatus: fly.HostStatusOk,
		Checks: uncheckedYet(input.Config),
	}
	if m.record.Name == "" {
		m.record.Name = inventName()
	}
	m.remember()
	return m
}

// ID is the machine's id, which never changes.
func (m *Machine) ID() string { return m.id }

// Snapshot is what is known of the machine now.
func (m *Machine) Snapshot() *fly.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	record := m.record
	return &record
}

func (m *Machine) setHost(status fly.HostStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.HostStatus = status
	m.remember()
}

// setState must be called with mu held. A machine that is being destroyed goes to no other state but destroyed, whatever
// work was under way when that was ordered.
func (m *Machine) setState(state string) {
	if m.record.State == fly.MachineStateDestroying && state != fly.MachineStateDestroyed {
		return
	}
	m.record.State = state
	m.record.UpdatedAt = timestamp()
	m.remember()
	close(m.changed)
	m.changed = make(chan struct{})
}

// maxEvents is how many events the API remembers.
const maxEvents = 20

// addEvent must be called with mu held. The newest event is the first.
func (m *Machine) addEvent(kind, status, source string, request *fly.MachineRequest) {
	event := &fly.MachineEvent{
		Type: kind, Status: status, Source: source, Request: request, Timestamp: time.Now().UnixMilli(),
	}
	events := append([]*fly.MachineEvent{event}, m.record.Events...)
	m.record.Events = events[:min(len(events), maxEvents)]
}

// Ended tells with which code the entrypoint has ended by itself, the last time that it did; false where it never has.
func (m *Machine) Ended() (code int, ended bool) {
	for _, e := range m.Snapshot().Events {
		if e.Request != nil && e.Request.ExitEvent != nil && !e.Request.ExitEvent.RequestedStop {
			return e.Request.ExitEvent.ExitCode, true
		}
	}
	return 0, false
}

// moveTo sets the state and records the event that led to it.
func (m *Machine) moveTo(state, event, source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addEvent(event, state, source, nil)
	m.setState(state)
}

// State is the machine's state now.
func (m *Machine) State() string {
	state, _ := m.watchState()
	return state
}

// Is tells whether the machine is in one of the states.
func (m *Machine) Is(states ...string) bool { return slices.Contains(states, m.State()) }

// watchState returns the state and a channel that is closed when it changes.
func (m *Machine) watchState() (string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.State, m.changed
}

// Await waits until the machine is in one of the states. It returns the last state that it has seen also with an error,
// which is ErrClosed or ctx's.
func (m *Machine) Await(ctx context.Context, states ...string) (string, error) {
	for {
		state, changed := m.watchState()
		if slices.Contains(states, state) {
			return state, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return state, ctx.Err()
		case <-m.fleet.background.Done():
			return state, ErrClosed
		}
	}
}

// running returns the boot that exec and dial can use, nil if there is none.
func (m *Machine) running() isolation.VM {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.State != fly.MachineStateStarted {
		return nil
	}
	return m.vm
}

// SetMetadata replaces the configuration, so that snapshots stay as they were. change gets a copy to write to.
func (m *Machine) SetMetadata(change func(map[string]string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	config := *m.record.Config
	config.Metadata = map[string]string{}
	maps.Copy(config.Metadata, m.record.Config.Metadata)
	change(config.Metadata)
	m.record.Config = &config
	m.remember()
}

func timestamp() string { return time.Now().UTC().Format(time.RFC3339) }

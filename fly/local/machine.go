package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	fly "github.com/superfly/fly-go"
)

// States that fly-go has no name for.
const (
	stateStarting   = "starting"
	stateStopping   = "stopping"
	stateSuspending = "suspending"
	stateRestarting = "restarting"
	stateFailed     = "failed"
)

// machine is what the API knows of a machine. One goroutine of its own (lifecycle.go) carries out what handlers order,
// one thing after the other.
type machine struct {
	orders chan func()
	image  pulledImage

	mu      sync.Mutex
	record  fly.Machine // Config and Events are replaced, never written to
	past    []past      // of the record, for lists that lag
	changed chan struct{}
	lease   lease
	vm      vm // nil unless started or suspended

	// The rest is the machine's goroutine's alone, which is also the only one to set vm.

	frozen  bool
	unwatch context.CancelFunc // ends the boot's health checks
	retries int                // boots after the entrypoint has ended by itself, since the last order
	retry   <-chan time.Time   // when the next of them is due
}

func newMachine(input fly.LaunchMachineInput, image pulledImage) *machine {
	now := timestamp()
	id := make([]byte, 7)
	_, _ = rand.Read(id) // never fails
	m := &machine{orders: make(chan func(), 16), image: image, changed: make(chan struct{})}
	instance := ulid.Make().String()
	m.record = fly.Machine{
		ID: hex.EncodeToString(id), Name: input.Name, Region: input.Region, State: fly.MachineStateCreated,
		ImageRef: image.ref, InstanceID: instance, Version: instance, PrivateIP: privateIP(id),
		CreatedAt: now, UpdatedAt: now, Config: input.Config, HostStatus: fly.HostStatusOk,
		Checks: uncheckedYet(input.Config),
	}
	if m.record.Name == "" {
		m.record.Name = inventName()
	}
	m.remember()
	return m
}

// snapshot is what is known of the machine.
func (m *machine) snapshot() *fly.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	record := m.record
	return &record
}

// shown is a machine as the API shows it: without its configuration where its host does not answer.
func shown(record *fly.Machine) *fly.Machine {
	if record.HostStatus != fly.HostStatusOk {
		record.Config, record.IncompleteConfig = nil, record.Config
	}
	return record
}

func (m *machine) setHost(status fly.HostStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.HostStatus = status
	m.remember()
}

func (m *machine) id() string { return m.record.ID } // never changes

// setState must be called with mu held. There is no way back from the destruction of a machine, also for work that was
// under way when it was ordered.
func (m *machine) setState(state string) {
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
func (m *machine) addEvent(kind, status, source string, request *fly.MachineRequest) {
	event := &fly.MachineEvent{
		Type: kind, Status: status, Source: source, Request: request, Timestamp: time.Now().UnixMilli(),
	}
	events := append([]*fly.MachineEvent{event}, m.record.Events...)
	m.record.Events = events[:min(len(events), maxEvents)]
}

// moveTo sets the state and records the event that led to it.
func (m *machine) moveTo(state, event, source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addEvent(event, state, source, nil)
	m.setState(state)
}

// state returns the present state and a channel that is closed when it changes.
func (m *machine) state() (string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.State, m.changed
}

// running returns the boot that exec and dial can use, nil if there is none.
func (m *machine) running() vm {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.State != fly.MachineStateStarted {
		return nil
	}
	return m.vm
}

func (m *machine) metadata() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.Config.Metadata
}

// setMetadata replaces the configuration, so that snapshots stay as they were. change gets a copy to write to.
func (m *machine) setMetadata(change func(map[string]string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	config := *m.record.Config
	config.Metadata = map[string]string{}
	for key, value := range m.record.Config.Metadata {
		config.Metadata[key] = value
	}
	change(config.Metadata)
	m.record.Config = &config
	m.remember()
}

func (m *machine) oneOf(states ...string) bool {
	state, _ := m.state()
	return slices.Contains(states, state)
}

func timestamp() string { return time.Now().UTC().Format(time.RFC3339) }

// privateIP is an address as machines have on Fly's network. Nothing listens there.
func privateIP(id []byte) string {
	return fmt.Sprintf("fdaa:0:1:a7b:%x:%x:%x:2", uint16(id[0])<<8|uint16(id[1]), uint16(id[2])<<8|uint16(id[3]), uint16(id[4])<<8|uint16(id[5]))
}

// inventName makes a name in flyctl's manner.
func inventName() string {
	adjectives := []string{"aged", "bold", "calm", "damp", "fragrant", "lively", "misty", "quiet", "rough", "silent", "small", "wild"}
	nouns := []string{"brook", "cloud", "dew", "fire", "fog", "glade", "leaf", "moon", "pine", "river", "snow", "wave"}
	return fmt.Sprintf("%s-%s-%d", pick(adjectives), pick(nouns), 1000+number(9000))
}

func pick(words []string) string { return words[number(len(words))] }

func number(below int) int {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(below)))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return int(n.Int64())
}

package machine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/run"
)

// Image is what a machine boots from.
type Image interface {
	Ref() fly.MachineImageRef
	Config() v1.Config
	// Unpack returns a folder with the image's files, to read only.
	Unpack() (folder string, err error)
}

// Config is what the machines of an app have in common.
type Config struct {
	App           string
	PrimaryRegion string            // for machines that name no region
	Secrets       map[string]string // in the environment of every machine
	Folder        run.Folder        // holds the machines' disks and consoles
	Host          isolation.Host    // boots them
	ExecsInTurn   bool              // a machine runs one command at a time
	// Pull finds an image by its reference. Its errors are for the user.
	Pull func(ctx context.Context, ref string) (Image, error)
}

// Fleet holds an app's machines, the destroyed ones too.
type Fleet struct {
	config Config

	mu    sync.Mutex
	byID  map[string]*Machine
	order []*Machine
	ended bool
	full  map[string]error // why regions take no machine
	logs  logs

	// background is the context of the machines' goroutines, which outlive the requests that make machines. It ends with
	// Close.
	background context.Context
	end        context.CancelFunc
	running    sync.WaitGroup // the machines' goroutines
}

// NewFleet makes a fleet without machines. It must be closed.
func NewFleet(config Config) *Fleet {
	f := &Fleet{config: config, byID: map[string]*Machine{}, full: map[string]error{}, logs: logs{read: map[string]*logFile{}}}
	f.background, f.end = context.WithCancel(context.Background())
	f.running.Go(func() { f.follow(f.background) })
	return f
}

// Close ends every machine at once and returns when nothing of them runs any more. There are no new ones after it.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.end()
	f.running.Wait()
}

// Create pulls the image and lets the machine come up, unless the input says otherwise.
func (f *Fleet) Create(ctx context.Context, input fly.LaunchMachineInput) (*Machine, error) {
	if input.Config == nil || input.Config.Image == "" {
		return nil, fmt.Errorf("%w: config.image is required", ErrInvalid)
	}
	var err error
	if input.Region, err = f.place(input.Region); err != nil {
		return nil, err
	}
	if err := checkConfig(input.Config); err != nil {
		return nil, err
	}
	image, err := f.config.Pull(ctx, input.Config.Image)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	m := newMachine(f, input, image)
	m.addEvent("launch", fly.MachineStateCreated, "user", nil)
	if !input.SkipLaunch {
		m.orders <- func(ctx context.Context) {
			m.moveTo(StateStarting, "start", "flyd")
			m.start(ctx)
		}
	}
	return m, f.add(m)
}

// add takes a machine in and lets it live until the fleet is closed.
func (f *Fleet) add(m *Machine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return ErrClosed
	}
	f.byID[m.id] = m
	f.order = append(f.order, m)
	f.running.Go(func() { m.live(f.background) })
	return nil
}

// Get finds a machine by its id.
func (f *Fleet) Get(id string) (*Machine, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[id]
	return m, ok
}

// SecretNames gives the names of the app's secrets, sorted.
func (f *Fleet) SecretNames() []string { return slices.Sorted(maps.Keys(f.config.Secrets)) }

// All returns the machines in the order of their creation.
func (f *Fleet) All() []*Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Machine(nil), f.order...)
}

func (f *Fleet) diskPath(id string) string    { return f.config.Folder.Path("machines", id) }
func (f *Fleet) consolePath(id string) string { return f.config.Folder.Path(id + ".log") }

package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	fly "github.com/superfly/fly-go"
)

// fleet holds the app's machines, also the destroyed ones.
type fleet struct {
	fly *Fly

	mu    sync.Mutex
	byID  map[string]*machine
	order []*machine
	ended bool
	lag   atomic.Int64 // of lists, a time.Duration
	// running counts the machines' goroutines.
	running sync.WaitGroup
}

func newFleet(f *Fly) *fleet { return &fleet{fly: f, byID: map[string]*machine{}} }

// add takes a machine in and lets it live until the Fly is closed.
func (f *fleet) add(m *machine) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return errClosed
	}
	f.byID[m.id()] = m
	f.order = append(f.order, m)
	f.running.Go(func() { f.live(f.fly.background, m) })
	return nil
}

func (f *fleet) get(id string) (*machine, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[id]
	return m, ok
}

// all returns the machines in the order of their creation.
func (f *fleet) all() []*machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*machine(nil), f.order...)
}

// wait returns when every machine has ended; the Fly's background context must have.
func (f *fleet) wait() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.running.Wait()
}

// boot starts a machine's processes on a fresh disk.
func (f *fleet) boot(ctx context.Context, m *machine) (vm, error) {
	image, err := f.fly.images.unpack(m.image)
	if err != nil {
		return nil, err
	}
	config := m.snapshot().Config
	folder, err := f.bootFolder(m)
	if err != nil {
		return nil, err
	}
	console, err := os.OpenFile(f.consolePath(m.id()), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	command := entrypoint(config, m.image.config)
	if len(command) == 0 {
		return nil, fmt.Errorf("image %s and the machine's configuration name no command", config.Image)
	}
	workDir := m.image.config.WorkingDir
	if workDir == "" {
		workDir = "/"
	}
	fmt.Fprintf(console, "%s starting %q\n", time.Now().UTC().Format(time.RFC3339), command)
	return f.fly.isolate.boot(ctx, bootOrder{
		machine: m.id(), folder: folder, image: image, command: command, workDir: workDir,
		env: f.environment(m, config), console: console,
	})
}

// bootFolder replaces the folder of the boot before.
func (f *fleet) bootFolder(m *machine) (string, error) {
	folder := f.diskPath(m.id())
	if err := removeTree(folder); err != nil {
		return "", fmt.Errorf("remove the disk of the boot before: %w", err)
	}
	return folder, os.MkdirAll(folder, 0o700)
}

func (f *fleet) diskPath(id string) string    { return filepath.Join(f.fly.folder, "machines", id) }
func (f *fleet) consolePath(id string) string { return filepath.Join(f.fly.folder, id+".log") }

// entrypoint is what runs: init.exec, or entrypoint and cmd of the configuration or else of the image.
func entrypoint(config *fly.MachineConfig, image v1.Config) []string {
	if len(config.Init.Exec) > 0 {
		return config.Init.Exec
	}
	entry, cmd := config.Init.Entrypoint, config.Init.Cmd
	if len(entry) == 0 {
		entry = image.Entrypoint
	}
	if len(cmd) == 0 {
		cmd = image.Cmd
	}
	return append(append([]string(nil), entry...), cmd...)
}

// environment is a machine's: the image's, Fly's own variables, the app's secrets, the configuration's, in this order.
func (f *fleet) environment(m *machine, config *fly.MachineConfig) map[string]string {
	record := m.snapshot()
	env := map[string]string{}
	for _, variable := range m.image.config.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	env["FLY_APP_NAME"] = f.fly.options.App
	env["FLY_MACHINE_ID"] = record.ID
	env["FLY_REGION"] = record.Region
	env["FLY_PRIVATE_IP"] = record.PrivateIP
	env["FLY_IMAGE_REF"] = config.Image
	env["FLY_MACHINE_VERSION"] = record.InstanceID
	env["FLY_PROCESS_GROUP"] = config.ProcessGroup()
	env["PRIMARY_REGION"] = f.fly.options.PrimaryRegion
	if config.Guest != nil {
		env["FLY_VM_MEMORY_MB"] = fmt.Sprint(config.Guest.MemoryMB)
	}
	for _, more := range []map[string]string{f.fly.secrets, config.Env} {
		for name, value := range more {
			env[name] = value
		}
	}
	return env
}

package machine

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	fly "github.com/superfly/fly-go"

	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/run"
)

// idleImage has no files; its command is never run.
type idleImage struct{}

func (idleImage) Ref() fly.MachineImageRef { return fly.MachineImageRef{Registry: "registry.fly.io"} }
func (idleImage) Config() v1.Config        { return v1.Config{Cmd: []string{"idle"}} }
func (idleImage) Unpack() (string, error)  { return "", nil }

// host boots machines that run nothing.
type host struct {
	mu     sync.Mutex      // held by the machines' goroutines, which write what follows
	booted []time.Time     // tests read it once these are idle
	fails  bool            // entrypoints end at once, with code 1
	deaf   bool            // entrypoints ignore signals
	last   *vm             // the newest boot
	order  isolation.Order // of the newest boot
}

func (h *host) Kind() isolation.Kind { return isolation.Processes }
func (h *host) Boot(_ context.Context, order isolation.Order) (isolation.VM, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.booted = append(h.booted, time.Now())
	h.last, h.order = &vm{deaf: h.deaf, exited: make(chan isolation.Exit, 1)}, order
	if h.fails {
		h.last.exited <- isolation.Exit{Code: 1}
	}
	return h.last, nil
}

type vm struct {
	deaf   bool
	frozen bool
	exited chan isolation.Exit
}

func (v *vm) Exec(ctx context.Context, _ []string, _ string) (isolation.Result, error) {
	<-ctx.Done()
	return isolation.Result{}, ctx.Err()
}

func (v *vm) Signal(syscall.Signal) error {
	if !v.deaf {
		v.exited <- isolation.Exit{}
	}
	return nil
}
func (v *vm) Kill()                         { v.exited <- isolation.Exit{Code: 137, Signal: syscall.SIGKILL} }
func (v *vm) Exited() <-chan isolation.Exit { return v.exited }
func (v *vm) Freeze(frozen bool) error      { v.frozen = frozen; return nil }
func (v *vm) Dial(context.Context, int) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}

// inVirtualTime runs a test on a fleet whose machines run nothing.
func inVirtualTime(t *testing.T, h *host, test func(t *testing.T, f *Fleet)) {
	t.Helper()
	folder := run.Folder(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		f := NewFleet(Config{
			App: "sample", PrimaryRegion: "ams", Folder: folder, Host: h, Secrets: map[string]string{"A": "secret", "B": "secret"},
			Pull: func(context.Context, string) (Image, error) { return idleImage{}, nil },
		})
		defer f.Close()
		test(t, f)
	})
}

func create(t *testing.T, f *Fleet, config fly.MachineConfig) *Machine {
	t.Helper()
	config.Image = "registry.fly.io/sample:idle"
	m, err := f.Create(t.Context(), fly.LaunchMachineInput{Config: &config})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return m
}

// An entrypoint that fails again and again is started again after pauses that grow, as often as the policy says.
func TestRetriesAreBounded(t *testing.T) {
	h := &host{fails: true}
	inVirtualTime(t, h, func(t *testing.T, f *Fleet) {
		m := create(t, f, fly.MachineConfig{Restart: &fly.MachineRestart{Policy: fly.MachineRestartPolicyOnFailure, MaxRetries: 3}})
		if _, err := m.Await(t.Context(), fly.MachineStateStopped); err != nil {
			t.Fatal(err)
		}
		var after []time.Duration
		for _, at := range h.booted {
			after = append(after, at.Sub(h.booted[0]))
		}
		if want := []time.Duration{0, 0, time.Second, 3 * time.Second}; !slices.Equal(after, want) {
			t.Errorf("booted after %v, want %v", after, want)
		}
		if code, ended := m.Ended(); !ended || code != 1 {
			t.Errorf("ended: %t, with %d", ended, code)
		}
	})
}

// An entrypoint that ignores the signal is killed after the timeout.
func TestStopByForce(t *testing.T) {
	inVirtualTime(t, &host{deaf: true}, func(t *testing.T, f *Fleet) {
		m, start := create(t, f, fly.MachineConfig{}), time.Now()
		how, err := m.Stopping("", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Stop(how); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Await(t.Context(), fly.MachineStateStopped); err != nil {
			t.Fatal(err)
		}
		if _, ended := m.Ended(); ended {
			t.Error("it ended by itself, though it was stopped")
		}
		exit := m.Snapshot().Events[0].Request.ExitEvent
		if took := time.Since(start); took != defaultStopTimeout || exit.GuestSignal != 9 || !exit.RequestedStop {
			t.Errorf("stopped after %v with %+v", took, exit)
		}
	})
}

// The machine's own configuration has the last word on its environment.
func TestEnvironment(t *testing.T) {
	h := &host{}
	inVirtualTime(t, h, func(t *testing.T, f *Fleet) {
		m := create(t, f, fly.MachineConfig{Env: map[string]string{"A": "own"}})
		for name, want := range map[string]string{"A": "own", "B": "secret", "FLY_MACHINE_ID": m.ID(), "FLY_ALLOC_ID": m.ID(), "FLY_REGION": "ams"} {
			if got := h.order.Env[name]; got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{
			"FLY_APP_NAME", "FLY_IMAGE_REF", "FLY_MACHINE_VERSION", "FLY_PRIVATE_IP", "FLY_PUBLIC_IP", "PRIMARY_REGION",
		} { // superfly/docs, machines/runtime-environment
			if h.order.Env[name] == "" {
				t.Errorf("%s is missing", name)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	h := &host{}
	inVirtualTime(t, h, func(t *testing.T, f *Fleet) {
		m := create(t, f, fly.MachineConfig{})
		if err := m.Start(); !errors.Is(err, ErrState) {
			t.Errorf("start of a started machine: %v", err)
		}
		if err := m.Destroy(false); !errors.Is(err, ErrState) {
			t.Errorf("destroy of a started machine without force: %v", err)
		}
		if _, err := m.Stopping("SIGNONE", 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("stop by an unknown signal: %v", err)
		}
		if err := m.Suspend(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := m.Exec(t.Context(), []string{"id"}, ""); !errors.Is(err, ErrState) || !h.last.frozen {
			t.Errorf("exec in a suspended machine: %v; frozen: %v", err, h.last.frozen)
		}
		if _, err := f.Create(t.Context(), fly.LaunchMachineInput{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("create without an image: %v", err)
		}
		for timeout, want := range map[time.Duration]error{maxStopTimeout: nil, maxStopTimeout + time.Second: ErrInvalid} {
			config := fly.MachineConfig{Image: "image", StopConfig: &fly.StopConfig{Timeout: &fly.Duration{Duration: timeout}}}
			if _, err := f.Create(t.Context(), fly.LaunchMachineInput{Config: &config}); !errors.Is(err, want) {
				t.Errorf("create with a stop timeout of %s: %v", timeout, err)
			}
		}
	})
}

// The end of the fleet ends what waits for a machine, and there are no new machines after it.
func TestClose(t *testing.T) {
	inVirtualTime(t, &host{}, func(t *testing.T, f *Fleet) {
		m := create(t, f, fly.MachineConfig{})
		waited, ran := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := m.Await(t.Context(), fly.MachineStateDestroyed)
			waited <- err
		}()
		go func() {
			_, err := m.Exec(t.Context(), []string{"sleep"}, "")
			ran <- err
		}()
		synctest.Wait()
		f.Close()
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Errorf("await: %v", err)
		}
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("exec: %v", err)
		}
		if _, err := f.Create(t.Context(), fly.LaunchMachineInput{Config: &fly.MachineConfig{Image: "x"}}); !errors.Is(err, ErrClosed) {
			t.Errorf("create: %v", err)
		}
	})
}

func TestPlaces(t *testing.T) {
	h := &host{}
	inVirtualTime(t, h, func(t *testing.T, f *Fleet) {
		primary := f.config.PrimaryRegion
		launched := func(regions string) (string, error) {
			m, err := f.Create(t.Context(), fly.LaunchMachineInput{Region: regions, Config: &fly.MachineConfig{Image: "image"}})
			if err != nil {
				return "", err
			}
			return m.Snapshot().Region, nil
		}
		f.FillRegion("sjc")
		empty := f.UseUpQuota("gru")
		for regions, want := range map[string]string{
			"": primary, "fra": "fra", "sjc,gru,ord": "ord", "sa,eu": "ams", "any": primary, "jnb": "jnb", "us": "dfw", "sjc,any": primary,
		} {
			if got, err := launched(regions); got != want {
				t.Errorf("%q: %s, %v, want %s", regions, got, err, want)
			}
		}
		for regions, want := range map[string]error{"sjc": ErrNoCapacity, "sjc,sa": ErrQuota, "xyz": ErrInvalid, "fra,eur": nil} {
			if got, err := launched(regions); !errors.Is(err, want) {
				t.Errorf("%q: %s, %v, want %v", regions, got, err, want)
			}
		}
		empty()
		if got, err := launched("gru"); got != "gru" {
			t.Errorf("%s, %v", got, err)
		}
	})
}

package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	flytokens "github.com/superfly/fly-go/tokens"

	"flydeploy/fly/local/machine"
)

// patience bounds what a test waits for.
const patience = time.Minute

// inEachIsolation runs a test once for each way of running machines.
func inEachIsolation(t *testing.T, test func(t *testing.T, isolation Isolation)) {
	t.Helper()
	for _, isolation := range []Isolation{Namespaces, Processes} {
		t.Run(string(isolation), func(t *testing.T) {
			if err := isolation.Works(); err != nil {
				t.Skip(err)
			}
			test(t, isolation)
		})
	}
}

// eachIsolation does so on the Fly that such tests share. What a test launches is destroyed at its end.
func eachIsolation(t *testing.T, test func(t *testing.T, f *Fly)) {
	t.Helper()
	inEachIsolation(t, func(t *testing.T, isolation Isolation) {
		f, err := sharedFly(isolation)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { destroyAll(t, f) })
		test(t, f)
	})
}

var shared = map[Isolation]*Fly{}

func sharedFly(isolation Isolation) (*Fly, error) {
	if f := shared[isolation]; f != nil {
		return f, nil
	}
	state, err := os.MkdirTemp("", "flydeploy-local-test-")
	if err != nil {
		return nil, err
	}
	f, err := Start(context.Background(), Options{App: "sample", StateDir: state, Isolation: isolation, NoRateLimits: true})
	if err != nil {
		return nil, err
	}
	atExit = append(atExit, func() error { return errors.Join(f.Close(), os.RemoveAll(state)) })
	shared[isolation] = f
	return f, nil
}

func destroyAll(t *testing.T, f *Fly) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own has ended
	defer cancel()
	for _, m := range f.machines.All() {
		if err := m.Destroy(true); err != nil && !m.Is(fly.MachineStateDestroying, fly.MachineStateDestroyed) {
			t.Error(err)
		}
		if err := arrive(ctx, m, fly.MachineStateDestroyed); err != nil {
			t.Error(err)
		}
	}
}

// arrive waits for a state that the machine is on its way to.
func arrive(ctx context.Context, m *machine.Machine, want string) error {
	state, err := m.Await(ctx, want, machine.StateFailed, fly.MachineStateDestroyed)
	if err == nil && state != want {
		err = errors.New("it is " + state)
	}
	return err
}

// startProcesses starts a Fly for a test that is about something else than how machines run.
func startProcesses(t *testing.T) *Fly {
	t.Helper()
	return startFly(t, Options{Isolation: Processes, NoRateLimits: true})
}

// until waits for a condition. The text says what was last seen.
func until(t *testing.T, what string, condition func(ctx context.Context) (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		holds, seen := condition(ctx)
		if holds {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s; last seen: %s", what, seen)
		}
	}
}

func startFly(t *testing.T, options Options) *Fly {
	t.Helper()
	if options.App == "" {
		options.App = "sample"
	}
	if options.StateDir == "" {
		options.StateDir = t.TempDir()
	}
	f, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// sampleRelease is built once for all tests.
var sampleRelease = sync.OnceValues(func() (string, error) {
	f, err := sharedFly(Processes)
	if err != nil {
		return "", err
	}
	return f.BuildRelease(context.Background(), "testdata/sample", nil, func(string) {})
})

// atExit are called once all tests have run.
var atExit []func() error

func TestMain(m *testing.M) {
	if order, ok := os.LookupEnv(ownerVariable); ok {
		fmt.Fprintln(os.Stderr, owner(order))
		os.Exit(1)
	}
	code := m.Run()
	for _, end := range atExit {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// pushedSamples are the references of the sample application's image.
var pushedSamples = map[*Fly]string{}

// pushSample pushes the sample application and returns the image's reference.
func pushSample(t *testing.T, f *Fly) string {
	t.Helper()
	if ref := pushedSamples[f]; ref != "" {
		return ref
	}
	release, err := sampleRelease()
	if err != nil {
		t.Fatal(err)
	}
	image, err := f.Push(t.Context(), release, "")
	if err != nil {
		t.Fatal(err)
	}
	pushedSamples[f] = image.Ref
	return image.Ref
}

// shellRelease is a release with nothing in it but its script, for tests that need a machine and no BEAM.
func shellRelease(t *testing.T) string {
	t.Helper()
	release := t.TempDir()
	for path, content := range map[string]string{
		"bin/shell": "#!/bin/sh\nexec tail -f /dev/null\n", "releases/1/shell.rel": "",
	} {
		path = filepath.Join(release, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return release
}

func pushShell(t *testing.T, f *Fly) string {
	t.Helper()
	image, err := f.Push(t.Context(), shellRelease(t), "")
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref
}

// launchShell launches a machine that runs no BEAM.
func launchShell(t *testing.T, f *Fly, spec MachineSpec) string {
	t.Helper()
	spec.Image = pushShell(t, f)
	id, err := f.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// launchSample launches a machine and waits until its application answers, where it has one.
func launchSample(t *testing.T, f *Fly, spec MachineSpec) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if spec.Image == "" {
		spec.Image = pushSample(t, f)
	}
	id, err := f.Launch(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if spec.State == "" {
		awaitReady(t, f, id)
	}
	return id
}

func awaitReady(t *testing.T, f *Fly, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, ok := f.machines.Get(id)
	if !ok {
		t.Fatalf("no machine %s", id)
	}
	if err := f.machines.AwaitPort(ctx, m.ID(), 8080); err != nil {
		t.Fatalf("%v\n%s", err, f.Console(id))
	}
}

// ask requests a path of the application in a machine and returns the body.
func ask(t *testing.T, f *Fly, id, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := get(ctx, f, id, path)
	if err != nil {
		t.Fatalf("GET %s: %v\n%s", path, err, f.Console(id))
	}
	return body
}

func get(ctx context.Context, f *Fly, id, path string) (string, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return f.Dial(ctx, id, 8080) },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://machine/"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// client is fly-go's, as a user of the real Fly would make it.
func client(t *testing.T, f *Fly, token string) *flaps.Client {
	t.Helper()
	t.Setenv("FLY_FLAPS_BASE_URL", f.APIURL())
	c, err := flaps.NewWithOptions(t.Context(), flaps.NewClientOpts{Tokens: flytokens.Parse(token)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

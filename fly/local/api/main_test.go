package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	flytokens "github.com/superfly/fly-go/tokens"

	"flydeploy/fly/local/described"
	"flydeploy/fly/local/fault"
	"flydeploy/fly/local/isolation"
	"flydeploy/fly/local/machine"
	"flydeploy/fly/local/run"
)

// served is an API of the app "sample", over machines that run nothing.
type served struct {
	*API
	url string
}

func serve(t *testing.T, config Config) *served {
	t.Helper()
	config.App, config.Tokens, config.Faults = "sample", NewTokens(), &fault.Faults{}
	config.Machines = machine.NewFleet(machine.Config{
		App: "sample", PrimaryRegion: "ams", Secrets: map[string]string{"DATABASE_URL": "hidden"}, ExecsInTurn: true, Folder: run.Folder(t.TempDir()), Host: idleHost{},
		Pull: func(context.Context, string) (machine.Image, error) { return idleImage{}, nil },
	})
	t.Cleanup(config.Machines.Close)
	config.Watch = watch(t)
	a := New(config)
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return &served{API: a, url: server.URL}
}

// watch holds requests and answers against Fly's description, where somebody has one: FLY_API_SPEC.
func watch(t *testing.T) func(http.Handler) http.Handler {
	t.Helper()
	file := os.Getenv(described.Variable)
	if file == "" {
		return nil
	}
	d, err := described.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return func(next http.Handler) http.Handler {
		return d.Watch(next, func(wrong string) { t.Error(wrong) })
	}
}

func launch(t *testing.T, f *served, spec machine.Spec) string {
	t.Helper()
	spec.Image = "registry.fly.io/sample:idle"
	id, err := f.config.Machines.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// idleImage has no files; its command is never run.
type idleImage struct{}

func (idleImage) Ref() fly.MachineImageRef { return fly.MachineImageRef{Registry: "registry.fly.io"} }
func (idleImage) Config() v1.Config        { return v1.Config{Cmd: []string{"idle"}} }
func (idleImage) Unpack() (string, error)  { return "", nil }

type idleHost struct{}

func (idleHost) Kind() isolation.Kind { return isolation.Processes }
func (idleHost) Boot(context.Context, isolation.Order) (isolation.VM, error) {
	return &idleVM{exited: make(chan isolation.Exit, 1)}, nil
}

// idleVM lives until it is killed or signalled. Its commands print their words, without the first.
type idleVM struct {
	exited chan isolation.Exit
	once   sync.Once
}

// idleExec, unless nil, is what a command does.
var idleExec func(command []string)

func (v *idleVM) Exec(_ context.Context, command []string, _ string) (isolation.Result, error) {
	if idleExec != nil {
		idleExec(command)
	}
	return isolation.Result{Stdout: strings.Join(command[1:], " ") + "\n"}, nil
}

func (v *idleVM) Signal(sig syscall.Signal) error {
	v.once.Do(func() { v.exited <- isolation.Exit{Code: 128 + int(sig), Signal: sig} })
	return nil
}
func (v *idleVM) Kill()                         { _ = v.Signal(syscall.SIGKILL) }
func (v *idleVM) Exited() <-chan isolation.Exit { return v.exited }
func (v *idleVM) Freeze(bool) error             { return nil }
func (v *idleVM) Dial(context.Context, int) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}

// rawRequest is a request to the app as no client library makes it, with the deploy token.
func rawRequest(t *testing.T, f *served, method, path, body string) (*http.Response, string) {
	t.Helper()
	return rawRequestAs(t, f, "Bearer "+f.config.Tokens.Deploy, method, "/v1/apps/sample"+path, body)
}

func rawRequestAs(t *testing.T, f *served, authorization, method, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// client is fly-go's, as a user of the real Fly would make it.
func client(t *testing.T, f *served, token string) *flaps.Client {
	t.Helper()
	t.Setenv("FLY_FLAPS_BASE_URL", f.url)
	c, err := flaps.NewWithOptions(t.Context(), flaps.NewClientOpts{Tokens: flytokens.Parse(token)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func machineNow(t *testing.T, c *flaps.Client, id string) *fly.Machine {
	t.Helper()
	m, err := c.Get(t.Context(), "sample", id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func arrive(ctx context.Context, m *machine.Machine, want string) error {
	_, err := m.Await(ctx, want)
	return err
}

// answerOf is the status of the answer that fly-go made an error of.
func answerOf(err error) int {
	var answer *flaps.FlapsError
	if errors.As(err, &answer) {
		return answer.ResponseStatusCode
	}
	return 0
}

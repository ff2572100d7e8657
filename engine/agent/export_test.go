package agent

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
)

// RealMachine is a node for tests outside of the package: a machine of the contract.
type RealMachine struct {
	n       *node
	mu      sync.Mutex
	reports map[string][]byte // by order
}

// StartReal starts a node that runs version 1 of the ledger.
func StartReal(t *testing.T) *RealMachine {
	return &RealMachine{n: startNode(t, 1), reports: map[string][]byte{}}
}

// Exec implements contract.Machine.
func (m *RealMachine) Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	return m.n.exec(ctx, command, stdin, timeout)
}

// Order implements contract.Machine.
func (m *RealMachine) Order(version int) Order {
	body := tarballOf(m.n.t, version).bytes
	o := orderOf(m.n.t, body)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			report, _ := io.ReadAll(r.Body)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.reports[o.ID] = report
		case filepath.Base(r.URL.Path) == "ledger.tar.gz":
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	m.n.t.Cleanup(server.Close)
	o.TarballURL = server.URL + "/releases/ledger.tar.gz?X-Amz-Signature=" + urlSecret
	o.ReportURL = server.URL + "/report.json.gz?X-Amz-Signature=" + urlSecret
	return o
}

func (m *RealMachine) dir(id string) string {
	return filepath.Join(filepath.Dir(m.n.control), "flydeploy-"+id)
}

// Command implements contract.Machine.
func (m *RealMachine) Command(id string, commands ...string) {
	make := ""
	for _, c := range commands {
		make += `File.mkdir!("` + m.dir(id) + `/` + c + `");`
	}
	// The agent goes on when the process ends that has suspended it.
	m.n.eval(`Process.whereis(:flydeploy_agent) |> :erlang.suspend_process();` + make)
}

// Load implements contract.Machine.
func (m *RealMachine) Load() {
	m.n.eval(`[{m, beam}] = Code.compile_string("defmodule Ledger.Prices do
		def version, do: :patched
		end"); :code.purge(m); {:module, ^m} = :code.load_binary(m, 'nofile', beam)`)
}

// Crash implements contract.Machine.
func (m *RealMachine) Crash() {
	m.n.eval(`[{pid, _}] = Registry.lookup(Ledger.Names, 1)
		ref = Process.monitor(pid)
		GenServer.cast(pid, {:secret, "` + urlSecret + `"})
		receive do: ({:DOWN, ^ref, _, _, _} -> :ok)`)
	m.n.eval(`wait = fn wait -> if Registry.lookup(Ledger.Names, 1) == [], do: wait.(wait) end; wait.(wait)`)
}

// Busy implements contract.Machine.
func (m *RealMachine) Busy() (free func()) {
	m.n.makeBusy(7, ":seven")
	return func() { m.n.eval(`send(:seven, :go); :sys.get_state(:seven)`) }
}

// MakeDir implements contract.Machine.
func (m *RealMachine) MakeDir(id string) {
	if err := os.Mkdir(m.dir(id), 0o700); err != nil {
		m.n.t.Fatal(err)
	}
}

// Report implements contract.Machine.
func (m *RealMachine) Report(id string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reports[id]
}

// RealTemporary is a machine that runs no VM, for the contract.
type RealTemporary struct{ n *node }

// NewRealTemporary gives one with version 2 of the ledger.
func NewRealTemporary(t *testing.T) RealTemporary { return RealTemporary{newMachine(t)} }

// Exec implements contract.Temporary.
func (m RealTemporary) Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	if dir := command[4]; filepath.Dir(dir) == filepath.Dir(jobDir("")) {
		m.n.t.Cleanup(func() { os.RemoveAll(dir) })
	}
	return m.n.exec(ctx, command, stdin, timeout)
}

// Release implements contract.Temporary.
func (m RealTemporary) Release() (root, otpApp string) { return releases[2], "ledger" }

// Put implements contract.Temporary.
func (m RealTemporary) Put(body []byte) (url string, remove func()) {
	var gone atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	m.n.t.Cleanup(server.Close)
	return server.URL + "/source?X-Amz-Signature=" + urlSecret, func() { gone.Store(true) }
}

package counter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// release is one version, built from the embedded source.
func release(t *testing.T, version int) string {
	t.Helper()
	var output bytes.Buffer
	root, _, err := Kept(t.Context(), version, func(source string) (string, error) {
		return Build(t.Context(), source, version, &output)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &output)
	}
	return root
}

// machine is a release that runs as a plain process, with an epmd of its own.
type machine struct {
	*Client
	root string
	env  []string
	cmd  *exec.Cmd
}

// start runs a release and waits until its endpoint listens. It ends with the test.
func start(t *testing.T, version, counters int) *machine {
	t.Helper()
	root := release(t, version)
	port := startEPMD(t, root)
	m := &machine{root: root, env: []string{
		"PATH=" + os.Getenv("PATH"),
		"PORT=0",
		fmt.Sprintf("COUNTERS=%d", counters),
		"RELEASE_NODE=counter-" + rand.Text()[:8] + "@127.0.0.1",
		"RELEASE_COOKIE=" + rand.Text(),
		"RELEASE_TMP=" + t.TempDir(),
		fmt.Sprintf("ERL_EPMD_PORT=%d", port),
		"ERL_ZFLAGS=-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
	}}
	m.cmd = exec.Command(filepath.Join(root, "bin", "counter"), "start")
	m.cmd.Env = m.env
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.cmd.Stdout
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := sync.OnceFunc(func() { end(t, m.cmd) })
	t.Cleanup(stopped)
	address := awaitAddress(t, stdout)
	m.Client = NewClient(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
	return m
}

func startEPMD(t *testing.T, root string) (port int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "erts-*", "bin", "epmd"))
	if err != nil || len(found) != 1 {
		t.Fatalf("epmd in %s: found %v, %v", root, found, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(found[0], "-port", fmt.Sprint(port), "-address", "127.0.0.1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	return port
}

// end asks a process to end, and waits for it.
func end(t *testing.T, cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	stuck := time.AfterFunc(30*time.Second, func() {
		t.Errorf("%s did not end within 30 s of SIGTERM", cmd.Path)
		_ = cmd.Process.Kill()
	})
	_ = cmd.Wait()
	stuck.Stop()
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// awaitAddress reads the log up to the line that tells the endpoint's address, and drains the rest.
func awaitAddress(t *testing.T, log io.Reader) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		defer close(found)
		scanner := bufio.NewScanner(log)
		var seen []string
		for scanner.Scan() {
			seen = append(seen, scanner.Text())
			if match := listening.FindStringSubmatch(scanner.Text()); match != nil {
				found <- match[1]
				_, _ = io.Copy(io.Discard, log)
				return
			}
		}
		found <- "no address in the log:\n" + strings.Join(seen, "\n")
	}()
	select {
	case address := <-found:
		if !strings.HasPrefix(address, "127.0.0.1:") {
			t.Fatal(address)
		}
		return address
	case <-time.After(time.Minute):
		t.Fatal("the release did not listen within a minute")
		return ""
	}
}

// rpc evaluates Elixir in the running node and gives what it printed.
func (m *machine) rpc(t *testing.T, expression string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(m.root, "bin", "counter"), "rpc", expression)
	cmd.Env = m.env
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rpc: %v\n%s", err, output)
	}
	return strings.TrimSpace(string(output))
}

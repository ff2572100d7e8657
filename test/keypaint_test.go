package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkKeyToPaint measures the binary on a terminal of its own: from a key to the first byte that it paints, and the time of the
// processor that it takes while nothing happens. Beside it stands lazygit in this repository, where a shell would find one. To build it:
// `go mod download -json github.com/jesseduffield/lazygit@v0.44.1`, and `GOFLAGS=-mod=mod go build -o lazygit .` in a copy of its folder.
func BenchmarkKeyToPaint(b *testing.B) {
	of := map[string]*feel{}
	for _, n := range []int{50, 1000} {
		name := fmt.Sprintf("%d_machines", n)
		b.Run(name, func(b *testing.B) {
			api := apiOf(b, n)
			_, env := bucketOf(b, nil)
			p := painting(b, append(env, "FLY_FLAPS_BASE_URL="+api.URL, "FLY_API_BASE_URL="+api.URL), append([]string{binary(b)}, ofBucket...)...)
			of[name] = p.measure(b)
		})
	}
	b.Run("lazygit", func(b *testing.B) {
		lazygit, err := exec.LookPath("lazygit")
		if err != nil {
			b.Skip("there is no lazygit here to stand beside it")
		}
		settings := filepath.Join(b.TempDir(), "config.yml")
		if err := os.WriteFile(settings, []byte("disableStartupPopups: true\nupdate: {method: never}\n"), 0o600); err != nil {
			b.Fatal(err)
		}
		of["lazygit"] = painting(b, nil, lazygit, "--use-config-file", settings, "log").measure(b)
	})
	for _, pair := range [][2]string{{"1000_machines", "50_machines"}, {"50_machines", "lazygit"}, {"1000_machines", "lazygit"}} {
		is, to := of[pair[0]], of[pair[1]]
		if is == nil || to == nil {
			continue // one of them was not wanted
		}
		b.Run(pair[0]+"_to_"+pair[1], func(b *testing.B) {
			b.ReportMetric(is.idle/to.idle, "×idle")
			b.ReportMetric(float64(is.p99)/float64(to.p99), "×p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// feel is how a program feels that is looked at.
type feel struct {
	median, p99 time.Duration // from a key to what it paints
	idle        float64       // of a processor
}

// apiOf is a Machines API of n started machines, with the configuration, the check and the events of a usual one: a kilobyte each.
func apiOf(b *testing.B, n int) *httptest.Server {
	b.Helper()
	machines := make([]map[string]any, n)
	for i := range machines {
		machines[i] = map[string]any{
			"id": fmt.Sprintf("148e%04d6c%04x", i, i*7919%65536), "name": fmt.Sprintf("quiet-river-%d", i), "state": "started", "region": []string{"ams", "fra", "iad"}[i%3],
			"instance_id": fmt.Sprintf("01K93Q%04d", i), "updated_at": "2026-11-29T10:00:00Z", "host_status": "ok", "private_ip": "fdaa:0:1:a7b:1:2:3:4",
			"image_ref": map[string]string{"registry": "registry.fly.io", "repository": "counter", "tag": "deployment-01K93Q0000", "digest": "sha256:" + strings.Repeat("9f", 32)},
			"config": map[string]any{
				"image": "registry.fly.io/counter:deployment-01K93Q0000", "guest": map[string]any{"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
				"metadata": map[string]string{"fly_process_group": "app", "fly_release_id": "x8nlLpvqzyV2ZiJ1mXYBB4kA5", "fly_flyctl_version": "0.3.40"},
				"env":      map[string]string{"PHX_HOST": "counter.example.com", "PORT": "8080", "DNS_CLUSTER_QUERY": "counter.internal", "ECTO_IPV6": "true"},
				"services": []any{map[string]any{"protocol": "tcp", "internal_port": 8080, "ports": []any{map[string]any{"port": 443, "handlers": []string{"tls", "http"}}}}},
			},
			"checks": []any{map[string]string{"name": "servicecheck-00-http-8080", "status": "passing", "output": "200 OK", "updated_at": "2026-11-29T10:00:05Z"}},
			"events": []any{map[string]any{"id": "01K93", "type": "start", "status": "started", "source": "flyd", "timestamp": 1764410400000}},
		}
	}
	body, err := json.Marshal(machines)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	b.Cleanup(server.Close)
	return server
}

// painter is a program on a terminal of 200 × 50 cells.
type painter struct {
	terminal *os.File
	cmd      *exec.Cmd
	painted  chan time.Time // of each piece of output
}

func painting(b *testing.B, env []string, args ...string) *painter {
	b.Helper()
	p := &painter{cmd: exec.Command(args[0], args[1:]...), painted: make(chan time.Time, 1<<16)}
	p.cmd.Env = append(append(os.Environ(), "CI=", "TERM=xterm-256color", "HOME="+b.TempDir()), env...)
	var err error
	if p.terminal, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 50, Cols: 200}); err != nil {
		b.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		buffer := make([]byte, 1<<16)
		for {
			if _, err := p.terminal.Read(buffer); err != nil {
				return
			}
			p.painted <- time.Now()
		}
	}()
	b.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = p.terminal.Close()
		<-over
	})
	return p
}

// quiet waits until nothing has been painted for a time, or for ten times that.
func (p *painter) quiet(d time.Duration) {
	for end := time.After(10 * d); ; {
		select {
		case <-p.painted:
		case <-time.After(d):
			return
		case <-end:
			return
		}
	}
}

func (p *painter) measure(b *testing.B) *feel {
	p.quiet(3 * time.Second)
	before, began := p.processor(b), time.Now()
	time.Sleep(60 * time.Second) // nothing happens: that is what is measured
	idle := float64(p.processor(b)-before) / float64(time.Since(began))
	var took []time.Duration
	for i := 0; i < 200; i++ {
		p.quiet(60 * time.Millisecond)
		pressed := time.Now()
		if _, err := p.terminal.WriteString([]string{"j", "k"}[i/20%2]); err != nil {
			b.Fatal(err)
		}
		select {
		case at := <-p.painted:
			took = append(took, at.Sub(pressed))
		case <-time.After(2 * time.Second): // the end of a list
		}
	}
	slices.Sort(took)
	if len(took) < 100 {
		b.Fatalf("%d keys painted anything", len(took))
	}
	f := &feel{took[len(took)/2], took[len(took)*99/100], idle}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(f.median), "ms-median")
	b.ReportMetric(ms(f.p99), "ms-p99")
	b.ReportMetric(100*f.idle, "%-idle")
	b.ReportMetric(0, "ns/op")
	return f
}

// processor is the time that the program has spent on the processor, from Linux's /proc/PID/stat in ticks of 10 ms.
func (p *painter) processor(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Skip("there is no /proc")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var ticks time.Duration
	for _, field := range strings.Fields(rest)[11:15] { // its own, and of the programs that it has run
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

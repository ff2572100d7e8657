package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkKeyToPaint measures the binary on a terminal of its own: from a key to the first byte that it paints, and the time of the
// processor that it takes while nothing happens. FLYDEPLOY_BESIDE names another program, such as lazygit, that is measured in the same
// way, in this repository.
func BenchmarkKeyToPaint(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", n), func(b *testing.B) {
			api := apiOf(b, n)
			_, env := bucketOf(b, nil)
			p := painting(b, append(env, "FLY_FLAPS_BASE_URL="+api.URL, "FLY_API_BASE_URL="+api.URL), append([]string{binary(b)}, ofBucket...)...)
			p.measure(b)
		})
	}
	if other := os.Getenv("FLYDEPLOY_BESIDE"); other != "" {
		b.Run("beside", func(b *testing.B) { painting(b, nil, strings.Fields(other)...).measure(b) })
	}
}

// apiOf is a Machines API of n started machines.
func apiOf(b *testing.B, n int) *httptest.Server {
	b.Helper()
	machines := make([]map[string]any, n)
	for i := range machines {
		machines[i] = map[string]any{
			"id": fmt.Sprintf("148e%04d6c%04x", i, i*7919%65536), "name": fmt.Sprintf("quiet-river-%d", i), "state": "started", "region": []string{"ams", "fra", "iad"}[i%3],
			"instance_id": fmt.Sprintf("01K93Q%04d", i), "config": map[string]any{"image": "registry.fly.io/counter:v1", "metadata": map[string]string{"fly_process_group": "app"}},
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

func (p *painter) measure(b *testing.B) {
	p.quiet(3 * time.Second)
	before, began := p.processor(b), time.Now()
	time.Sleep(25 * time.Second) // nothing happens: that is what is measured
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
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "ms-median")
	b.ReportMetric(ms(took[len(took)*99/100]), "ms-p99")
	b.ReportMetric(100*idle, "%-idle")
	b.ReportMetric(0, "ns/op")
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

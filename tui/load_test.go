package tui

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// busyDeploy is a deploy under way on that many machines, half of which change ten times a second.
type busyDeploy struct {
	machines int
	began    bool
	attempt  int
	beat     *time.Ticker
}

func (d *busyDeploy) Next(ctx context.Context) ([]engine.Event, error) {
	if !d.began {
		d.began = true
		before, _, _ := tuitest.Upgraded(d.machines)
		return before[:len(before)-1], nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case at := <-d.beat.C:
		d.attempt++
		batch := make([]engine.Event, 0, d.machines/2)
		for k := range d.machines / 2 {
			batch = append(batch, engine.Event{
				Machine: fmt.Sprintf("148e%04d6c%04x", k+1, k*7919%65536), Attempt: 1 + d.attempt, Phase: engine.PhaseReload,
				Status: engine.StatusRunning, At: at, StartedAt: at,
			})
		}
		return batch, nil
	}
}

func (d *busyDeploy) Answer(engine.Answer)  {}
func (d *busyDeploy) Stop()                 {}
func (d *busyDeploy) Hurry()                {}
func (d *busyDeploy) Result() engine.Result { return engine.Result{} }

// wire is a terminal that takes everything and shows nothing: what reading it costs is not the console's.
type wire struct {
	outside *os.File
	bytes   atomic.Int64

	mu      sync.Mutex
	recent  string // since the last key
	changed chan struct{}
}

func (w *wire) drain() {
	buffer := make([]byte, 1<<16)
	for {
		n, err := w.outside.Read(buffer)
		if err != nil {
			return
		}
		w.bytes.Add(int64(n))
		w.mu.Lock()
		w.recent += string(buffer[:n])
		w.mu.Unlock()
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// press writes a key and gives the time until a text comes.
func (w *wire) press(b *testing.B, key, shows string) time.Duration {
	w.mu.Lock()
	w.recent = ""
	w.mu.Unlock()
	began := time.Now()
	if _, err := w.outside.WriteString(key); err != nil {
		b.Fatal(err)
	}
	w.until(b, shows)
	return time.Since(began)
}

func (w *wire) until(b *testing.B, shows string) {
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		there := strings.Contains(w.recent, shows)
		w.mu.Unlock()
		if there {
			return
		}
		select {
		case <-w.changed:
		case <-deadline:
			b.Fatalf("%q never came", shows)
		}
	}
}

// loaded runs a console on a wire in the midst of a busy deploy.
func loaded(b *testing.B, machines int, work func(*wire)) {
	d := &busyDeploy{machines: machines, beat: time.NewTicker(100 * time.Millisecond)}
	o := playing(6, tuitest.Upgraded)
	o.StartDeploy = true
	backendOf(o).OnDeploy = func(engine.Request) (plain.Deployment, error) { return d, nil }
	wired(b, o, "MIGRATED", work)
}

// wired runs a console on a wire, 200×50, and works once it shows something.
func wired(b *testing.B, o Options, shows string, work func(*wire)) {
	outside, tty, err := pty.Open()
	if err != nil {
		b.Fatal(err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 50, Cols: 200}); err != nil {
		b.Fatal(err)
	}
	w := &wire{outside: outside, changed: make(chan struct{}, 1)}
	var running sync.WaitGroup
	running.Go(w.drain)
	o.Theme = "dark"
	o.Input, o.Output, o.Environ = tty, tty, []string{"TERM=xterm-256color", "COLORTERM=truecolor"}
	ctx, cancel := context.WithCancel(context.Background())
	running.Go(func() {
		_, _ = Run(ctx, o)
		_ = tty.Close()
		_ = outside.Close()
	})
	w.until(b, shows)
	work(w)
	cancel()
	running.Wait()
}

func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkIdle is the fleet's screen while nothing happens: one operation is a second of it.
func BenchmarkIdle(b *testing.B) {
	for _, machines := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", machines), func(b *testing.B) {
			seen := tuitest.OverviewOf(machines)
			o := playing(6, tuitest.Upgraded)
			backendOf(o).OnOverview = func(context.Context) (engine.Overview, error) {
				again := seen
				again.Machines = slices.Clone(seen.Machines)
				return again, nil
			}
			wired(b, o, "machines", seconds(b))
		})
	}
}

// seconds lets some pass, and tells what the console takes in each.
func seconds(b *testing.B) func(*wire) {
	return func(w *wire) {
		used, sent, began := cpu(), w.bytes.Load(), time.Now()
		for b.Loop() {
			time.Sleep(time.Second)
		}
		passed := time.Since(began).Seconds()
		b.ReportMetric(float64((cpu()-used).Microseconds())/1000/passed, "cpu-ms/s")
		b.ReportMetric(float64(w.bytes.Load()-sent)/passed, "bytes/s")
	}
}

// BenchmarkLoad is a deploy of 1,000 machines of which 500 change ten times a second: one operation is a second of it.
func BenchmarkLoad(b *testing.B) {
	for _, machines := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", machines), func(b *testing.B) {
			loaded(b, machines, seconds(b))
		})
	}
}

// BenchmarkKey is the time from a key to the changed screen, in the midst of the same deploy.
func BenchmarkKey(b *testing.B) {
	loaded(b, 1000, func(w *wire) {
		var took []time.Duration
		for b.Loop() {
			took = append(took, w.press(b, "L", "following"), w.press(b, "L", "STATUS"))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
		b.ReportMetric(float64(took[(len(took)*99+99)/100-1].Microseconds())/1000, "ms-p99")
	})
}

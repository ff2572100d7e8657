package tui

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// BenchmarkDeploy is one redraw of a deploy under way at 200×50: 25 machines have changed, then Update and View.
func BenchmarkDeploy(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", n), func(b *testing.B) {
			before, _, _ := tuitest.Upgraded(n)
			c := newBench(b, size{200, 50}, Options{})
			c.deploys(before[:len(before)-1], nil)
			var ids []string
			for _, m := range c.deploy.progress.Machines {
				ids = append(ids, m.ID)
			}
			attempt := 1
			for i := 0; b.Loop(); i++ {
				batch := make([]engine.Event, 0, 25)
				if i%(n/25) == 0 {
					attempt++
				}
				for k := range 25 {
					batch = append(batch, engine.Event{
						Machine: ids[(i*25+k)%n], Attempt: attempt, Phase: engine.PhaseReload, Status: engine.StatusRunning, At: c.now, StartedAt: c.now,
					})
				}
				c.deploy.session.events = batch
				c.send(newsMsg{of: c.deploy.session}, tickMsg{at: c.now.Add(busyTick)})
				c.View()
			}
		})
	}
}

// BenchmarkFleet is a move of the cursor on the home screen at 200×50.
func BenchmarkFleet(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", n), func(b *testing.B) {
			c := newBench(b, size{200, 50}, Options{})
			c.sees(n)
			for b.Loop() {
				c.keys("down")
				c.View()
			}
		})
	}
}

// BenchmarkFirstPaint is the time from the start of a console on a real terminal to its first picture of a fleet of
// 1,000 machines.
func BenchmarkFirstPaint(b *testing.B) {
	overview := tuitest.OverviewOf(1000)
	for b.Loop() {
		b.StopTimer()
		t := newTerminal(b, size{200, 50})
		o := playing(6, tuitest.Upgraded)
		backendOf(o).OnOverview = func(context.Context) (engine.Overview, error) { return overview, nil }
		b.StartTimer()
		r := runOn(b.Context(), t, o)
		r.waitFor("1,001 machines")
		b.StopTimer()
		r.press("q")
		r.over()
		b.StartTimer()
	}
}

// BenchmarkTerminal counts what a deploy under way of 1,000 machines, 500 of them changing at once, costs the terminal:
// bytes for each redraw at 200×50.
func BenchmarkTerminal(b *testing.B) {
	before, _, _ := tuitest.Upgraded(1000)
	c := newBench(b, size{200, 50}, Options{})
	c.deploys(before[:len(before)-1], nil)
	counter := &countingWriter{written: make(chan struct{}, 1)}
	c.painter = newPainter(Options{Output: counter, Environ: []string{"TERM=xterm-256color"}}, nil)
	p := tea.NewProgram(silent{c.console}, append(c.painter.options(), tea.WithInput(nil), tea.WithWindowSize(200, 50))...)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = p.Run() })
	frames := 0
	for b.Loop() {
		frames++
		batch := make([]engine.Event, 0, 500)
		for k := range 500 {
			batch = append(batch, engine.Event{
				Machine: fmt.Sprintf("148e%04d6c%04x", k+1, k*7919%65536), Attempt: 1 + frames, Phase: engine.PhaseReload,
				Status: engine.StatusRunning, At: tuitest.Start, StartedAt: tuitest.Start,
			})
		}
		p.Send(batch)
		p.Send(tickMsg{at: tuitest.Start.Add(time.Duration(frames+300) * busyTick)})
		counter.waitForFrame()
	}
	p.Quit()
	wg.Wait()
	b.ReportMetric(float64(counter.n.Load())/float64(frames), "bytes/frame")
}

// silent is a console without commands; events come as messages.
type silent struct{ *console }

func (s silent) Init() tea.Cmd { return nil }

func (s silent) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	if batch, ok := m.([]engine.Event); ok {
		s.deploy.session.events = batch
		m = newsMsg{of: s.deploy.session}
	}
	s.console.Update(m)
	return s, nil
}

type countingWriter struct {
	n       atomic.Int64
	written chan struct{}
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	select {
	case w.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (w *countingWriter) waitForFrame() { <-w.written }

// BenchmarkLook is a look at the fleet that brings nothing new, as most do, painted at 200×50.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprintf("%d_machines", n), func(b *testing.B) {
			c, overview := newBench(b, size{200, 50}, Options{}), tuitest.OverviewOf(n)
			machines := overview.Machines
			for b.Loop() {
				overview.Machines = slices.Clone(machines)
				c.send(overviewMsg{overview: overview})
				c.View()
			}
		})
	}
}

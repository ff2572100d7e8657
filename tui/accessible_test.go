package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
)

// talk is a conversation with the accessible console: what it wrote, and an input that is typed into.
type talk struct {
	t     *testing.T
	typed *io.PipeWriter
	ended chan struct{}
	end   Ended
	err   error

	mu      sync.Mutex
	written bytes.Buffer
	more    chan struct{}
}

func (w *talk) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.written.Write(p)
}

func (w *talk) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}

func talkTo(ctx context.Context, t *testing.T, o Options) *talk {
	in, typed := io.Pipe()
	w := &talk{t: t, typed: typed, ended: make(chan struct{}), more: make(chan struct{}, 1)}
	o.Input, o.Output = in, w
	go func() {
		defer close(w.ended)
		w.end, w.err = Accessible(ctx, o)
	}()
	t.Cleanup(func() { _ = typed.Close(); <-w.ended })
	return w
}

// hears waits until something was written n times.
func (w *talk) hears(n int, text string) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for strings.Count(w.text(), text) < n {
		select {
		case <-w.more:
		case <-deadline.C:
			w.t.Fatalf("never heard %q %d times:\n%s", text, n, w.text())
		}
	}
}

func (w *talk) says(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w.typed, line+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *talk) over() {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(patience):
		w.t.Fatalf("it does not end:\n%s", w.text())
	}
	if strings.ContainsAny(w.text(), "\x1b\r\x08│─╭█⠋") {
		w.t.Fatalf("escapes, borders or spinners:\n%q", w.text())
	}
}

func TestRule17AccessibleIsPlainLinesAndNumberedChoices(t *testing.T) {
	var deployed []engine.Selection
	o := offering(playing(6, upgraded))
	backendOf(o).overview = func(context.Context) (engine.Overview, error) {
		seen := overviewOf(6)
		seen.Metadata.HotUpgrade.DeployedAt = time.Now().Add(-90 * time.Minute)
		return seen, nil
	}
	backendOf(o).deploy = func(sel engine.Selection) (Deployment, error) {
		deployed = append(deployed, sel)
		p := play(upgraded(6))
		p.batch = 1
		return p, nil
	}
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 5):")
	w.says("seven")
	w.hears(1, "Please type a number from 1 to 5.")
	w.says("3")
	w.hears(1, "Numbers of the machines")
	w.says("1 4 1")
	w.hears(1, "Choice (1 or 2):")
	w.says("y")
	w.hears(1, "Please type 1 or 2:")
	w.says("2")
	w.hears(1, "succeeded, 6 of 6 machines run it")
	w.hears(3, "Choice (1 to 5):")
	w.says("4")
	w.hears(1, "Number of a deploy to read")
	w.says("2")
	w.hears(4, "Choice (1 to 5):")
	w.says("5")
	w.over()
	if w.err != nil || w.end.Result == nil || len(deployed) != 1 || len(deployed[0].Machines) != 2 {
		t.Fatalf("ended with %+v, %v; deployed %+v", w.end, w.err, deployed)
	}
	golden.RequireEqual(t, w.text())
}

func TestRule17AccessibleBlockersAndLock(t *testing.T) {
	asking := func(events []engine.Event) (Options, *player) {
		p := play(events, nil, engine.Result{Outcome: engine.OutcomeCancelled})
		return Options{
			App: "counter", StartDeploy: true, Backend: &backend{deploy: func(engine.Selection) (Deployment, error) { return p, nil }},
		}, p
	}
	o, p := asking(blocked(6, engine.SeverityBlock))
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 or 2):")
	w.says("2")
	w.hears(1, "Type rollback_slow to accept it")
	w.says("rollback")
	w.hears(2, "Choice (1 or 2):")
	if len(p.given()) != 0 {
		t.Fatal("a wrong name confirmed the plan")
	}
	w.says("2")
	w.hears(2, "Type rollback_slow to accept it")
	w.says("rollback_slow")
	w.hears(1, "Type migrations_added to accept it")
	w.says("migrations_added")
	w.over()
	if got := p.given(); len(got) != 1 || !got[0].Proceed || len(got[0].Accept) != 2 {
		t.Fatalf("answers %+v", got)
	}

	o, p = asking(locked())
	w = talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 3):")
	w.says("3")
	w.hears(1, "Type counter to override")
	w.says("")
	w.hears(1, "Not overridden")
	w.says("3")
	w.hears(2, "Type counter to override")
	w.says("counter")
	w.over()
	if got := p.given(); len(got) != 1 || got[0].OverrideETag != `"etag-of-bob"` {
		t.Fatalf("answers %+v", got)
	}
}

func TestRule17AccessibleEndOfInputDeclines(t *testing.T) {
	before, after, end := upgraded(1)
	p := play(before, after, end)
	w := talkTo(t.Context(), t, Options{App: "counter", StartDeploy: true, Backend: &backend{deploy: func(engine.Selection) (Deployment, error) { return p, nil }}})
	w.hears(1, "Choice (1 or 2):")
	_ = w.typed.Close()
	w.over()
	if got := p.given(); len(got) != 1 || got[0].Proceed {
		t.Fatalf("answers %+v, want one that declines", got)
	}
}

// late is a deploy of which nothing comes before the whole input was read.
type late struct {
	*player
	read chan struct{}
}

func (l late) Next(ctx context.Context) ([]engine.Event, error) { <-l.read; return l.player.Next(ctx) }

type endOfInput struct{ read chan struct{} }

func (e endOfInput) Read([]byte) (int, error) { close(e.read); return 0, io.EOF }

func TestRule17AccessibleWithoutInputDeclines(t *testing.T) {
	before, after, end := upgraded(1)
	p := play(before, after, end)
	var out bytes.Buffer
	read := make(chan struct{})
	o := Options{App: "counter", StartDeploy: true, Backend: &backend{deploy: func(engine.Selection) (Deployment, error) { return late{p, read}, nil }}}
	o.Input, o.Output = io.MultiReader(strings.NewReader("2\n2\n"), endOfInput{read}), &out // typed before anything was asked
	if _, err := Accessible(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := p.given(); len(got) != 1 || got[0].Proceed {
		t.Fatalf("answers %+v, want one that declines", got)
	}
}

func TestRule17AccessibleStopsWhenItsContextEnds(t *testing.T) {
	before, after, end := upgraded(1)
	p := play(before, after, end)
	ctx, cancel := context.WithCancel(t.Context())
	w := talkTo(ctx, t, Options{App: "counter", StartDeploy: true, Backend: &backend{deploy: func(engine.Selection) (Deployment, error) { return p, nil }}})
	w.hears(1, "Choice (1 or 2):")
	cancel()
	w.over()
	if !stopped(p) || !errors.Is(w.err, context.Canceled) || w.end.Result == nil {
		t.Fatalf("stopped %v, error %v, ended with %+v", stopped(p), w.err, w.end)
	}
}

func TestRule15AccessibleReadOnly(t *testing.T) {
	o := offering(playing(6, upgraded))
	o.ReadOnly = true
	w := talkTo(t.Context(), t, o)
	w.hears(1, "Choice (1 to 3):")
	w.says("3")
	w.over()
	if text := w.text(); strings.Contains(text, "Deploy to") || !strings.Contains(text, "counter, fleet, read-only\n") {
		t.Fatalf("a read-only console offers to deploy, or does not say what it is:\n%s", w.text())
	}
}

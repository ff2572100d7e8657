package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// terminal is a pseudo terminal with an emulator behind it.
type terminal struct {
	tb            testing.TB
	outside, tty  *os.File
	screen        *vt.Emulator // guarded by mu, but for reading what it answers
	wg            sync.WaitGroup
	changed       chan struct{}
	mu            sync.Mutex
	raw           bytes.Buffer // all that the program has written
	alternate     bool
	cursorVisible bool
}

func newTerminal(tb testing.TB, s size) *terminal {
	outside, tty, err := pty.Open()
	if err != nil {
		tb.Fatal(err)
	}
	t := &terminal{
		tb: tb, outside: outside, tty: tty, screen: vt.NewEmulator(s.w, s.h), changed: make(chan struct{}, 1), cursorVisible: true,
	}
	t.screen.SetCallbacks(vt.Callbacks{
		AltScreen:        func(on bool) { t.alternate = on },
		CursorVisibility: func(visible bool) { t.cursorVisible = visible },
	})
	t.resize(s)
	t.wg.Go(t.emulate)
	t.wg.Go(func() { _, _ = io.Copy(outside, t.screen) }) // what the terminal answers
	tb.Cleanup(t.close)
	return t
}

// emulate feeds the emulator with what the program writes.
func (t *terminal) emulate() {
	buf := make([]byte, 1<<16)
	for {
		n, err := t.outside.Read(buf)
		if err != nil {
			return
		}
		t.mu.Lock()
		_, _ = t.screen.Write(buf[:n])
		t.raw.Write(buf[:n])
		t.mu.Unlock()
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

func (t *terminal) close() {
	_ = t.tty.Close()
	_ = t.outside.Close()
	_ = t.screen.InputPipe().(io.Closer).Close() // ends what reads the answers; Close itself does not wait for that
	t.wg.Wait()
	_ = t.screen.Close()
}

func (t *terminal) resize(s size) {
	if err := pty.Setsize(t.tty, &pty.Winsize{Rows: uint16(s.h), Cols: uint16(s.w)}); err != nil {
		t.tb.Fatal(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.screen.Resize(s.w, s.h)
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return ansi.Strip(t.screen.Render())
}

// anyCell reports whether a cell of the screen is so.
func (t *terminal) anyCell(so func(uv.Style) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for y := range t.screen.Height() {
		for x := range t.screen.Width() {
			if cell := t.screen.CellAt(x, y); cell != nil && so(cell.Style) {
				return true
			}
		}
	}
	return false
}

// has reports whether the program has written these bytes.
func (t *terminal) has(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.raw.Bytes(), []byte(text))
}

// state is whether the alternate screen and the cursor are shown.
func (t *terminal) state() (alternate, cursor bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.alternate, t.cursorVisible
}

// given reports whether the terminal is as it was before the program, to what the program has set.
func (t *terminal) given() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := false // the emulator does not tell of these: bracketed paste, focus, the mouse, keys
	for on, off := range map[string]string{"\x1b[?2004h": "\x1b[?2004l", "\x1b[?1004h": "\x1b[?1004l", "\x1b[?1002h": "\x1b[?1002l", "\x1b[?1006h": "\x1b[?1006l", "\x1b[>1u": "\x1b[<1u", "\x1b[>4;2m": "\x1b[>4m"} {
		set = set || bytes.LastIndex(t.raw.Bytes(), []byte(on)) > bytes.LastIndex(t.raw.Bytes(), []byte(off))
	}
	return !t.alternate && t.cursorVisible && !set
}

// patience bounds each wait; a slow computer uses more of it.
const patience = 2 * time.Minute

// until waits for a condition on the screen.
func (t *terminal) until(what string, holds func() bool) {
	t.tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-t.changed:
		case <-deadline.C:
			t.tb.Fatalf("never came: %s\n%s", what, t.text())
		}
	}
}

func (t *terminal) waitFor(text string) {
	t.tb.Helper()
	t.until(text, func() bool { return strings.Contains(t.text(), text) })
}

func (t *terminal) press(keys string) {
	t.tb.Helper()
	if _, err := t.outside.WriteString(keys); err != nil {
		t.tb.Fatal(err)
	}
}

// running is a console on a terminal.
type running struct {
	*terminal
	before *term.State
	ended  chan struct{}
	end    Ended
	err    error
}

func runOn(ctx context.Context, t *terminal, o Options) *running {
	before, err := term.GetState(t.tty.Fd())
	if err != nil {
		t.tb.Fatal(err)
	}
	if o.Input = t.tty; o.Output == nil {
		o.Output = t.tty
	}
	if o.Environ == nil {
		o.Environ = []string{"TERM=xterm-256color", "COLORTERM=truecolor"}
	}
	r := &running{terminal: t, before: before, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.end, r.err = Run(ctx, o)
	}()
	t.tb.Cleanup(func() { <-r.ended })
	return r
}

// over waits for the end and checks that the terminal is as it was.
func (r *running) over() {
	r.tb.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.tb.Fatalf("the console does not end:\n%s", r.text())
	}
	r.until("the terminal restored", r.given)
	after, err := term.GetState(r.tty.Fd())
	if err != nil {
		r.tb.Fatal(err)
	}
	if *after != *r.before {
		r.tb.Fatal("the terminal's modes are not as they were")
	}
}

func playing(n int, script func(int) ([]engine.Event, []engine.Event, engine.Result)) Options {
	return Options{
		App: "counter", Org: "demo",
		Backend: &tuitest.Backend{
			OnOverview: func(context.Context) (engine.Overview, error) { return tuitest.OverviewOf(n), nil },
			OnDeploy:   func(engine.Request) (plain.Deployment, error) { return tuitest.Play(script(n)), nil },
		},
	}
}

func TestProgramFromFleetToSummary(t *testing.T) {
	r := runOn(t.Context(), newTerminal(t, size{120, 40}), playing(6, tuitest.Upgraded))
	r.waitFor("wispy-frost-12")
	r.press(" ")
	r.waitFor("1 marked")
	r.press("a")
	r.waitFor("6 marked")
	r.press("d")
	r.waitFor("Enter begins")
	r.press("\r")
	r.waitFor("Suspend 12,018 processes on 6 machines?")
	r.press("D")
	r.waitFor("succeeded, 6 of 6 machines run it")
	r.press("\x1b")
	r.waitFor("no deploy under way")
	r.press("q")
	r.over()
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.end.Result == nil || r.end.Result.Outcome != engine.OutcomeSucceeded || !strings.Contains(r.end.Summary, "6 of 6 machines") {
		t.Fatalf("ended with %+v", r.end)
	}
}

func TestProgramResizes(t *testing.T) {
	r := runOn(t.Context(), newTerminal(t, size{120, 40}), playing(6, tuitest.Upgraded))
	r.waitFor("wispy-frost-12")
	for _, s := range []size{{80, 24}, {30, 3}, {200, 60}, {60, 16}, {1, 1}, {120, 40}} {
		r.resize(s)
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		r.until("the screen for "+s.String(), func() bool {
			text := r.text()
			has := func(part string) bool { return strings.Contains(text, part) }
			switch {
			case s.w >= 200:
				return has("IMAGE") && has("instance")
			case s.w >= 120:
				return has("NAME") && has("instance")
			case s.w >= 80:
				return has("CHECKS") && !has("instance")
			case s.w >= 60:
				return has("RUNS") && !has("CHECKS")
			}
			return !has("RUNS") && strings.TrimSpace(text) != ""
		})
	}
	r.press("q")
	r.over()
}

func TestRule14ContextEndRestoresTheTerminal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	before, after, end := tuitest.Upgraded(6)
	p := tuitest.Play(before, after, end)
	o := playing(6, tuitest.Upgraded)
	backendOf(o).OnDeploy = func(engine.Request) (plain.Deployment, error) { return p, nil }
	o.StartDeploy = true
	r := runOn(ctx, newTerminal(t, size{80, 24}), o)
	r.waitFor("[ D Deploy ]")
	cancel() // as the caller does at SIGTERM or SIGHUP
	r.over()
	if !errors.Is(r.err, context.Canceled) {
		t.Fatalf("error %v, want the context's", r.err)
	}
	if r.end.Running != p || r.end.Detached {
		t.Fatalf("ended with %+v, want the deploy to settle", r.end)
	}
}

func TestRule14CrashRestoresTheTerminal(t *testing.T) {
	for where, o := range map[string]func() Options{
		"a command": func() Options {
			o := playing(6, tuitest.Upgraded)
			backendOf(o).OnOverview = func(context.Context) (engine.Overview, error) { panic("a bug") }
			return o
		},
		"Update": func() Options {
			before, after, end := tuitest.Upgraded(6)
			o := playing(6, tuitest.Upgraded)
			backendOf(o).OnDeploy = func(engine.Request) (plain.Deployment, error) {
				return brokenAnswer{tuitest.Play(before, after, end)}, nil
			}
			o.StartDeploy = true
			return o
		},
	} {
		t.Run(where, func(t *testing.T) {
			r := runOn(t.Context(), newTerminal(t, size{80, 24}), o())
			if where == "Update" {
				r.waitFor("[ D Deploy ]")
				r.press("G")
				r.press("D")
			}
			r.over()
			var crashed *CrashError
			if !errors.As(r.err, &crashed) || crashed.Value != "a bug" {
				t.Fatalf("error %v, want the crash", r.err)
			}
			if where == "Update" && (r.end.Running == nil || r.end.Detached) {
				t.Fatalf("ended with %+v, want the deploy back to be stopped", r.end)
			}
		})
	}
}

// A bug in painting ends the console as any other.
func TestRule14CrashOfThePainterRestoresTheTerminal(t *testing.T) {
	tm := newTerminal(t, size{80, 24})
	o := playing(6, tuitest.Upgraded)
	o.Output = &brokenPaper{File: tm.tty}
	r := runOn(t.Context(), tm, o)
	r.over()
	if crashed := (*CrashError)(nil); !errors.As(r.err, &crashed) || crashed.Value != "a bug" {
		t.Errorf("%v", r.err)
	}
}

// brokenPaper is a terminal that breaks once.
type brokenPaper struct {
	*os.File
	broke bool
}

func (p *brokenPaper) Write(b []byte) (int, error) {
	if !p.broke && bytes.Contains(b, []byte("148e00016c0000")) {
		p.broke = true
		panic("a bug")
	}
	return p.File.Write(b)
}

// brokenAnswer is a deploy whose answers hit a bug.
type brokenAnswer struct{ *tuitest.Player }

func (brokenAnswer) Answer(engine.Answer) { panic("a bug") }

func TestRule11NoColour(t *testing.T) {
	for name, env := range map[string][]string{"NO_COLOR": {"TERM=xterm-256color", "NO_COLOR=please"}, "CLICOLOR": {"TERM=xterm-256color", "CLICOLOR=0"}} {
		t.Run(name, func(t *testing.T) {
			o := playing(6, tuitest.Upgraded)
			o.Environ, o.Skin = env, cells.HighContrast
			r := runOn(t.Context(), newTerminal(t, size{80, 24}), o)
			r.waitFor("148e00016c0000")
			if r.anyCell(func(s uv.Style) bool { return s.Fg != nil || s.Bg != nil }) {
				t.Fatal("a cell has a colour")
			}
			r.press("q")
			r.over()
		})
	}
}

func TestLightBackgroundIsAskedFor(t *testing.T) {
	tm := newTerminal(t, size{80, 24})
	tm.screen.SetBackgroundColor(ansi.HexColor("#ffffff"))
	r := runOn(t.Context(), tm, playing(6, tuitest.Upgraded))
	want := ansi.HexColor("#007a55") // the light theme's green
	wr, wg, wb, _ := want.RGBA()
	r.until("the light palette", func() bool {
		return r.anyCell(func(s uv.Style) bool {
			if s.Fg == nil {
				return false
			}
			cr, cg, cb, _ := s.Fg.RGBA()
			return cr == wr && cg == wg && cb == wb
		})
	})
	r.press("q")
	r.over()
}

package tui

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // screens tell times of day
	os.Exit(m.Run())
}

// size of a terminal.
type size struct{ w, h int }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.w, s.h) }

var sizes = []size{{60, 16}, {80, 24}, {120, 40}, {200, 60}}

// bench is a console whose Update and View are called as functions; its commands run only where a test runs them.
type bench struct {
	*console
	tb testing.TB
}

func newBench(tb testing.TB, s size, o Options) *bench {
	if o.App == "" {
		o.App, o.Org, o.Version = "counter", "demo", "0.1.0"
		o = offering(o)
	}
	if o.Theme == "" {
		o.Theme = "dark"
	}
	work := newBackground(context.Background())
	tb.Cleanup(work.end)
	b := &bench{newConsole(o, work), tb}
	b.send(tickMsg{at: tuitest.Start.Add(20 * time.Second)}, tea.WindowSizeMsg{Width: s.w, Height: s.h})
	return b
}

// offering adds an app to a console.
func offering(o Options) Options {
	if o.Backend == nil {
		o.Backend = &tuitest.Backend{}
	}
	if o.Acts.Doctor == nil {
		if o.Acts = tuitest.ActsOf(func(string) {}); o.ReadOnly {
			o.Acts = plain.Acts{Doctor: o.Acts.Doctor}
		}
	}
	return o
}

func backendOf(o Options) *tuitest.Backend { return o.Backend.(*tuitest.Backend) }

func (b *bench) send(msgs ...tea.Msg) {
	for _, m := range msgs {
		b.Update(m)
		b.healthy()
	}
}

// healthy fails the test when the console has crashed.
func (b *bench) healthy() {
	b.tb.Helper()
	if b.crash != nil {
		b.tb.Fatal(b.crash)
	}
}

// pass lets time go by.
func (b *bench) pass(d time.Duration) { b.send(tickMsg{at: b.now.Add(d), header: b.header}) }

func (b *bench) sees(n int) { b.send(overviewMsg{overview: tuitest.OverviewOf(n)}) }

// deploys puts the console into a deploy of which these events have come in, and gives the deploy's player.
func (b *bench) deploys(events []engine.Event, end *engine.Result) *tuitest.Player {
	if b.deploy == nil {
		b.startDeploy(engine.Selection{})
		b.deploy.session.follow(tuitest.Play(nil, nil, engine.Result{}))
	}
	b.hears(events, end)
	return b.deploy.session.d.(*tuitest.Player)
}

// hears brings events in, as a command would, and lets a tick pass.
func (b *bench) hears(events []engine.Event, end *engine.Result) {
	s := b.deploy.session
	s.events, s.result = append(s.events, events...), end
	b.send(newsMsg{of: s, over: end != nil})
	b.pass(busyTick)
}

// keys presses keys by their names.
func (b *bench) keys(names ...string) {
	for _, n := range names {
		b.send(keyNamed(n))
	}
}

// types presses a key for each character.
func (b *bench) types(text string) {
	for _, r := range text {
		b.send(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

var specialKeys = map[string]tea.KeyPressMsg{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	"space": {Code: ' ', Text: " "}, "ctrl+space": {Code: ' ', Mod: tea.ModCtrl}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+r": {Code: 'r', Mod: tea.ModCtrl},
	"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown},
	"left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "backspace": {Code: tea.KeyBackspace},
}

func keyNamed(name string) tea.KeyPressMsg {
	if k, ok := specialKeys[name]; ok {
		return k
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: name}
}

// text is the screen without colours.
func (b *bench) text() string {
	text := ansi.Strip(b.View().Content)
	b.healthy()
	return text
}

func (b *bench) golden() {
	b.tb.Helper()
	b.fits()
	rows := strings.Split(b.text(), "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	golden.RequireEqual(b.tb, strings.Join(rows, "\n")+"\n")
}

// fits checks what holds at every size: as many rows as the screen has, none wider, something to read.
func (b *bench) fits() {
	b.tb.Helper()
	b.stale = true
	text := b.text()
	rows := strings.Split(text, "\n")
	if len(rows) != b.h {
		b.tb.Fatalf("%d rows on a screen of %dx%d:\n%s", len(rows), b.w, b.h, text)
	}
	for i, r := range rows {
		if w := ansi.StringWidth(r); w > b.w {
			b.tb.Fatalf("row %d is %d cells wide on a screen of %dx%d: %q\n%s", i, w, b.w, b.h, r, text)
		}
		if strings.ContainsFunc(r, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			b.tb.Fatalf("row %d holds a control character: %q", i, r)
		}
	}
	if strings.TrimSpace(text) == "" {
		b.tb.Fatalf("a blank screen at %dx%d", b.w, b.h)
	}
}

func (b *bench) shows(parts ...string) {
	b.tb.Helper()
	text := b.text()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			b.tb.Errorf("the screen does not show %q:\n%s", p, text)
		}
	}
}

func (b *bench) hides(parts ...string) {
	b.tb.Helper()
	text := b.text()
	for _, p := range parts {
		if strings.Contains(text, p) {
			b.tb.Errorf("the screen shows %q:\n%s", p, text)
		}
	}
}

// everySize runs a test on a fresh console of each size.
func everySize(t *testing.T, o Options, test func(b *bench)) {
	for _, s := range sizes {
		t.Run(s.String(), func(t *testing.T) { test(newBench(t, s, o)) })
	}
}

package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// at finds where a text is on the screen.
func (b *bench) at(text string) (x, y int) {
	b.tb.Helper()
	for y, row := range strings.Split(b.text(), "\n") {
		if before, _, there := strings.Cut(row, text); there {
			return ansi.StringWidth(before), y
		}
	}
	b.tb.Fatalf("%q is not on the screen:\n%s", text, b.text())
	return 0, 0
}

func (b *bench) clicks(text string) {
	b.tb.Helper()
	x, y := b.at(text)
	b.send(tea.MouseClickMsg{X: x + 1, Y: y, Button: tea.MouseLeft})
}

func TestTheMouseOnTheFleet(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.clicks("long-sun-88")
	if m, _ := b.fleet.current(); m.Name != "long-sun-88" {
		t.Errorf("the cursor is on %s", m.Name)
	}
	b.clicks("quiet-river-7")
	if m, _ := b.fleet.current(); m.Name != "quiet-river-7" || b.fleet.about {
		t.Errorf("the cursor is on %s", m.Name)
	}
	b.clicks("quiet-river-7     –") // the cursor is there already
	if !b.fleet.about {
		t.Error("no details")
	}
	b.clicks("esc back")
	b.shows("STATE")
	b.clicks("space mark")
	b.shows("1 marked")
	b.clicks("v lock")
	b.shows("The deploy lock")
	b.clicks("[ c Close ]")
	if b.dialog != nil {
		t.Error("the dialog is open")
	}
	for _, m := range []tea.Msg{
		tea.MouseClickMsg{X: 3, Y: 0, Button: tea.MouseLeft}, tea.MouseClickMsg{X: -1, Y: -1, Button: tea.MouseLeft}, tea.MouseClickMsg{X: 500, Y: 500, Button: tea.MouseLeft},
		tea.MouseClickMsg{X: 3, Y: 39, Button: tea.MouseRight}, tea.MouseWheelMsg{Button: tea.MouseWheelLeft},
	} {
		b.send(m)
	}
	b.shows("1 marked", "STATE")
}

func TestTheWheelScrolls(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(1000)
	first := b.fleet.list.At
	b.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown}, tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	if b.fleet.list.At-first != 2*wheelRows {
		t.Errorf("from %d to %d", first, b.fleet.list.At)
	}
	b.send(tea.MouseWheelMsg{Button: tea.MouseWheelUp})
	if b.fleet.list.At-first != wheelRows {
		t.Errorf("back to %d", b.fleet.list.At)
	}
}

// A click does what its key does and no more: a blocker's name still has to be typed, and the plan's end must have been seen.
func TestTheMouseConfirmsNothingByItself(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(tuitest.Blocked(6, engine.SeverityBlock), nil)
	b.clicks("D deploy as planned") // only the key does that
	if b.dialog != nil {
		t.Error("a click asks whether to deploy")
	}
	b.keys("D")
	b.shows("Accept a blocker")
	b.clicks("enter press")
	if b.dialog == nil {
		t.Error("a click at the bottom presses a button")
	}
	b.clicks("[ Accept ]")
	b.shows("Type exactly")
	b.clicks("[ Cancel ]")
	if len(p.Given()) > 0 {
		t.Errorf("it answered %+v", p.Given())
	}
}

// A double click on what opens the sheet does not begin the deploy, whose key has come to the same place.
func TestADoubleClickBeginsNoDeploy(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.clicks("d deploy")
	b.shows("enter begin")
	b.clicks("enter begin")
	if b.sheet == nil {
		t.Error("a click begins a deploy")
	}
	b.shows("enter begin")
}

func TestTheMouseOnADeploy(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	b.deploys(before, nil)
	b.hears(after[:26], nil)
	id := b.deploy.board.rows[4].m.ID
	b.clicks(id)
	if now := b.deploy.board.current().m.ID; now != id {
		t.Errorf("the cursor is on %s, not on %s", now, id)
	}
	b.clicks("L log")
	b.shows("following")
}

func TestWithoutTheMouse(t *testing.T) {
	for _, off := range []bool{false, true} {
		b := newBench(t, size{80, 24}, Options{NoMouse: off})
		if has := b.View().MouseMode != tea.MouseModeNone; has == off {
			t.Errorf("no mouse %t, but the terminal is asked for it: %t", off, has)
		}
	}
}

// Apps and machines lead to their pages, and nothing else that others wrote.
func TestLinks(t *testing.T) {
	const app, machine = "\x1b]8;;https://fly.io/apps/counter\x1b\\", "\x1b]8;;https://fly.io/apps/counter/machines/148e00026c1eef\x1b\\"
	b := newBench(t, size{120, 40}, Options{WebURL: "https://fly.io"})
	b.sees(6)
	if content := b.View().Content; !strings.Contains(content, app) || !strings.Contains(content, machine) || strings.Count(content, "\x1b]8;;\x1b\\") != 2 {
		t.Errorf("%q", content)
	}
	b = newBench(t, size{120, 40}, Options{})
	b.sees(6)
	if strings.Contains(b.View().Content, "\x1b]8") {
		t.Error("links without a dashboard")
	}
	b.records()
	b.keys("down", "down")
	if content := b.View().Content; !strings.Contains(content, "\x1b]8;;https://ci.example.com/builds/1234\x1b\\") {
		t.Errorf("no link to the CI job: %q", content)
	}
	if content := b.View().Content; !strings.Contains(content, "\x1b]8;;"+tuitest.RecordAddress+"\x1b\\") {
		t.Errorf("no link to the record in the bucket: %q", content)
	}
	o := tuitest.OverviewOf(1)
	o.Machines[0].ID = "a\x1b\\b/../c"
	b = newBench(t, size{120, 40}, Options{WebURL: "https://fly.io"})
	b.send(overviewMsg{overview: o})
	if content := b.View().Content; !strings.Contains(content, "/machines/a%1B%5Cb%2F..%2Fc\x1b\\") {
		t.Errorf("%q", content)
	}
}

func TestHelpOfThisScreenAndSearched(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys("?")
	b.shows("Fleet", "Everywhere", "sort by checks", "tab: keys of all screens")
	b.hides("Replay", "deploy as planned")
	b.keys("tab")
	b.shows("Replay", "deploy as planned", "tab: their names in console.toml")
	b.types("speed")
	b.hides("Fleet")
	b.keys("esc")
	b.types("faster")
	b.shows("Replay", "+")
	b.keys("esc")
	b.types("nothing of that name")
	b.shows("No key matches nothing of that name.")
	b.keys("esc", "esc")
	if b.help != nil {
		t.Error("the help is open")
	}
	before, _, _ := tuitest.Upgraded(6)
	b.deploys(before, nil)
	b.pass(time.Second)
	b.keys("?")
	b.shows("Plan", "deploy as planned")
	b.hides("mark a range")
}

func TestTheMouseOnTheRecord(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.records()
	b.clicks("0.2.0-rc.1")
	if p, _ := b.past.current(); p.Version != "0.2.0-rc.1" || b.watched != nil {
		t.Fatalf("the cursor is on %s", p.Version)
	}
	b.clicks("WHEN")
	b.clicks("0.2.0-rc.1") // of the row that has the cursor: the first on the screen
	if b.watched == nil || b.watched.guest.id != "01K93QAB5Z7M4W2T8XCVDFGH1H" {
		t.Error("the deploy under the pointer is not replayed")
	}
}

func TestTheMouseInThePalette(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys(":")
	b.types("lock")
	b.clicks("lock, watch live")
	b.shows("The deploy lock")
	b.keys("c", ":")
	b.types("theme")
	b.clicks("theme light")
	if b.picker == nil || b.picker.at != 1 {
		t.Fatal("the first click does not move the cursor")
	}
	b.send(tea.MouseClickMsg{X: 1, Y: 20, Button: tea.MouseLeft}, tea.MouseClickMsg{X: 60, Y: 1, Button: tea.MouseLeft})
	if b.picker == nil {
		t.Fatal("a click beside the palette closes it")
	}
	b.clicks("theme light")
	if b.picker != nil {
		t.Error("the palette is open")
	}
}

// Not even the palette lets a click confirm a plan.
func TestAClickInThePaletteConfirmsNothing(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("G", ":")
	b.types("deploy as planned")
	b.clicks("deploy as planned  ")
	b.clicks("deploy as planned  ")
	if b.picker == nil || len(p.Given()) > 0 {
		t.Errorf("it answered %+v", p.Given())
	}
	b.keys("enter")
	if len(p.Given()) != 1 {
		t.Errorf("it answered %+v", p.Given())
	}
}

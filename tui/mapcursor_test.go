package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// mapped is a deploy to a thousand machines on the map, of which one was rolled back.
func mapped(t *testing.T, s size) *bench {
	before, after, _ := tuitest.RolledBack(1000)
	b := newBench(t, s, Options{Logs: &tuitest.Logs{}})
	b.deploys(before, nil)
	b.hears(after[:len(after)/2+1], nil)
	b.keys("F")
	return b
}

// under is the id of the machine that has the map's cursor.
func (b *bench) under() string { return b.deploy.underCursor() }

// The arrows move over the map, up and down keep their column, and a line tells of the machine under the cursor.
func TestTheArrowsMoveOverTheMap(t *testing.T) {
	for _, s := range sizes {
		t.Run(s.String(), func(t *testing.T) {
			b := mapped(t, s)
			m := b.deploy.fleetMap(b.console)
			at := func(row, column int) string { return m.rows[row].machines[column].m.ID }
			row, column, there := m.find(b.deploy.board.current())
			if !there || b.deploy.board.current().s.Word != "rolled back" {
				t.Fatalf("it begins at %s, row %d, column %d", b.under(), row, column)
			}
			b.shows("▸ "+b.under(), "ams  ↺ rolled back · ")
			last := len(m.rows) - 1
			for _, step := range []struct{ key, to string }{
				{"g", at(0, 0)}, {"left", at(0, 0)}, {"up", at(0, 0)}, {"right", at(0, 1)}, {"right", at(0, 2)}, {"h", at(0, 1)}, {"down", at(1, 1)}, {"j", at(2, 1)},
				{"k", at(1, 1)}, {"left", at(1, 0)}, {"left", at(0, len(m.rows[0].machines)-1)}, {"right", at(1, 0)},
				{"G", at(last, len(m.rows[last].machines)-1)}, {"right", at(last, len(m.rows[last].machines)-1)}, {"down", at(last, len(m.rows[last].machines)-1)},
			} {
				b.keys(step.key)
				if b.under() != step.to {
					t.Fatalf("%s leads to %s, not to %s", step.key, b.under(), step.to)
				}
				b.shows("▸ " + step.to)
				b.fits()
			}
		})
	}
}

// A short row between two long ones does not change the column.
func TestTheMapKeepsItsColumn(t *testing.T) {
	b := mapped(t, size{80, 24})
	m := b.deploy.fleetMap(b.console)
	b.deploy.point(m.rows[0].machines[70])
	b.keys("down", "down") // the last row of ams has 44
	if _, column, _ := b.deploy.fleetMap(b.console).find(b.deploy.board.current()); column != 43 {
		t.Errorf("in the short row it is in column %d", column)
	}
	b.keys("down")
	if row, column, _ := b.deploy.fleetMap(b.console).find(b.deploy.board.current()); row != 3 || column != 70 {
		t.Errorf("below it, it is in row %d, column %d", row, column)
	}
}

// What happens moves the board's rows, not the cursor.
func TestTheMapsCursorStaysOnItsMachine(t *testing.T) {
	b := mapped(t, size{80, 24})
	b.keys("g")
	was := b.under()
	b.hears([]engine.Event{{Machine: was, Attempt: 1, Phase: engine.PhaseWatch, Status: engine.StatusRunning, At: b.now, StartedAt: b.now}}, nil)
	b.pass(graceForDone)
	if b.under() != was {
		t.Errorf("from %s to %s", was, b.under())
	}
}

func TestTheMapOpensWhatIsUnderTheCursor(t *testing.T) {
	b := mapped(t, size{80, 24})
	id := b.under()
	b.keys("enter")
	b.shows("machine "+id, "took itself back")
	b.keys("esc")
	b.shows("a cell for each machine", "▸ "+id)
	b.do("l")
	b.shows("logs of " + id)
	b.keys("esc")
	b.shows("a cell for each machine")
	b.keys("esc")
	b.hides("a cell for each machine")
	b.keys("enter", "esc")
	b.hides("a cell for each machine")
}

// The filter leaves cells out, and the cursor on one that is there.
func TestTheMapIsFiltered(t *testing.T) {
	b := mapped(t, size{80, 24})
	b.keys("/")
	b.types("region:fra ready")
	b.shows("/ region:fra ready█ · 99 shown", "enter keep")
	b.hides("ams  ", "iad  ")
	b.keys("enter")
	b.shows("fra  99 machines", "fra  ○ ", "/ filter")
	b.keys("esc")
	b.shows("a cell for each machine", "fra  200 machines")
	b.keys("/")
	b.types("!done")
	b.keys("enter", "g")
	b.shows("ams  1 machine", "rolled back")
	b.keys("esc", "/")
	b.types("nowhere")
	b.shows("No machine matches nowhere. esc clears the filter.", "0 shown")
	b.hides("▸ 148e")
	b.keys("enter", "up", "left", "enter")
	b.fits()
}

func TestTheMouseOnTheMap(t *testing.T) {
	b := mapped(t, size{120, 40})
	m := b.deploy.fleetMap(b.console)
	click := func(row, column int) {
		b.send(tea.MouseClickMsg{X: 1 + column, Y: mapTop + m.rows[row].line - b.deploy.page.Scroll, Button: tea.MouseLeft})
	}
	click(1, 5)
	if want := m.rows[1].machines[5].m.ID; b.under() != want || b.deploy.pane != paneMap {
		t.Fatalf("the cursor is on %s, not on %s", b.under(), want)
	}
	click(1, 5) // it has the cursor already
	b.shows("machine " + b.under())
	b.keys("esc")
	b.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	if row, column, _ := b.deploy.fleetMap(b.console).find(b.deploy.board.current()); row != 1+wheelRows || column != 5 {
		t.Errorf("the wheel leads to row %d, column %d", row, column)
	}
	was := b.under()
	for _, y := range []int{0, 1, mapTop, 37} { // title, rule, legend, below the map
		b.send(tea.MouseClickMsg{X: 110, Y: y, Button: tea.MouseLeft})
	}
	if b.under() != was || b.deploy.pane != paneMap {
		t.Errorf("a click on no machine leads to %s, pane %d", b.under(), b.deploy.pane)
	}
	b.clicks("▸ " + was)
	b.shows("machine " + was)
}

// In a replay the arrows move over the map, and time is left to the other keys.
func TestTheMapOfAReplay(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.replays(tuitest.Recorded(tuitest.Upgraded(200)))
	b.keys("space", "]", "]", "]", "]", "]", "]", "F", "g", "right")
	d := b.watched
	first, at := d.fleetMap(b.console).rows[0].machines[1], d.guest.replay.at
	if d.board.current() != first {
		t.Errorf("the cursor is on %s, not on %s", d.underCursor(), first.m.ID)
	}
	if b.keys("right"); !d.guest.replay.at.Equal(at) {
		t.Error("an arrow moves in time")
	}
	if b.keys("l"); d.guest.replay.at.Equal(at) {
		t.Error("l does not move in time")
	}
	if !strings.Contains(b.text(), "a cell for each machine") {
		t.Error(b.text())
	}
}

package tui

import (
	"strings"
	"testing"

	"flydeploy/tui/tuitest"
)

// The operator's columns stand in their order; on narrow screens they give way as the console's own do.
func TestChosenColumns(t *testing.T) {
	everySize(t, Options{Columns: Columns{"name", "machine", "region", "drift", "memory", "image", "state"}}, func(b *bench) {
		b.sees(6)
		b.send(inspectedMsg{overview: tuitest.InspectedOverview()})
		b.pass(noticeStays * 2)
		b.golden()
	})
}

func TestChosenColumnsThatNobodyKnowsOrThatEndEarly(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{Columns: Columns{"machine", "busy", "told"}})
	b.sees(6)
	b.shows("MACHINE         BUSY      TOLD", "148e00016c0000  ?  ")
	b.hides("STATE", "RUNS", "DRIFT")
	b = newBench(t, size{60, 24}, Options{Columns: Columns{"checks", "host", "group", "machine", "name", "region", "image"}})
	b.sees(6)
	b.shows("MACHINE", "NAME", "148e00016c0000  wispy-frost-12")
	b.hides("IMAGE", "HOST") // of seven columns the eleventh to go may go
	b.keys("I")
	b.shows("IMAGE↑") // what it is sorted by stays
}

func TestColumnsThatCannotBe(t *testing.T) {
	for why, columns := range map[string]Columns{
		"":                             nil,
		"there is no column mahcine; ": {"mahcine"},
		"the column runs is there twi": {"machine", "runs", "runs"},
		"the column machine is missin": {"name", "state"},
	} {
		if got := columns.Check(); why == "" && got != "" || !strings.Contains(got, why) {
			t.Errorf("%v: %q", columns, got)
		}
	}
	if why := Columns(columnNames).Check(); why != "" {
		t.Error(why)
	}
	b := newBench(t, size{200, 60}, Options{Columns: columnNames})
	b.sees(6)
	if len(b.fleet.columns) != len(columnNames)+1 {
		t.Errorf("%d columns", len(b.fleet.columns))
	}
}

// A name has the room that the last column does not need: its end tells machines apart.
func TestNamesAreNotCutBesideAnEmptyColumn(t *testing.T) {
	o := tuitest.OverviewOf(2)
	o.Machines[0].Name = "fragrant-glade-1004"
	b := newBench(t, size{120, 40}, Options{})
	b.send(overviewMsg{overview: o})
	b.shows("fragrant-glade-1004  app    ✓ 2/2")
	b.hides("…")
}

package tui

import (
	"strings"
	"testing"

	"flydeploy/tui/tuitest"
)

// In the middle of a deploy to a thousand machines some are through, some at work, one has failed, and the rest wait.
func TestMapScreenOfAThousandMachines(t *testing.T) {
	before, after, _ := tuitest.RolledBack(1000)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.hears(after[:len(after)/2+1], nil)
		b.keys("F")
		b.golden()
	})
}

func TestTheMapHasACellForEachMachine(t *testing.T) {
	before, after, end := tuitest.RolledBack(1000)
	for _, s := range sizes {
		b := newBench(t, s, Options{})
		b.deploys(before, nil)
		b.hears(after, &end)
		lines := b.deploy.fleetMap(b.console).lines
		cellsOf := map[string]int{}
		headings := 0
		for _, l := range lines[1:] { // below the legend
			text := ""
			for _, span := range l {
				text += span.Text
			}
			if strings.Contains(text, "machines") {
				headings++
				continue
			}
			for _, r := range text {
				cellsOf[string(r)]++
			}
		}
		if cellsOf["✓"] != 999 || cellsOf["↺"] != 1 || len(cellsOf) != 2 || headings != 5 {
			t.Errorf("at %s there are %d regions with the cells %v", s, headings, cellsOf)
		}
	}
}

// It opens and closes, and scrolls with its cursor.
func TestTheMapIsAPaneOfItsOwn(t *testing.T) {
	before, watching, _, _ := tuitest.Watched(300)
	b := newBench(t, size{60, 16}, Options{})
	b.keys("F") // there is nothing yet
	b.deploys(before, nil)
	b.hears(watching, nil)
	b.keys("F")
	b.shows("a cell for each machine", "ams", "◐")
	b.hides("syd")
	b.keys("G")
	b.shows("syd")
	b.keys("g")
	b.shows("ams")
	b.keys("esc")
	b.hides("a cell for each machine")
	b.keys("F", "F")
	b.hides("a cell for each machine")
}

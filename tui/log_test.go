package tui

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
	"flydeploy/tui/view"
)

// logging is a deploy with its log open.
func logging(t *testing.T) *bench {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{App: "counter", Dir: t.TempDir()})
	b.deploys(append(before, after[:30]...), nil)
	b.keys("L")
	return b
}

func TestLogFollowsUntilItIsScrolled(t *testing.T) {
	b := logging(t)
	b.shows("following", "Suspension done")
	b.keys("up")
	b.shows("paused")
	before := b.text()
	b.hears([]engine.Event{{Phase: engine.PhaseCommit, Log: "one more line"}}, nil)
	if lines := func(text string) string {
		_, after, _ := strings.Cut(text, "\n")
		_, after, _ = strings.Cut(after, "\n")
		return after
	}; lines(before) != lines(b.text()) {
		t.Fatalf("a paused log moves:\n%s\n%s", before, b.text())
	}
	b.keys("f")
	b.shows("following", "one more line")
	b.keys("f")
	b.shows("paused")
	b.keys("G")
	b.shows("following")
	b.keys("esc")
	b.hides("following")
}

func TestLogFilterAndSave(t *testing.T) {
	b := logging(t)
	b.keys("/")
	b.types("build")
	b.keys("enter")
	b.shows("Build done", "mix release", "/ build")
	b.hides("Suspension")
	b.send(b.do("s"))
	saved, err := os.ReadFile(filepath.Join(b.opts.Dir, tuitest.UpgradeID+".log"))
	if err != nil || !strings.Contains(string(saved), "RUN mix compile") || strings.Contains(string(saved), "Suspension") {
		t.Fatalf("saved %q: %v", saved, err)
	}
	b.shows("Saved to")
	b.keys("esc")
	b.shows("Suspension done")
	b.keys("/")
	b.types("!done")
	b.hides(" done")
	b.keys("esc", "/")
	b.types("no such line")
	b.shows("No line matches")
}

// Lines that are longer than the screen are scrolled sideways, with an ellipsis where they go on; time and machine stay.
func TestLongLogLines(t *testing.T) {
	for _, s := range sizes[:3] {
		t.Run(s.String(), func(t *testing.T) {
			b := newBench(t, s, Options{})
			before, after, _ := tuitest.Upgraded(6)
			b.deploys(append(before, after[:12]...), nil)
			b.hears([]engine.Event{
				{Phase: engine.PhaseBuild, At: tuitest.Start.Add(16 * time.Second), Log: "短い 東京カウンター " + strings.Repeat("カウンター ", 12) + "それで終わり"},
				{Phase: engine.PhaseBuild, At: tuitest.Start.Add(16 * time.Second), Log: "#12 [builder 9/9] RUN mix release --overwrite && " + strings.Repeat("cp a b && ", 12) + "true, and here it ends"},
			}, nil)
			b.keys("L")
			b.shows("…")
			b.keys("left", "right")
			b.shows("← 20 cells", "148e00016c0000 …")
			b.golden()
			for range 20 {
				b.keys("right")
			}
			b.shows("and here it ends")
			at := b.deploy.log.shift
			b.keys("right")
			if b.deploy.log.shift != at {
				t.Error("it goes on beyond the end of all lines")
			}
			for range 20 {
				b.keys("left")
			}
			b.hides("← ")
			b.shows("RUN mix release", "following")
		})
	}
}

func TestPaletteRunsTheScreensKeys(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.keys(":")
	b.types("mark all")
	b.shows("Commands", "mark all/none")
	b.keys("enter")
	b.shows("6 marked")
	b.keys(":")
	b.types("sort by name")
	b.keys("enter")
	b.shows("NAME↑")
	b.keys(":")
	b.types("theme light")
	b.keys("enter")
	b.keys(":")
	b.types("nothing of the kind")
	b.shows("no such command")
	b.keys("enter")
	b.shows("No command is called nothing of the kind")
	b.keys(":", "esc")
	if b.picker != nil {
		t.Fatal("esc does not close the palette")
	}
	b.keys(":")
	b.types("record")
	b.send(b.do("enter"))
	b.shows("record of deploys", "✓ succeeded")
}

// The palette runs keys: a name must not stand for what its key does elsewhere, and no entry may do nothing.
func TestPaletteOffersWhatItsKeysDoHere(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	offers := func(want ...string) {
		t.Helper()
		all := b.commands()
		names := make([]string, len(all))
		for i, cmd := range all {
			names[i] = cmd.words
		}
		want = append(want, "help", "theme dark", "theme light", "skin default", "skin high-contrast", "skin colour-blind", "skin mono")
		if !slices.Equal(names, want) {
			t.Fatalf("the palette offers %q, want %q", names, want)
		}
	}
	b.sees(6)
	b.keys("enter")
	offers("copy", "back")
	b.keys("esc")

	deployed := b.deploys(before[:len(before)-1], nil)
	b.keys(":", "down", "down", "down", "down", "down")
	b.hears(before[len(before)-1:], nil)
	if b.picker != nil {
		t.Fatal("the palette is open with other entries than before the plan was ready")
	}
	offers("what changes", "event log", "copy", "back", "deploy as planned")
	b.keys("tab", ":")
	b.types("details")
	b.keys("enter")
	if len(deployed.Given()) != 0 || !b.deploy.planning(b.now) {
		t.Fatal("the palette's details deploy")
	}
	b.keys("L")
	offers("follow, pause", "filter, ! inverts", "save", "copy", "back")
	b.keys("esc", "D")
	b.hears(after[:1], nil)
	offers("details", "plan", "what changes", "the fleet as a map", "timeline of machines", "event log", "copy", "back", "quit", "sort by status", "sort by machine", "sort by region",
		"sort by time suspended", "sort by processes")
	b.keys("enter")
	offers("details", "plan", "what changes", "the fleet as a map", "timeline of machines", "event log", "copy", "back", "quit")
}

func TestRule4EveryBindingIsReachedByItsKeyAndByThePalette(t *testing.T) {
	k := newKeyMap(false, true)
	for _, g := range k.groups() {
		for _, binding := range g.keys {
			if strings.Contains(binding.Help().Key, " ") && len(binding.Keys()) > 2 {
				continue // arrows and hjkl, which the palette has no entries for
			}
			if press := pressOf(binding.Binding); press.String() != binding.Keys()[0] && press.String() != "home" {
				t.Errorf("%s: the palette presses %q", binding.Help().Desc, press.String())
			}
		}
	}
}

func TestRule4ShiftLettersSort(t *testing.T) {
	b := newBench(t, size{200, 60}, Options{})
	b.sees(6)
	for _, s := range fleetSorts {
		b.keys(s.key)
		b.fits()
	}
	b.keys("R", "N")
	if b.fleet.rows[0].m.Name != "cold-glade-9" {
		t.Fatalf("by name the first is %s", b.fleet.rows[0].m.Name)
	}
	b.shows("NAME↑", "RGN")
	b.keys("N")
	if b.fleet.rows[len(b.fleet.rows)-1].m.Name != "cold-glade-9" {
		t.Fatal("the same letter again turns the order round")
	}
	b.keys("C")
	if b.fleet.rows[0].m.ChecksPassed == b.fleet.rows[0].m.ChecksTotal {
		t.Fatal("failing checks come first")
	}
	b.keys("R")
	if b.fleet.rows[0].region == "" {
		t.Fatal("by region there are headings")
	}

	before, after, end := tuitest.RolledBack(6)
	b.deploys(before, nil)
	b.hears(after, &end)
	b.keys("T")
	if first := b.deploy.board.rows[0].m; first.Report.SuspendedUS != b.deploy.board.worst {
		t.Fatal("by time suspended the longest comes first")
	}
	b.shows("SUSPENDED↑")
	b.keys("M", "M")
	if first := b.deploy.board.rows[0].m.ID; !strings.HasPrefix(first, "148e0006") {
		t.Fatalf("by machine downwards the first is %s", first)
	}
	b.keys("S")
	if b.deploy.board.rows[0].s.Rank != view.RankFailed {
		t.Fatal("by status failures come first")
	}
}

package view

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

func TestTheScaleHasItsAxis(t *testing.T) {
	from := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for length, want := range map[time.Duration]string{
		45 * time.Second:      "╵0                    ╵20 s                 ╵40 s",
		12 * time.Millisecond: "╵0                  ╵5 ms                ╵10 ms",
		3 * time.Minute:       "╵0           ╵50 s",
	} {
		axis := strings.TrimRight(cells.String([]cells.Line{scale{from: from, to: from.Add(length), w: 50}.axis()}), "\n")
		if !strings.HasPrefix(axis, want) {
			t.Errorf("%s: %q, want %q", length, axis, want)
		}
	}
}

// What the operator took to confirm the plan takes no room, and the bars go on behind it.
func TestTheWaitForThePlanIsCutOut(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 23, 12, 0, s, 0, time.UTC) }
	done := func(from, to int) engine.PhaseState {
		return engine.PhaseState{Status: engine.StatusDone, StartedAt: at(from), DurationUS: int64(to-from) * 1e6}
	}
	p := engine.NewProgress()
	p.Fleet[engine.PhasePlan] = done(10, 50)
	m := &engine.MachineProgress{ID: "m", Phases: map[engine.Phase]engine.PhaseState{
		engine.PhaseInject: done(0, 9), engine.PhaseSuspension: done(55, 55), engine.PhaseWatch: {Status: engine.StatusRunning, StartedAt: at(56)},
	}}
	s := wayScale(p, []*engine.MachineProgress{m}, at(60), 20)
	if s.length() != 20*time.Second || s.cutFor != 40*time.Second {
		t.Fatalf("%+v is %s long", s, s.length())
	}
	if got := strings.TrimRight(cells.String([]cells.Line{s.bar(m, wayStretches, at(60))}), "\n"); got != "░░░░░░░░░░╎····█────" {
		t.Errorf("%q", got)
	}
	if text := cells.String(Timeline(p, []*engine.MachineProgress{m}, at(60), 100)); !strings.Contains(text, "╎ the plan waited 40s") {
		t.Error(text)
	}
}

func TestNothingToDrawIsNoCrash(t *testing.T) {
	p := engine.NewProgress()
	m := &engine.MachineProgress{ID: "a machine whose name is longer than the screen is wide", Phases: map[engine.Phase]engine.PhaseState{}}
	for _, w := range []int{1, 10, 58, 118, 198} {
		for _, machines := range [][]*engine.MachineProgress{nil, {m}} {
			if text := cells.String(Timeline(p, machines, time.Time{}, w)); !strings.Contains(text, "No process") {
				t.Errorf("%d cells: %s", w, text)
			}
		}
	}
}

func TestTheCommitIsAmongTheLevels(t *testing.T) {
	for _, test := range []struct {
		busy  []int
		since int
		want  string
	}{
		{nil, 0, ""}, {[]int{0, 50, 100}, 0, "▁▅█"}, {[]int{0, 50, 100}, 1, "▁▅│█"}, {[]int{0, 50, 100}, 3, "▁▅█"}, {[]int{0, 50, 100, 0, 0}, 2, "▅█│▁▁"},
		{[]int{-1, 130}, 9, "▁█"},
	} {
		if got := Levels(test.busy, test.since, 4); got != test.want {
			t.Errorf("%v since %d: %q, want %q", test.busy, test.since, got, test.want)
		}
	}
}

// What no migration needs is loaded after the migrations, and counts to the same phase.
func TestCodeIsLoadedAroundTheMigrations(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 11, 23, 12, 0, 0, ms*1e6, time.UTC) }
	done := func(from, ms int) engine.PhaseState {
		return engine.PhaseState{Status: engine.StatusDone, StartedAt: at(from), DurationUS: int64(ms) * 1000}
	}
	m := &engine.MachineProgress{ID: "m", Phases: map[engine.Phase]engine.PhaseState{
		engine.PhaseSuspension: done(0, 5), engine.PhaseCodeLoad: done(5, 34), engine.PhaseMigration: done(9, 18), engine.PhaseResume: done(57, 15),
	}}
	s := scale{from: at(0), to: at(72), w: 36}
	if got := strings.TrimRight(cells.String([]cells.Line{s.bar(m, windowStretches, at(100))}), "\n"); got != "░░▒▒██████████▒▒▒▒▒▒▒▒▒▒▒▒▒▒────────" {
		t.Errorf("%q", got)
	}
}

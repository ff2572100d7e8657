package view

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// stretch is a phase, or several, of a machine on a line of time.
type stretch struct {
	phases []engine.Phase
	glyph  string
	tone   cells.Tone
	word   string
	rank   int // the stretch of a higher one wins a cell
}

// The stretches of a machine's way, in their order; and of its window, in which its processes are suspended.
var (
	wayStretches = []stretch{
		{[]engine.Phase{engine.PhaseInject, engine.PhaseReload, engine.PhaseExtract, engine.PhaseDetection}, "░", cells.Normal, "staged", 2},
		{[]engine.Phase{engine.PhaseArm}, "▒", cells.Normal, "armed", 4},
		{[]engine.Phase{engine.PhaseSuspension, engine.PhaseCodeLoad, engine.PhaseMigration, engine.PhaseRollback, engine.PhaseResume}, "█", cells.Warn, "suspended", 5},
		{[]engine.Phase{engine.PhaseCheck, engine.PhaseLiveView}, "▫", cells.Normal, "checked", 3},
		{[]engine.Phase{engine.PhaseWatch}, "─", cells.Active, "watched", 1},
	}
	windowStretches = []stretch{
		{[]engine.Phase{engine.PhaseSuspension}, "░", cells.Normal, "suspending", 1},
		{[]engine.Phase{engine.PhaseCodeLoad}, "▒", cells.Active, "loading code", 2},
		{[]engine.Phase{engine.PhaseMigration}, "█", cells.OK, "migrating", 3},
		{[]engine.Phase{engine.PhaseRollback}, "▓", cells.Fail, "rolling back", 4},
		{[]engine.Phase{engine.PhaseResume}, "─", cells.Normal, "resuming", 5},
	}
)

// span is when a phase ran; false if it did not, or nobody knows when.
func spanOf(s engine.PhaseState, now time.Time) (from, to time.Time, ran bool) {
	took := time.Duration(s.DurationUS) * time.Microsecond
	switch {
	case s.Status == engine.StatusRunning && !s.StartedAt.IsZero():
		return s.StartedAt, now, true
	case !s.Status.Final() || s.Status == engine.StatusSkipped:
		return from, to, false
	case !s.StartedAt.IsZero():
		return s.StartedAt, s.StartedAt.Add(took), true
	case took > 0 && !s.At.IsZero():
		return s.At.Add(-took), s.At, true
	}
	return from, to, false
}

// stretched is a time in which a phase ran.
type stretched struct{ from, to time.Time }

// spansOf are the times in which a phase of a machine ran. Code is loaded around the migrations: what no migration needs comes after
// them, and counts to the same phase.
func spansOf(m *engine.MachineProgress, p engine.Phase, now time.Time) []stretched {
	from, to, ran := spanOf(m.Phases[p], now)
	if !ran {
		return nil
	}
	if p == engine.PhaseCodeLoad {
		if begun, over, migrated := spanOf(m.Phases[engine.PhaseMigration], now); migrated && begun.After(from) && to.After(begun) {
			return []stretched{{from, begun}, {over, over.Add(to.Sub(begun))}}
		}
	}
	return []stretched{{from, to}}
}

// scale is a line of time that w cells show. What the operator took to confirm the plan is cut out of it.
type scale struct {
	from, to time.Time
	cut      time.Time // where something is cut out; zero for nothing
	cutFor   time.Duration
	w        int
}

func (s scale) length() time.Duration { return max(s.to.Sub(s.from)-s.cutFor, time.Microsecond) }

// at is how far along the line a time is.
func (s scale) at(t time.Time) time.Duration {
	d := t.Sub(s.from)
	if s.cutFor > 0 && t.After(s.cut) {
		d -= min(s.cutFor, t.Sub(s.cut))
	}
	return d
}

func (s scale) cell(d time.Duration) int {
	return min(max(int(int64(d)*int64(s.w)/int64(s.length())), 0), s.w-1)
}

// axis is the line's scale: a tick with its time wherever there is room.
func (s scale) axis() cells.Line {
	step := time.Duration(roundUp(int64(max(s.length()*12/time.Duration(max(s.w, 1)), time.Microsecond)))) // at least 12 cells apart
	row := []rune(strings.Repeat(" ", s.w))
	for d := time.Duration(0); d < s.length(); d += step {
		at := s.cell(d)
		label := []rune("╵" + tick(d))
		if at+len(label) < s.w {
			copy(row[at:], label)
		}
	}
	return cells.Line{{Text: string(row), Tone: cells.Muted}}
}

// tick words a time on an axis.
func tick(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(d.Microseconds())/1000), ".0") + " ms"
	case d < time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	}
	return text.Seconds(d)
}

// bar draws the stretches of a machine.
func (s scale) bar(m *engine.MachineProgress, all []stretch, now time.Time) cells.Line {
	var failed []int
	at := make([]int, s.w) // which stretch is in a cell, from 1; 0 none, and negative where it failed
	for i, st := range all {
		for _, p := range st.phases {
			for _, ran := range spansOf(m, p, now) {
				if ran.to.Before(s.from) {
					continue
				}
				last := s.cell(s.at(ran.to))
				for c := s.cell(s.at(ran.from)); c <= last; c++ {
					if at[c] == 0 || all[at[c]-1].rank <= st.rank {
						at[c] = i + 1
					}
				}
				if m.Phases[p].Status == engine.StatusFailed {
					failed = append(failed, last)
				}
			}
		}
	}
	for _, c := range failed {
		at[c] = -1
	}
	cut := -1
	if s.cutFor > 0 {
		cut = s.cell(s.at(s.cut))
	}
	var l cells.Line
	for c, i := range at {
		span := cells.Span{Text: "·", Tone: cells.Border}
		switch {
		case i < 0:
			span = cells.Span{Text: "✗", Tone: cells.Fail}
		case c == cut: // also where staging has ended a moment before
			span = cells.Span{Text: "╎", Tone: cells.Normal}
		case i > 0:
			span = cells.Span{Text: all[i-1].glyph, Tone: all[i-1].tone}
		}
		l = append(l, span)
	}
	return l
}

func legend(all []stretch, more string) cells.Line {
	var l cells.Line
	for _, st := range all {
		l = append(l, cells.Span{Text: st.glyph, Tone: st.tone}, cells.Span{Text: " " + st.word + "  ", Tone: cells.Muted})
	}
	return append(l, cells.New(cells.Muted, more))
}

// Timeline draws the way of each machine on one line of time, and its window on a line of its own, for w cells: beside each other where
// there is room, else one below the other.
func Timeline(p *engine.Progress, machines []*engine.MachineProgress, now time.Time, w int) []cells.Line {
	id := 0
	for _, m := range machines {
		id = max(id, cells.Width(text.Line(m.ID)))
	}
	wide := w >= 110
	room := w
	if wide {
		room = (w - 3) * 3 / 5
	}
	way := wayScale(p, machines, now, room-id-1)
	lines := []cells.Line{fit(cells.Line{{Text: "the deploy", Tone: cells.Strong}}, id+1, way.axis())}
	for _, m := range machines {
		lines = append(lines, fit(cells.Line{cells.New(cells.Normal, m.ID)}, id+1, way.bar(m, wayStretches, now)))
	}
	more := ""
	if way.cutFor > 0 {
		more = "╎ the plan waited " + text.Seconds(way.cutFor)
	}
	lines = append(append(lines, nil), cells.Flow(words(legend(wayStretches, more)), room)...)
	rest := w - room - 3
	if !wide {
		rest = w - id - 1
	}
	windows := windowLines(machines, now, id, rest, wide)
	if wide {
		rows := max(len(lines), len(windows))
		return cells.Beside(cells.Fill(lines, room, rows), cells.Fill(windows, w-room-3, rows))
	}
	return append(append(lines, nil), windows...)
}

// fit puts a line after a title of w cells.
func fit(title cells.Line, w int, l cells.Line) cells.Line { return append(title.Fit(w), l...) }

// words gives the glyphs and words of a legend as parts that stay together.
func words(l cells.Line) []cells.Line {
	var parts []cells.Line
	for i := 0; i+1 < len(l); i += 2 {
		parts = append(parts, cells.Line{l[i], {Text: strings.TrimRight(l[i+1].Text, " "), Tone: l[i+1].Tone}})
	}
	if len(l)%2 == 1 && l[len(l)-1].Text != "" {
		parts = append(parts, l[len(l)-1:])
	}
	return parts
}

// wayScale is the line of time from the first phase of a machine to the last.
func wayScale(p *engine.Progress, machines []*engine.MachineProgress, now time.Time, w int) scale {
	s := scale{w: max(w, 10)}
	for _, m := range machines {
		for _, phase := range m.Phases {
			from, to, ran := spanOf(phase, now)
			if !ran {
				continue
			}
			if s.from.IsZero() || from.Before(s.from) {
				s.from = from
			}
			if to.After(s.to) {
				s.to = to
			}
		}
	}
	const short = time.Second // a wait that needs no cut
	if from, to, ran := spanOf(p.Fleet[engine.PhasePlan], now); ran && to.Sub(from) > short && from.After(s.from) && !to.After(s.to) {
		s.cut, s.cutFor = from, to.Sub(from)
	}
	return s
}

// windowLines draws how long each machine's processes were suspended, and what for, each from its own begin on.
func windowLines(machines []*engine.MachineProgress, now time.Time, id, w int, wide bool) []cells.Line {
	s := scale{w: max(w, 10)}
	begins := make([]time.Time, len(machines))
	var longest time.Duration
	for i, m := range machines {
		var end time.Time
		for _, st := range windowStretches {
			from, to, ran := spanOf(m.Phases[st.phases[0]], now)
			if !ran {
				continue
			}
			if begins[i].IsZero() || from.Before(begins[i]) {
				begins[i] = from
			}
			if to.After(end) {
				end = to
			}
		}
		longest = max(longest, end.Sub(begins[i]))
	}
	if longest == 0 {
		return []cells.Line{{{Text: "No process has been suspended yet.", Tone: cells.Muted}}}
	}
	title := func(l cells.Line) cells.Line {
		if wide { // the machines stand at the left
			return nil
		}
		return l.Fit(id + 1)
	}
	s.to = s.from.Add(longest)
	lines := []cells.Line{append(title(cells.Line{{Text: "suspended", Tone: cells.Strong}}), s.axis()...)}
	for i, m := range machines {
		s.from, s.to = begins[i], begins[i].Add(longest)
		lines = append(lines, append(title(cells.Line{cells.New(cells.Normal, m.ID)}), s.bar(m, windowStretches, now)...))
	}
	return append(append(lines, nil), cells.Flow(words(legend(windowStretches, "")), w)...)
}

package tui

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

const barWidth = 30

// bar shows how many machines have the upgrade, beneath them how many are staged, and the totals beside it. It never goes back.
func (d *deployScreen) bar(w int) cells.Line {
	size := min(barWidth, w/6)
	all := max(d.board.taking(), 1)
	full := size * d.through() / all
	lost := (size*d.board.counts[view.RankFailed] + all - 1) / all
	staged := max(min(size*d.staged()/all, size-lost)-full, 0)
	l := cells.Line{
		cells.Blank(1), {Text: strings.Repeat("█", full), Tone: cells.OK}, {Text: strings.Repeat("▓", staged), Tone: cells.Active},
		{Text: strings.Repeat("▒", lost), Tone: cells.Fail}, {Text: strings.Repeat("░", max(size-full-staged-lost, 0)), Tone: cells.Border}, cells.Blank(2),
	}
	return append(l, d.totals(w-l.Width())...).Fit(w)
}

// staged counts the machines that have been staged, whatever has come after that.
func (d *deployScreen) staged() int {
	n := d.through() + d.board.counts[view.RankReady]
	if d.committing() {
		n += d.board.counts[view.RankActive] - d.board.watching
	}
	return n
}

// totals counts machines by where they stand, then what the agents reported, as far as that has room in w cells: what does not is left out
// as a whole.
func (d *deployScreen) totals(w int) cells.Line {
	b := d.board
	var l cells.Line
	for r := range view.Ranks {
		if n := b.counts[r]; n > 0 {
			if len(l) > 0 {
				l = append(l, cells.Span{Text: " · ", Tone: cells.Muted})
			}
			l = append(l, cells.New(view.Standing{Rank: r}.Tone(), text.Count(n)+" "+b.wordOf(r)))
		}
	}
	l = append(l, cells.New(cells.Muted, " of "+text.Counted(b.taking(), "machine")))
	var migrated, worst string
	if b.migrated > 0 {
		migrated = " · " + text.Count(b.migrated) + " migrated"
	}
	if b.worst > 0 {
		worst = " · suspended max " + view.Micros(b.worst)
	}
	if left := w - l.Width(); cells.Width(migrated+worst) > left {
		migrated = ""
		if cells.Width(worst) > left {
			worst = ""
		}
	}
	return append(l, cells.New(cells.Muted, migrated+worst))
}

// machines renders the board, and where there is room the details beside it.
func (d *deployScreen) machines(c *console, w, h int) []cells.Line {
	if w < wideWidth {
		return d.table(c, w, h)
	}
	side := sideWidth(w)
	return cells.Beside(d.table(c, w-side-3, h), cells.Cropped(d.details(c, side), side, h, ": "+firstShown(c.keys.details)))
}

// boardPhases have a column each where the screen is wide enough.
var boardPhases = []engine.Phase{
	engine.PhaseReload, engine.PhaseExtract, engine.PhaseDetection, engine.PhaseSuspension, engine.PhaseCodeLoad,
	engine.PhaseMigration, engine.PhaseResume,
}

const everyPhase = 132 // cells of the board from which every phase has a column of its own

// columns of the board for w cells, in the order of boardRow.cells.
func (b *board) columns(w int) []cells.Column {
	arrow := func(title, key string) string { return title + b.sorting.arrow(key) }
	cols := []cells.Column{
		{Title: arrow("STATUS", byStatus), Width: max(13, 2+b.wordWidth)}, {Title: arrow("MACHINE", "M"), Width: b.idWidth},
		{Title: arrow("RGN", "R"), Width: 3, Drop: 1},
	}
	if b.showsVitals() {
		cols[2].Drop = 6
		cols = append(cols, view.VitalsColumns(w >= everyPhase)...)
		return append(cols, cells.Column{Title: arrow("SUSPENDED", "T"), Width: 10 + view.BarCells, Drop: 4}, cells.Column{Title: arrow("MIGRATED", "P"), Right: true, Drop: 5})
	}
	if w >= everyPhase {
		for _, p := range boardPhases {
			cols = append(cols, cells.Column{Title: strings.ToUpper(p.Title()), Width: 8, Right: true})
		}
	} else {
		cols = append(cols, cells.Column{Title: "PHASE", Width: 15, Drop: 2})
	}
	return append(cols, cells.Column{Title: arrow("SUSPENDED", "T"), Width: 10 + view.BarCells}, cells.Column{Title: arrow("MIGRATED", "P"), Right: true})
}

// showsVitals reports whether the machines' vitals stand where their phases did: while they are watched.
func (b *board) showsVitals() bool { return b.watched && !b.ended }

func (r *boardRow) cells(c *console, w int, b *board) []cells.Span {
	s, report := r.s, r.m.Report
	row := []cells.Span{cells.New(s.Tone(), s.Glyph(c.spin())+" "+s.Word), cells.New(cells.Normal, r.m.ID), cells.New(cells.Muted, r.m.Facts.Region)}
	if b.showsVitals() {
		row = append(row, view.VitalsCells(r.m, w >= everyPhase)...)
	} else if w >= everyPhase {
		for _, p := range boardPhases {
			row = append(row, phaseCell(c, r.m.Phases[p]))
		}
	} else {
		row = append(row, cells.OrNone(cells.Normal, text.Line(s.PhaseText(c.now))))
	}
	migrated := ""
	if report.Migrated > 0 {
		migrated = text.Count(report.Migrated)
	}
	return append(row, view.SuspendedCell(report.SuspendedUS, b.worst), cells.OrNone(cells.Normal, migrated))
}

// phaseCell is one phase in a column of its own: its time, and a glyph when it did not simply end well.
func phaseCell(c *console, s engine.PhaseState) cells.Span {
	took := view.PhaseTook(s, c.now)
	glyph, t := view.StatusLook(s.Status, c.spin())
	switch s.Status {
	case engine.StatusDone:
		if took == "" {
			return cells.Span{Text: glyph, Tone: t}
		}
		return cells.Span{Text: took}
	case engine.StatusRunning, engine.StatusFailed, engine.StatusUnknown:
		return cells.Span{Text: strings.TrimSpace(glyph + " " + took), Tone: t}
	}
	return cells.Span{Text: "–", Tone: cells.Muted}
}

func (d *deployScreen) table(c *console, w, h int) []cells.Line {
	cols := cells.FitColumns(d.board.columns(w), w-2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to := d.board.list.Window(len(d.board.rows), h-1)
	for i := from; i < to; i++ {
		row := d.board.rows[i].cells(c, w, d.board)
		lines = append(lines, cells.ListRow(cells.Row(cols, row), i == d.board.list.At, w))
	}
	return cells.Fill(lines, w, h)
}

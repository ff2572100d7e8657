package tui

import (
	"strings"
	"time"

	"flydeploy/engine"
)

const barWidth = 30

// bar shows how many machines are through, and the totals beside it.
func (d *deploy) bar(w int) line {
	through := d.board.counts[rankDone]
	if !d.committing() {
		through += d.board.counts[rankReady]
	}
	size := min(barWidth, w/6)
	all := max(d.board.taking(), 1)
	full := size * through / all
	lost := (size*d.board.counts[rankFailed] + all - 1) / all
	l := line{
		blank(1), {text: strings.Repeat("█", full), tone: toneOK}, {text: strings.Repeat("▒", lost), tone: toneFail},
		{text: strings.Repeat("░", max(size-full-lost, 0)), tone: toneRule}, blank(2),
	}
	return append(l, d.totals()...).fit(w)
}

// totals counts machines by where they stand, then what the agents reported.
func (d *deploy) totals() line {
	b := d.board
	var l line
	for r, word := range rankWords {
		if rank(r) == rankWaiting && b.ended {
			word = "not upgraded"
		}
		if n := b.counts[r]; n > 0 {
			if len(l) > 0 {
				l = append(l, span{text: " · ", tone: toneMuted})
			}
			l = append(l, sp(standing{rank: rank(r)}.tone(), count(n)+" "+word))
		}
	}
	l = append(l, sp(toneMuted, " of "+counted(b.taking(), "machine")))
	if b.migrated > 0 {
		l = append(l, sp(toneMuted, " · "+count(b.migrated)+" migrated"))
	}
	if b.worst > 0 {
		l = append(l, sp(toneMuted, " · suspended max "+micros(b.worst)))
	}
	return l
}

// machines renders the board, and where there is room the details beside it.
func (d *deploy) machines(c *console, w, h int) []line {
	if w < wideWidth {
		return d.table(c, w, h)
	}
	side := sideWidth(w)
	return beside(d.table(c, w-side-3, h), fill(d.details(c, side), side, h))
}

// boardPhases have a column each where the screen is wide enough.
var boardPhases = []engine.Phase{
	engine.PhaseReload, engine.PhaseExtract, engine.PhaseDetection, engine.PhaseSuspension, engine.PhaseCodeLoad,
	engine.PhaseMigration, engine.PhaseResume,
}

const everyPhase = 132 // cells of the board from which every phase has a column of its own

// columns of the board for w cells, in the order of boardRow.cells.
func (b *board) columns(w int) []column {
	arrow := func(title, key string) string { return title + b.sorting.arrow(key) }
	cols := []column{
		{title: arrow("STATUS", byStatus), width: 13}, {title: arrow("MACHINE", "M"), width: b.idWidth},
		{title: arrow("RGN", "R"), width: 3, drop: 1},
	}
	if w >= everyPhase {
		for _, p := range boardPhases {
			cols = append(cols, column{title: strings.ToUpper(p.Title()), width: 8, right: true})
		}
	} else {
		cols = append(cols, column{title: "PHASE", width: 15, drop: 2})
	}
	return append(cols, column{title: arrow("SUSPENDED", "T"), width: 10 + barCells}, column{title: arrow("MIGRATED", "P"), right: true})
}

func (r *boardRow) cells(c *console, w int, worst int64) []span {
	s, report := r.s, r.m.Report
	cells := []span{sp(s.tone(), s.glyph(c.spin())+" "+s.word), sp(toneText, r.m.ID), sp(toneMuted, r.m.Facts.Region)}
	if w >= everyPhase {
		for _, p := range boardPhases {
			cells = append(cells, phaseCell(c, r.m.Phases[p]))
		}
	} else {
		cells = append(cells, orNone(toneText, clean(s.phaseText(c.now))))
	}
	migrated := ""
	if report.Migrated > 0 {
		migrated = count(report.Migrated)
	}
	return append(cells, suspendedCell(report.SuspendedUS, worst), orNone(toneText, migrated))
}

// phaseText is the phase and, while it runs, its time.
func (s standing) phaseText(now time.Time) string {
	if s.at.Status != engine.StatusRunning {
		return s.phase.Title()
	}
	return strings.TrimSpace(s.phase.Title() + " " + phaseTook(s.at, now))
}

// phaseCell is one phase in a column of its own: its time, and a glyph when it did not simply end well.
func phaseCell(c *console, s engine.PhaseState) span {
	took := phaseTook(s, c.now)
	glyph, t := glyphOf(s.Status, c.spin())
	switch s.Status {
	case engine.StatusDone:
		if took == "" {
			return span{text: glyph, tone: t}
		}
		return span{text: took}
	case engine.StatusRunning, engine.StatusFailed, engine.StatusUnknown:
		return span{text: strings.TrimSpace(glyph + " " + took), tone: t}
	}
	return span{text: "–", tone: toneMuted}
}

// orNone is text, or a dash where there is none.
func orNone(t tone, text string) span {
	if text == "" {
		return span{text: "–", tone: toneMuted}
	}
	return span{text: text, tone: t}
}

func (d *deploy) table(c *console, w, h int) []line {
	cols := shown(d.board.columns(w), w-2)
	lines := []line{append(line{blank(2)}, headOf(cols)...)}
	from, to := d.board.list.window(len(d.board.rows), h-1)
	for i := from; i < to; i++ {
		cells := d.board.rows[i].cells(c, w, d.board.worst)
		lines = append(lines, listRow(rowOf(cols, cells), i == d.board.list.at, w))
	}
	return fill(lines, w, h)
}

// listRow puts the cursor before a row, and its band behind it.
func listRow(l line, current bool, w int) line {
	if !current {
		return append(line{blank(2)}, l...).fit(w)
	}
	return append(line{{text: "▸ ", tone: toneActive}}, l...).fit(w).onBand()
}

// phaseTook is the time that a phase took, or of a running one, so far; "" when it was not reported.
func phaseTook(s engine.PhaseState, now time.Time) string {
	switch {
	case s.DurationUS > 0:
		return micros(s.DurationUS)
	case s.Status == engine.StatusRunning && !s.StartedAt.IsZero():
		return clock(now.Sub(s.StartedAt))
	}
	return ""
}

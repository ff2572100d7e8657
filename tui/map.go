package tui

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// mapActive stands for a machine that is at work: a thousand spinners would flicker.
const mapActive = "◐"

// fleetMap is the fleet as a map: a cell for each machine that the filter lets through, in the deploy's order, below its region.
type fleetMap struct {
	lines []cells.Line
	rows  []mapRow
}

// mapRow is a row of cells.
type mapRow struct {
	line     int // of the map's
	machines []*boardRow
}

func (d *deployScreen) fleetMap(c *console) fleetMap {
	w, now := c.w-2, d.clock(c)
	m := fleetMap{lines: d.mapLegend(w)}
	regions := d.board.regions()
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		machines := slices.DeleteFunc(regions[name], func(r *boardRow) bool { return !view.LetsMachine(d.filter.words, r.m, r.s, now) })
		if len(machines) == 0 {
			continue
		}
		m.lines = append(m.lines, nil, d.board.mapHeading(name, machines).Fit(w))
		for row := range slices.Chunk(machines, max(w, 1)) {
			m.rows = append(m.rows, mapRow{len(m.lines), row})
			m.lines = append(m.lines, mapCells(row, d.board.current()))
		}
	}
	if len(m.rows) == 0 {
		m.lines = append(m.lines, nil, cells.Line{cells.New(cells.Muted, " No machine matches "+d.filter.words+". esc clears the filter.")})
	}
	return m
}

// regions gives the machines by region, each region's in the deploy's order.
func (b *board) regions() map[string][]*boardRow {
	all := map[string][]*boardRow{}
	for _, r := range b.rows {
		name := cmp.Or(text.Line(r.m.Facts.Region), "no region")
		all[name] = append(all[name], r)
	}
	for _, machines := range all {
		slices.SortFunc(machines, func(a, b *boardRow) int { return cmp.Compare(a.index, b.index) })
	}
	return all
}

// mapCells is one row of cells. Neighbours that look alike are one span.
func mapCells(machines []*boardRow, current *boardRow) cells.Line {
	var line cells.Line
	for _, r := range machines {
		glyph, tone := r.s.Glyph(mapActive), r.s.Tone()
		if r == current {
			tone = cells.Focus
		}
		if last := len(line) - 1; last >= 0 && line[last].Tone == tone {
			line[last].Text += glyph
		} else {
			line = append(line, cells.Span{Text: glyph, Tone: tone})
		}
	}
	return line
}

// mapHeading counts a region's machines, those apart that need attention.
func (b *board) mapHeading(region string, machines []*boardRow) cells.Line {
	var counts [view.Ranks]int
	for _, r := range machines {
		counts[r.s.Rank]++
	}
	line := cells.Line{cells.New(cells.Strong, region), cells.New(cells.Muted, "  "+text.Counted(len(machines), "machine"))}
	for _, rank := range []view.Rank{view.RankFailed, view.RankUnknown, view.RankDone} {
		if n := counts[rank]; n > 0 {
			line = append(line, cells.New(cells.Muted, " · "), cells.New(view.Standing{Rank: rank}.Tone(), text.Count(n)+" "+b.wordOf(rank)))
		}
	}
	return line
}

// mapLegend says what the cells mean, and how many there are of each.
func (d *deployScreen) mapLegend(w int) []cells.Line {
	var parts []cells.Line
	for rank := range view.Ranks {
		if n := d.board.counts[rank]; n > 0 {
			tone := view.Standing{Rank: rank}.Tone()
			parts = append(parts, cells.Line{cells.New(tone, d.board.glyphs(rank)+" "), cells.New(cells.Normal, text.Count(n)+" "+d.board.wordOf(rank)+"  ")})
		}
	}
	return cells.Flow(parts, w)
}

// glyphs gives those of a rank's machines: failures have several.
func (b *board) glyphs(rank view.Rank) string {
	var all []string
	for _, r := range b.rows {
		if glyph := r.s.Glyph(mapActive); r.s.Rank == rank && !slices.Contains(all, glyph) {
			all = append(all, glyph)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

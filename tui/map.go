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

// mapLines is the fleet as a map: a cell for each machine, in the deploy's order, below its region.
func (d *deployScreen) mapLines(w int) []cells.Line {
	lines := d.mapLegend(w)
	regions := d.board.regions()
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		machines := regions[name]
		lines = append(lines, nil, d.board.mapHeading(name, machines).Fit(w))
		for row := range slices.Chunk(machines, max(w, 1)) {
			lines = append(lines, mapRow(row))
		}
	}
	return lines
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

// mapRow is one row of cells. Neighbours that look alike are one span.
func mapRow(machines []*boardRow) cells.Line {
	var line cells.Line
	for _, r := range machines {
		glyph, tone := r.s.Glyph(mapActive), r.s.Tone()
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

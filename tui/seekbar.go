package tui

import (
	"cmp"
	"slices"
	"time"

	"flydeploy/tui/cells"
)

// labelHeight is from how many rows of the terminal on the names of phases stand below the seek bar.
const labelHeight = 24

// seekBar draws the record as a line: where the replay is, where phases begin, what failed, what is skipped; below it the phases' names,
// where they have room.
func (r *replay) seekBar(w, h int) []cells.Line {
	t, n := r.track, w-2
	if len(r.events) == 0 || n < 1 {
		return []cells.Line{nil}
	}
	row := make(cells.Line, n)
	now := t.cell(r.at, n)
	for i := range row {
		row[i] = cells.Span{Text: "─", Tone: cells.Border}
		if i < now {
			row[i].Tone = cells.Active
		}
	}
	for _, m := range t.phases {
		row[t.cell(m.at, n)].Text = "┼"
	}
	for _, s := range t.skips {
		row[t.cell(s.to, n)] = cells.Span{Text: "╎", Tone: cells.Muted}
	}
	for _, m := range t.failures {
		row[t.cell(m.at, n)] = cells.Span{Text: "✗", Tone: cells.Fail}
	}
	row[now] = cells.Span{Text: "●", Tone: cells.Active}
	lines := []cells.Line{append(cells.Line{cells.Blank(1)}, row...)}
	if h >= labelHeight {
		lines = append(lines, r.labels(n))
	}
	return lines
}

// clickBar goes to the time under the pointer, and reports whether the bar is there.
func (d *deployScreen) clickBar(c *console, x, y int) bool {
	if d.guest == nil || d.guest.replay == nil || d.pane != paneBoard || y != 1+len(d.steps(c.at(d.guest.clock(c.now)), c.w)) {
		return false
	}
	t, n := d.guest.replay.track, c.w-2
	d.guest.seek(d, t.at(t.length()*time.Duration(x-1)/time.Duration(n-1)))
	return true
}

// labels names phases below the cells in which they begin, the longest ones first; one without room is left out.
func (r *replay) labels(n int) cells.Line {
	t := r.track
	order := make([]int, len(t.phases))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.lasts(b), t.lasts(a)) })
	row := cells.Line(slices.Repeat(cells.Line{cells.Blank(1)}, n+1))
	for _, i := range order {
		m := t.phases[i]
		at, name := t.cell(m.at, n)+1, m.phase.Title() // the row begins a cell further left
		from, to := at-1, at+len(name)
		if to > n || slices.ContainsFunc(row[from:to+1], func(s cells.Span) bool { return s.Text != " " }) {
			continue
		}
		tone := cells.Muted
		if !m.at.After(r.at) {
			tone = cells.Normal
		}
		for j, letter := range name { // of one cell each
			row[at+j] = cells.New(tone, string(letter))
		}
	}
	return row
}

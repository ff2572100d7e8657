package tui

import (
	"slices"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// The map's cursor is the board's: what is opened from the map is what the board would open.

// mapTop is the row of the screen with the map's first line, below the title and the rule.
const mapTop = 2

// ofCursor is the column of the map in which up and down stay: the cursor's own.
const ofCursor = -1

// find gives the row and the column of a machine; false where the filter hides it.
func (m fleetMap) find(r *boardRow) (row, column int, there bool) {
	for row := range m.rows {
		if column := slices.Index(m.rows[row].machines, r); column >= 0 {
			return row, column, true
		}
	}
	return 0, 0, false
}

// pressMap handles the keys that mean the map, and reports whether this was one.
func (d *deployScreen) pressMap(c *console, k tea.KeyPressMsg) bool {
	replays := d.guest != nil && d.guest.replay != nil // there h goes back in time
	left := k.String() == "left" || !replays && key.Matches(k, c.keys.out)
	by, moves := c.step(k)
	switch {
	case d.filter.typed != nil:
		d.filter.press(k)
	case left:
		d.moveOnMap(-1, 0)
	case k.String() == "right":
		d.moveOnMap(1, 0)
	case moves:
		d.moveOnMap(0, by)
	case key.Matches(k, c.keys.filter):
		d.filter.open()
	case d.filter.words != "" && key.Matches(k, c.keys.back):
		d.filter.clear()
	case len(d.chart.rows) == 0: // no key means what cannot be seen
		return key.Matches(k, c.keys.details, c.keys.logs, c.keys.shell, c.keys.iex, c.keys.copy)
	default:
		return false
	}
	return true
}

// moveOnMap moves the cursor by machines, or by rows; beyond these it stops at the first or the last machine.
func (d *deployScreen) moveOnMap(machines, rows int) {
	m := d.chart
	row, column, there := m.find(d.board.current())
	if !there {
		return
	}
	if rows == 0 {
		d.point(m.step(row, column, machines))
		return
	}
	if d.column == ofCursor {
		d.column = column
	}
	keeps := d.column
	switch last := m.rows[len(m.rows)-1].machines; {
	case row+rows < 0:
		d.point(m.rows[0].machines[0])
	case row+rows >= len(m.rows):
		d.point(last[len(last)-1])
	default:
		machines := m.rows[row+rows].machines
		d.point(machines[min(keeps, len(machines)-1)])
		d.column = keeps
	}
}

// step is the machine before one, or after it; at the ends of the map the one itself.
func (m fleetMap) step(row, column, by int) *boardRow {
	switch column += by; {
	case column < 0 && row > 0:
		row--
		column = len(m.rows[row].machines) - 1
	case column >= len(m.rows[row].machines) && row+1 < len(m.rows):
		row, column = row+1, 0
	}
	return m.rows[row].machines[min(max(column, 0), len(m.rows[row].machines)-1)]
}

// point puts the cursor on a machine.
func (d *deployScreen) point(r *boardRow) {
	d.board.list.At, d.column = slices.Index(d.board.rows, r), ofCursor
}

// settleMap lays the map out, with the cursor in sight and on a machine that the filter lets through.
func (d *deployScreen) settleMap(c *console) {
	m := d.fleetMap(c)
	row, _, there := m.find(d.board.current())
	if !there && len(m.rows) > 0 {
		d.point(m.rows[0].machines[0])
		m = d.fleetMap(c)
	}
	d.chart = m
	d.page.Show(nil, func() []cells.Line { return m.lines })
	if len(m.rows) == 0 {
		return
	}
	line := m.rows[row].line
	top := line
	switch {
	case row == 0: // with the legend
		top = 0
	case m.rows[row-1].line < line-1: // with the region's heading
		top = line - 1
	}
	d.page.Scroll = max(min(d.page.Scroll, top), line-d.pageRows(c)+1)
}

// mapTitle says what the map shows.
func (d *deployScreen) mapTitle(c *console) cells.Line {
	title := cells.Line{{Text: "the fleet, a cell for each machine", Tone: cells.Muted}}
	if by := d.filter.line(cells.Active); by != nil {
		shown := 0
		for _, row := range d.chart.rows {
			shown += len(row.machines)
		}
		title = append(append(cells.Line{{Text: "the fleet · ", Tone: cells.Muted}}, by...), cells.New(cells.Muted, " · "+text.Count(shown)+" shown"))
	}
	if place := d.page.Place(d.pageRows(c)); place != "" {
		title = append(title, cells.New(cells.Muted, " · "+place))
	}
	return title
}

// underMap tells of the machine under the cursor.
func (d *deployScreen) underMap(c *console) cells.Line {
	r := d.board.current()
	if _, _, there := d.chart.find(r); !there {
		return nil
	}
	row := cells.Line{
		cells.New(cells.Strong, r.m.ID), cells.New(cells.Muted, "  "+r.m.Facts.Region+"  "), cells.New(r.s.Tone(), r.s.Glyph(mapActive)+" "+r.s.Word),
	}
	if happened := view.Happened(r.m, r.s, c.now); happened != "" {
		row = append(row, cells.New(cells.Muted, " · "), cells.New(cells.Normal, happened))
	}
	return cells.ListRow(row, true, c.w)
}

// clickMap moves the cursor to the machine at a cell; the one that has the cursor, and what is told of it, are opened.
func (d *deployScreen) clickMap(c *console, x, y int) tea.Cmd {
	rows := d.pageRows(c)
	if y == mapTop+rows {
		return c.onKey(pressOf(c.keys.details))
	}
	if y < mapTop || y > mapTop+rows {
		return nil
	}
	for _, row := range d.chart.rows {
		if column := x - 1; row.line == d.page.Scroll+y-mapTop && column >= 0 && column < len(row.machines) {
			if row.machines[column] == d.board.current() {
				return c.onKey(pressOf(c.keys.details))
			}
			d.point(row.machines[column])
		}
	}
	return nil
}

// clock is the time that the screen shows: in a replay the record's own.
func (d *deployScreen) clock(c *console) time.Time {
	if d.guest != nil {
		return d.guest.clock(c.now)
	}
	return c.now
}

package tui

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// cells of one machine, in the order of fleetColumns.
func (f *fleet) cells(m engine.Machine) []cells.Span {
	name, image := cells.New(cells.Normal, m.Name), cells.New(cells.Muted, strings.TrimPrefix(engine.Tag(m.Image), "deployment-"))
	if !view.TakesPart(m) {
		name.Tone = cells.Muted
	}
	mark := cells.Span{Text: " "}
	if f.marked[m.ID] {
		mark = cells.Span{Text: "◆", Tone: cells.Active}
	}
	return []cells.Span{
		mark, view.FlyState(m.State), cells.New(name.Tone, m.ID), name, cells.New(cells.Muted, m.Region), cells.New(cells.Muted, m.ProcessGroup), view.Checks(m),
		f.Runs(m), image, view.Host(m), f.Note(m),
	}
}

// fleetName is the most that a name gets, in cells; the details show a longer one in full.
const fleetName = 16

// fleetColumns measures the columns over all machines, so that scrolling does not shift them. Regions have headings
// where the table is ordered by them, else a column.
func fleetColumns(f *fleet) []cells.Column {
	arrow := func(title, key string) string { return title + f.sorting.arrow(key) }
	cols := []cells.Column{
		{Title: " "}, {Title: arrow("STATE", "S")}, {Title: arrow("MACHINE", "M")}, {Title: arrow("NAME", "N"), Drop: 4},
		{Title: "RGN", Drop: 6}, {Title: "GROUP", Drop: 3}, {Title: arrow("CHECKS", "C"), Drop: 5}, {Title: "RUNS"},
		{Title: arrow("IMAGE", "I"), Drop: 1}, {Title: "HOST", Drop: 2}, {Title: "DRIFT", Width: 10, Grows: true},
	}
	for _, m := range f.Overview.Machines {
		for i, cell := range f.cells(m) {
			if !cols[i].Grows {
				cols[i].Width = min(max(cols[i].Width, cells.Width(cell.Text)), 26)
			}
		}
	}
	cols[3].Width = min(cols[3].Width, fleetName)
	if f.sorting.key == "" {
		cols[4] = cells.Column{Gone: true}
	}
	for i := range cols {
		if strings.ContainsAny(cols[i].Title, "↑↓") {
			cols[i].Drop = 0 // what a table is sorted by stays visible
		}
	}
	return cols
}

// table renders the machines for w×h cells.
func (f *fleet) table(w, h int) []cells.Line {
	switch {
	case !f.seen && f.err != nil:
		return cells.Fill(view.Problem(engine.AsProblem(f.err), w), w, h)
	case !f.seen:
		return cells.Fill([]cells.Line{nil, {cells.Span{Text: "  Reading the fleet…", Tone: cells.Muted}}}, w, h)
	case len(f.rows) == 0:
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  "+f.emptyText())}}, w, h)
	}
	cols := cells.FitColumns(f.columns, w-2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to := f.list.Window(len(f.rows), h-1)
	if heading := f.headingOf(from); heading < from && f.sorting.key == "" { // scrolled away, it stays on top
		lines = append(lines, f.rowLine(heading, cols, w))
		to = min(to, from+h-2)
	}
	for i := from; i < to; i++ {
		lines = append(lines, f.rowLine(i, cols, w))
	}
	return cells.Fill(lines, w, h)
}

// headingOf gives the row with the heading of a row's region.
func (f *fleet) headingOf(i int) int {
	for i > 0 && f.rows[i].m.ID != "" {
		i--
	}
	return i
}

func (f *fleet) emptyText() string {
	if f.filter.words != "" {
		return "No machine matches " + f.filter.words + ". esc clears the filter."
	}
	return "The app has no machines. Deploy it cold first: fly deploy"
}

func (f *fleet) rowLine(i int, cols []cells.Column, w int) cells.Line {
	r := f.rows[i]
	if r.m.ID == "" {
		return cells.Line{cells.New(cells.Strong, "  "+r.region), cells.New(cells.Muted, "  "+text.Counted(r.count, "machine"))}.Fit(w)
	}
	return cells.ListRow(cells.Row(cols, f.cells(r.m)), i == f.list.At, w)
}

// headline counts machines, marks and what the filter hides.
func (f *fleet) headline() cells.Line {
	if !f.seen {
		return nil
	}
	l := f.States()
	visible, hidden := f.marks()
	if n := len(visible) + len(hidden); n > 0 {
		l = append(l, cells.New(cells.Active, " · "+text.Count(n)+" marked"))
	}
	if len(hidden) > 0 {
		l = append(l, cells.New(cells.Warn, ", "+text.Count(len(hidden))+" hidden"))
	}
	if by := f.filter.line(cells.Active); by != nil {
		l = append(append(l, cells.Span{Text: " · ", Tone: cells.Active}), by...)
	}
	return l
}

// status tells the lock, or what is wrong with what is shown.
func (f *fleet) status(c *console) cells.Line {
	switch {
	case f.err != nil && f.seen:
		return cells.Line{cells.New(cells.Warn, "! as of "+view.When(f.lookedAt, c.now)+": "+f.err.Error())}
	case f.seen:
		return f.Lock(c.now)
	}
	return nil
}

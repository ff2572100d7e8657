package tui

import (
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// cells adds those of one machine to a row, in the order of fleetColumns.
func (f *fleet) cells(row []cells.Span, m engine.Machine, now time.Time) []cells.Span {
	name, image := cells.New(cells.Normal, m.Name), cells.New(cells.Muted, strings.TrimPrefix(engine.Tag(m.Image), "deployment-"))
	if !view.TakesPart(m) {
		name.Tone = cells.Muted
	}
	mark := cells.Span{Text: " "}
	if f.marked[m.ID] {
		mark = cells.Span{Text: "◆", Tone: cells.Active}
	}
	row = append(row,
		mark, view.FlyState(m.State), cells.New(name.Tone, m.ID), name, cells.New(cells.Muted, m.Region), cells.New(cells.Muted, m.ProcessGroup), view.Checks(m),
		f.Runs(m), image, view.Host(m))
	if f.withVitals {
		row = append(row, f.vitalsCells(m, now)...)
	}
	return append(row, f.Note(m))
}

// fleetName is what a name gets at least, in cells, and fleetDrift what it leaves the last column when there is room for more.
const (
	fleetName  = 16
	fleetDrift = 26
)

// widened gives names what the last column does not need.
func widened(cols []cells.Column, name int) []cells.Column {
	n, last := &cols[3], &cols[len(cols)-1]
	if more := min(name-n.Width, last.Width-fleetDrift); n.Width > 0 && more > 0 {
		n.Width, last.Width = n.Width+more, last.Width-more
	}
	return cols
}

// fleetColumns measures the columns over all machines, so that scrolling does not shift them. Regions have headings
// where the table is ordered by them, else a column.
func fleetColumns(f *fleet) []cells.Column {
	arrow := func(title, key string) string { return title + f.sorting.arrow(key) }
	cols := []cells.Column{
		{Title: " "}, {Title: arrow("STATE", "S")}, {Title: arrow("MACHINE", "M")}, {Title: arrow("NAME", "N"), Drop: 7},
		{Title: "RGN", Drop: 11}, {Title: "GROUP", Drop: 5}, {Title: arrow("CHECKS", "C"), Drop: 10}, {Title: "RUNS"},
		{Title: arrow("IMAGE", "I"), Drop: 1}, {Title: "HOST", Drop: 3},
	}
	known, told := f.knownVitals()
	if f.withVitals = known; known {
		cols = append(cols, view.LastVitalsColumns(told)...)
	}
	cols = append(cols, cells.Column{Title: "DRIFT", Width: 10, Grows: true})
	row := make([]cells.Span, 0, len(cols))
	for _, m := range f.Overview.Machines {
		for i, cell := range f.cells(row, m, f.lookedAt) {
			if !cols[i].Grows && !cols[i].Gone {
				cols[i].Width = min(max(cols[i].Width, cells.Width(cell.Text)), 26)
			}
		}
	}
	f.name = cols[3].Width
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
	cols := widened(cells.FitColumns(f.columns, w-2), f.name)
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
	row := cells.Row(cols, f.cells(make([]cells.Span, 0, len(cols)), r.m, f.now))
	if f.dim { // nobody knows whether it is still so
		for i := range row {
			row[i].Tone = cells.Muted
		}
	}
	return cells.ListRow(row, i == f.list.At, w)
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

// status tells the lock, or what is wrong with what is shown, and how old that is.
func (f *fleet) status(c *console) cells.Line {
	old := c.now.Sub(f.lookedAt)
	switch {
	case !f.seen:
		return nil
	case f.err != nil:
		again := ""
		if in := c.lookAt.Sub(c.now); in > 0 {
			again = ", again in " + text.Seconds(in)
		}
		return cells.Line{cells.New(cells.Warn, "! "+text.Seconds(old)+" old"+again+": "+f.err.Error())}
	case f.isStale(c.now):
		return cells.Line{cells.New(cells.Warn, "! "+text.Seconds(old)+" old, no answer yet")}
	}
	return f.Lock(c.now)
}

// staleAfter is how old what is shown may become without a word: it is asked for every two seconds.
const staleAfter = 10 * time.Second

// isStale reports whether what is shown is older than it should be.
func (f *fleet) isStale(now time.Time) bool {
	return f.seen && (f.err != nil || now.Sub(f.lookedAt) > staleAfter)
}

// problem is what is wrong with what is shown, in full, nil for nothing.
func (f *fleet) problem() *engine.Problem {
	if f.err != nil {
		return engine.AsProblem(f.err)
	}
	return f.Overview.Storage
}

// problemDialog opens it.
func (f *fleet) problemDialog(c *console) {
	p := f.problem()
	if p == nil {
		c.say("There is no error to show")
		return
	}
	c.dialog = problemDialog("The error in full", p)
	if c.opts.Setup != nil {
		c.dialog.buttons = append(c.dialog.buttons, button{key: "s", label: "What is needed", act: (*console).openSetup})
	}
}

package tui

import (
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// cells adds those of one machine to a row: its mark, then as columnNames has them.
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
	} else {
		row = append(row, make([]cells.Span, view.LastVitalsCount)...)
	}
	return append(row, f.Note(m))
}

// table renders the machines for w×h cells.
func (f *fleet) table(w, h int) []cells.Line {
	switch {
	case !f.seen && f.err != nil:
		return cells.Fill(view.Problem(engine.AsProblem(f.err), w), w, h)
	case !f.seen:
		return cells.Fill([]cells.Line{nil, {cells.Span{Text: "  Reading the fleet...", Tone: cells.Muted}}}, w, h)
	case len(f.rows) == 0:
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  "+f.emptyText())}}, w, h)
	}
	cols := f.fitted(w - 2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to, heading := f.window(h)
	if heading {
		lines = append(lines, f.rowLine(f.headingOf(from), cols, w))
	}
	for i := from; i < to; i++ {
		lines = append(lines, f.rowLine(i, cols, w))
	}
	return cells.Fill(lines, w, h)
}

// window gives the rows that h rows of the screen show below the head; before them a region's heading where it is scrolled away.
func (f *fleet) window(h int) (from, to int, heading bool) {
	from, to = f.list.Window(len(f.rows), h-1)
	if heading = f.headingOf(from) < from && f.sorting.key == ""; heading {
		to = min(to, from+h-2)
	}
	return from, to, heading
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
	row := cells.Row(cols, picked(f.cells(make([]cells.Span, 0, 16), r.m, f.now), f.shown))
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
	if f.asking {
		l = append(l, cells.Span{Text: " · ", Tone: cells.Muted}, cells.Span{Text: "asking the VMs", Tone: cells.Active})
	}
	if by := f.filter.line(cells.Active); by != nil {
		l = append(append(append(l, cells.Span{Text: " · ", Tone: cells.Active}), by...), cells.New(cells.Muted, " · "+text.Count(len(f.rows))+" shown"))
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
		if in := c.looks.at.Sub(c.now); in > 0 {
			again = ", again in " + text.Seconds(in)
		}
		return cells.Line{cells.New(cells.Warn, "! "+text.Seconds(old)+" old"+again+": "+f.err.Error())}
	case f.isStale(c.now):
		return cells.Line{cells.New(cells.Warn, "! "+text.Seconds(old)+" old, no answer yet")}
	}
	return f.Lock(c.now)
}

// staleAfter is how old what is shown may become without a word: it is asked for every 2 to 6 s.
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

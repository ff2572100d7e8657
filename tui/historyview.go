package tui

import (
	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// historyTop is how many rows stand above the first deploy: title, rule, head.
const historyTop = 3

func (h *history) view(c *console) []cells.Line {
	w, rows := c.w, c.h-4
	lines := []cells.Line{c.title(cells.Line{{Text: "record of deploys"}}, h.status()), cells.RuleLine(h.heading(rows), w)}
	if w < wideWidth {
		lines = append(lines, h.table(c, w, rows)...)
	} else {
		side := sideWidth(w)
		var about []cells.Line
		if p, ok := h.current(); ok {
			about = view.Past(p, c.now, side)
		}
		lines = append(lines, cells.Beside(h.table(c, w-side-3, rows), cells.Cropped(about, side, rows, ""))...)
	}
	return cells.Fill(append(lines, cells.Rule("", w), c.bottom(h.hints(c.keys)...)), w, c.h)
}

// heading is the filter, and which part of the list is on the screen.
func (h *history) heading(rows int) cells.Line {
	by, place := h.filter.line(cells.Muted), h.list.Place(len(h.rows), rows-1)
	switch {
	case place == "":
		return by
	case by == nil:
		return cells.Line{cells.New(cells.Muted, place)}
	}
	return append(by, cells.New(cells.Muted, " · "+place))
}

func (h *history) status() cells.Line {
	switch {
	case h.err != nil && h.seen:
		return cells.Line{cells.New(cells.Warn, "! "+h.err.Error())}
	case !h.seen:
		return nil
	}
	return cells.Line{{Text: text.Counted(len(h.all), "deploy"), Tone: cells.Muted}}
}

func (h *history) hints(k keyMap) []hint {
	if h.filter.typed != nil {
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	}
	open := "replay"
	if p, ok := h.current(); ok && p.Running {
		open = "watch live"
	}
	if _, ok := h.again(); !ok {
		k.deploy.SetEnabled(false)
	}
	return []hint{
		{"enter", open}, {"↑↓", "select"}, short(k.deploy, "deploy it again"), short(k.filter, "filter"), short(k.history, "read again"), short(k.copy, "copy"),
		{"esc", "back"}, short(k.help, "help"),
	}
}

var historyColumns = []cells.Column{
	{Title: "WHEN", Width: 16}, {Title: "OUTCOME", Width: 12}, {Title: "VERSION", Width: 10}, {Title: "MACHINES", Right: true},
	{Title: "SUSPENDED", Right: true, Drop: 4}, {Title: "TOOK", Width: 7, Right: true, Drop: 2}, {Title: "BY", Width: 12, Drop: 3},
	{Title: "MESSAGE", Width: 8, Drop: 1, Grows: true},
}

func pastCells(p engine.Past) []cells.Span {
	suspended := ""
	if p.MaxSuspendedUS > 0 {
		suspended = view.Micros(p.MaxSuspendedUS)
	}
	took, machines := "", ""
	if p.DurationMS > 0 {
		took = text.Seconds(p.Took())
	}
	if p.Machines > 0 {
		machines = text.Count(p.Upgraded) + "/" + text.Count(p.Machines)
	}
	return []cells.Span{
		cells.OrNone(cells.Normal, view.Date(p.At)), view.PastOutcome(p), cells.OrNone(cells.Normal, text.Line(p.Version)), cells.OrNone(cells.Normal, machines),
		cells.OrNone(cells.Normal, suspended), cells.OrNone(cells.Muted, took), cells.OrNone(cells.Normal, text.Line(p.Owner)), cells.New(cells.Muted, p.Message),
	}
}

func (h *history) table(c *console, w, rows int) []cells.Line {
	switch {
	case !h.seen && h.err != nil:
		return cells.Fill(view.Problem(engine.AsProblem(h.err), w), w, rows)
	case !h.seen:
		return cells.Fill([]cells.Line{nil, {{Text: "  Reading the record...", Tone: cells.Muted}}}, w, rows)
	case len(h.rows) == 0 && h.filter.words != "":
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  No deploy matches "+h.filter.words+". esc clears the filter.")}}, w, rows)
	case len(h.rows) == 0:
		return cells.Fill([]cells.Line{nil, {{Text: "  No deploy is recorded yet.", Tone: cells.Muted}}}, w, rows)
	}
	cols := cells.FitColumns(historyColumns, w-2)
	lines := []cells.Line{append(cells.Line{cells.Blank(2)}, cells.Head(cols)...)}
	from, to := h.list.Window(len(h.rows), rows-1)
	for i := from; i < to; i++ {
		lines = append(lines, cells.ListRow(cells.Row(cols, pastCells(h.rows[i])), i == h.list.At, w))
	}
	return cells.Fill(lines, w, rows)
}

func (h *history) tiny(c *console) cells.Line {
	if !h.seen {
		return cells.Line{{Text: "reading the record of " + c.opts.App, Tone: cells.Muted}}
	}
	return cells.Line{cells.New(cells.Strong, text.Counted(len(h.all), "deploy")+" of "+c.opts.App), {Text: ", enlarge the terminal to read them", Tone: cells.Muted}}
}

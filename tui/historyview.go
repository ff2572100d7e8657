package tui

import (
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

func (h *history) view(c *console) []cells.Line {
	w, rows := c.w, c.h-4
	lines := []cells.Line{c.title(cells.Line{{Text: "record of deploys"}}, h.status()), cells.Rule(h.heading(), w)}
	if w < wideWidth {
		lines = append(lines, h.table(c, w, rows)...)
	} else {
		side := sideWidth(w)
		var about []cells.Line
		if p, ok := h.current(); ok {
			about = pastLines(p, c.now, side)
		}
		lines = append(lines, cells.Beside(h.table(c, w-side-3, rows), cells.Fill(about, side, rows))...)
	}
	return cells.Fill(append(lines, cells.Rule("", w), c.bottom(h.hints(c.keys)...)), w, c.h)
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

func (h *history) heading() string {
	switch {
	case h.filtering:
		return "/ " + h.filter + "█"
	case h.filter != "":
		return "/ " + h.filter
	}
	return ""
}

func (h *history) hints(k keyMap) []hint {
	if h.filtering {
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	}
	open := "replay"
	if p, ok := h.current(); ok && p.Running {
		open = "watch live"
	}
	return []hint{
		{"enter", open}, {"↑↓", "select"}, short(k.filter, "filter"), short(k.history, "read again"), short(k.copy, "copy"),
		{"esc", "back"}, short(k.help, "help"),
	}
}

// outcomeLook is an outcome's glyph and tone; the word stands beside it.
func outcomeLook(o engine.Outcome) (string, cells.Tone) {
	switch o {
	case engine.OutcomeSucceeded:
		return "✓", cells.OK
	case engine.OutcomeCancelled, engine.OutcomeLocked, engine.OutcomeBlocked:
		return "–", cells.Warn
	case engine.OutcomeFailed, engine.OutcomePartial:
		return "✗", cells.Fail
	}
	return "?", cells.Warn
}

func pastOutcome(p engine.Past) cells.Span {
	if p.Running {
		return cells.Span{Text: "● running", Tone: cells.Active}
	}
	glyph, t := outcomeLook(p.Outcome)
	return cells.New(t, glyph+" "+string(p.Outcome))
}

var historyColumns = []cells.Column{
	{Title: "WHEN", Width: 16}, {Title: "OUTCOME", Width: 12}, {Title: "VERSION", Width: 10}, {Title: "MACHINES", Right: true},
	{Title: "SUSPENDED", Right: true, Drop: 4}, {Title: "TOOK", Width: 7, Right: true, Drop: 2}, {Title: "WHO", Width: 12, Drop: 3},
	{Title: "MESSAGE", Width: 8, Drop: 1, Grows: true},
}

func pastCells(p engine.Past) []cells.Span {
	suspended := ""
	if p.MaxSuspendedUS > 0 {
		suspended = micros(p.MaxSuspendedUS)
	}
	took, machines := "", ""
	if p.DurationMS > 0 {
		took = text.Seconds(time.Duration(p.DurationMS) * time.Millisecond)
	}
	if p.Machines > 0 {
		machines = text.Count(p.Upgraded) + "/" + text.Count(p.Machines)
	}
	return []cells.Span{
		cells.OrNone(cells.Normal, dateOf(p.At)), pastOutcome(p), cells.OrNone(cells.Normal, text.Line(p.Version)), cells.OrNone(cells.Normal, machines),
		cells.OrNone(cells.Normal, suspended), cells.OrNone(cells.Muted, took), cells.OrNone(cells.Normal, text.Line(p.Owner)), cells.New(cells.Muted, p.Message),
	}
}

// dateOf is a day and a time, "" for a deploy whose begin is not known.
func dateOf(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04")
}

func (h *history) table(c *console, w, rows int) []cells.Line {
	switch {
	case !h.seen && h.err != nil:
		return cells.Fill(problemLines(engine.AsProblem(h.err), w), w, rows)
	case !h.seen:
		return cells.Fill([]cells.Line{nil, {{Text: "  Reading the record…", Tone: cells.Muted}}}, w, rows)
	case len(h.rows) == 0 && h.filter != "":
		return cells.Fill([]cells.Line{nil, {cells.New(cells.Muted, "  No deploy matches "+h.filter+". esc clears the filter.")}}, w, rows)
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

// pastLines tell everything that is recorded in a deploy's summary.
func pastLines(p engine.Past, now time.Time, w int) []cells.Line {
	lines := []cells.Line{
		cells.Line{cells.New(cells.Strong, p.ID)}.Fit(w), nil, append(cells.Line{{Text: "outcome", Tone: cells.Muted}}.Fit(cells.FactTitle), pastOutcome(p)).Fit(w),
	}
	var since, suspended, took, machines string
	if !p.At.IsZero() {
		since = dateOf(p.At) + ", " + ago(now.Sub(p.At))
	}
	if p.MaxSuspendedUS > 0 {
		suspended = "max " + micros(p.MaxSuspendedUS)
	}
	if p.DurationMS > 0 {
		took = text.Seconds(time.Duration(p.DurationMS) * time.Millisecond)
	}
	if p.Machines > 0 {
		machines = fmt.Sprintf("%s of %s upgraded", text.Count(p.Upgraded), text.Count(p.Machines))
	}
	for _, f := range []struct{ title, value string }{
		{"when", since}, {"version", p.Version}, {"machines", machines}, {"suspended", suspended}, {"took", took}, {"who", p.Owner},
		{"host", p.Host}, {"message", p.Message}, {"revision", p.GitRevision}, {"CI", p.CILink},
	} {
		if f.value != "" {
			lines = append(lines, cells.FactLines(f.title, f.value, w)...)
		}
	}
	return lines
}

func (h *history) tiny(c *console) cells.Line {
	if !h.seen {
		return cells.Line{{Text: "reading the record of " + c.opts.App, Tone: cells.Muted}}
	}
	return cells.Line{cells.New(cells.Strong, text.Counted(len(h.all), "deploy")+" of "+c.opts.App), {Text: ", enlarge the terminal to read them", Tone: cells.Muted}}
}

package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
)

func (h *history) view(c *console) []line {
	w, rows := c.w, c.h-4
	lines := []line{c.title(line{{text: "record of deploys"}}, h.status()), rule(h.heading(), w)}
	if w < wideWidth {
		lines = append(lines, h.table(c, w, rows)...)
	} else {
		side := sideWidth(w)
		var about []line
		if p, ok := h.current(); ok {
			about = pastLines(p, c.now, side)
		}
		lines = append(lines, beside(h.table(c, w-side-3, rows), fill(about, side, rows))...)
	}
	return fill(append(lines, rule("", w), c.bottom(h.hints(c.keys)...)), w, c.h)
}

func (h *history) status() line {
	switch {
	case h.err != nil && h.seen:
		return line{sp(toneWarn, "! "+h.err.Error())}
	case !h.seen:
		return nil
	}
	return line{{text: counted(len(h.all), "deploy"), tone: toneMuted}}
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
func outcomeLook(o engine.Outcome) (string, tone) {
	switch o {
	case engine.OutcomeSucceeded:
		return "✓", toneOK
	case engine.OutcomeCancelled, engine.OutcomeLocked, engine.OutcomeBlocked:
		return "–", toneWarn
	case engine.OutcomeFailed, engine.OutcomePartial:
		return "✗", toneFail
	}
	return "?", toneWarn
}

func pastOutcome(p engine.Past) span {
	if p.Running {
		return span{text: "● running", tone: toneActive}
	}
	glyph, t := outcomeLook(p.Outcome)
	return sp(t, glyph+" "+string(p.Outcome))
}

var historyColumns = []column{
	{title: "WHEN", width: 16}, {title: "OUTCOME", width: 12}, {title: "VERSION", width: 10}, {title: "MACHINES", right: true},
	{title: "SUSPENDED", right: true, drop: 4}, {title: "TOOK", width: 7, right: true, drop: 2}, {title: "WHO", width: 12, drop: 3},
	{title: "MESSAGE", width: 8, drop: 1, grows: true},
}

func pastCells(p engine.Past) []span {
	suspended := ""
	if p.MaxSuspendedUS > 0 {
		suspended = micros(p.MaxSuspendedUS)
	}
	took, machines := "", ""
	if p.DurationMS > 0 {
		took = clock(time.Duration(p.DurationMS) * time.Millisecond)
	}
	if p.Machines > 0 {
		machines = count(p.Upgraded) + "/" + count(p.Machines)
	}
	return []span{
		orNone(toneText, dateOf(p.At)), pastOutcome(p), orNone(toneText, clean(p.Version)), orNone(toneText, machines),
		orNone(toneText, suspended), orNone(toneMuted, took), orNone(toneText, clean(p.Owner)), sp(toneMuted, p.Message),
	}
}

// dateOf is a day and a time, "" for a deploy whose begin is not known.
func dateOf(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04")
}

func (h *history) table(c *console, w, rows int) []line {
	switch {
	case !h.seen && h.err != nil:
		return fill(problemLines(engine.AsProblem(h.err), w), w, rows)
	case !h.seen:
		return fill([]line{nil, {{text: "  Reading the record…", tone: toneMuted}}}, w, rows)
	case len(h.rows) == 0 && h.filter != "":
		return fill([]line{nil, {sp(toneMuted, "  No deploy matches "+h.filter+". esc clears the filter.")}}, w, rows)
	case len(h.rows) == 0:
		return fill([]line{nil, {{text: "  No deploy is recorded yet.", tone: toneMuted}}}, w, rows)
	}
	cols := shown(historyColumns, w-2)
	lines := []line{append(line{blank(2)}, headOf(cols)...)}
	from, to := h.list.window(len(h.rows), rows-1)
	for i := from; i < to; i++ {
		lines = append(lines, listRow(rowOf(cols, pastCells(h.rows[i])), i == h.list.at, w))
	}
	return fill(lines, w, rows)
}

// pastLines tell everything that is recorded in a deploy's summary.
func pastLines(p engine.Past, now time.Time, w int) []line {
	lines := []line{
		line{sp(toneStrong, p.ID)}.fit(w), nil, append(line{{text: "outcome", tone: toneMuted}}.fit(factTitle), pastOutcome(p)).fit(w),
	}
	var since, suspended, took, machines string
	if !p.At.IsZero() {
		since = dateOf(p.At) + ", " + ago(now.Sub(p.At))
	}
	if p.MaxSuspendedUS > 0 {
		suspended = "max " + micros(p.MaxSuspendedUS)
	}
	if p.DurationMS > 0 {
		took = clock(time.Duration(p.DurationMS) * time.Millisecond)
	}
	if p.Machines > 0 {
		machines = fmt.Sprintf("%s of %s upgraded", count(p.Upgraded), count(p.Machines))
	}
	for _, f := range []struct{ title, value string }{
		{"when", since}, {"version", p.Version}, {"machines", machines}, {"suspended", suspended}, {"took", took}, {"who", p.Owner},
		{"host", p.Host}, {"message", p.Message}, {"revision", p.GitRevision}, {"CI", p.CILink},
	} {
		if f.value != "" {
			lines = append(lines, factLines(f.title, f.value, w)...)
		}
	}
	return lines
}

// factLines is a fact whose value may need several rows.
func factLines(title, value string, w int) []line {
	var out []line
	for i, row := range wrap(strings.TrimSpace(value), w-factTitle) {
		head := ""
		if i == 0 {
			head = title
		}
		out = append(out, fact(head, row, w))
	}
	return out
}

func (h *history) tiny(c *console) line {
	if !h.seen {
		return line{{text: "reading the record of " + c.opts.App, tone: toneMuted}}
	}
	return line{sp(toneStrong, counted(len(h.all), "deploy")+" of "+c.opts.App), {text: ", enlarge the terminal to read them", tone: toneMuted}}
}

package tui

import (
	"time"

	"charm.land/bubbles/v2/key"

	"flydeploy/engine"
)

// view renders the home screen.
func (f *fleet) view(c *console) []line {
	w, rows := c.w, f.rowsOf(c)
	lines := []line{
		c.title(f.upgrade(c.now), f.status(c)),
		spread(append(line{blank(1)}, f.headline()...), line{sp(toneMuted, c.header+" ")}, w),
		rule(f.heading(), w),
	}
	switch m, there := f.current(); {
	case f.about:
		lines = append(lines, f.page.view(w, rows)...)
	case w < wideWidth || !f.seen || !there:
		lines = append(lines, f.table(w, rows)...)
	default:
		side := sideWidth(w) - 6
		lines = append(lines, beside(f.table(w-side-3, rows), fill(f.machineLines(m, c.now, side), side, rows))...)
	}
	return fill(append(lines, rule("", w), c.bottom(f.hints(c.keys)...)), w, c.h)
}

func (f *fleet) heading() string {
	if m, there := f.current(); f.about && there {
		return "machine " + m.ID
	}
	return ""
}

// rowsOf is how many rows the machines have.
func (f *fleet) rowsOf(c *console) int { return c.h - 5 }

func (f *fleet) settle(c *console) {
	m, there := f.current()
	if f.about = f.about && there; f.about {
		f.page.show(pageKey{}, func() []line { return f.machineLines(m, c.now, c.w-2) })
		f.page.clamp(f.rowsOf(c))
		return
	}
	f.list.reveal(len(f.rows), f.rowsOf(c)-2) // the head, and a region's heading that stays on top
}

func (f *fleet) tiny(c *console) line {
	l := line{sp(toneStrong, c.opts.App+" ")}
	if !f.seen {
		return append(l, span{text: "reading the fleet", tone: toneMuted})
	}
	return append(l, f.headline()...)
}

// machineLines tell everything about a machine.
func (f *fleet) machineLines(m engine.Machine, now time.Time, w int) []line {
	state, drift := machineState(m.State), f.drift(m)
	lines := []line{line{sp(toneStrong, m.ID), sp(toneMuted, "  "+m.Name)}.fit(w), nil}
	tell := func(title string, values ...span) {
		lines = append(lines, append(line{{text: title, tone: toneMuted}}.fit(factTitle), values...).fit(w))
	}
	tell("state", state)
	if !m.UpdatedAt.IsZero() {
		tell("updated", sp(toneText, when(m.UpdatedAt, now)))
	}
	tell("region", sp(toneText, m.Region))
	tell("group", sp(toneText, m.ProcessGroup))
	tell("checks", checks(m))
	tell("host", host(m))
	tell("runs", f.runs(m))
	if u, hot := f.overview.HotUpgradeOf(m); hot {
		tell("upgrade", sp(toneText, u.ID))
		tell("deployed", sp(toneText, when(u.DeployedAt, now)))
	}
	tell("drift", span{text: cut(drift.text, w-factTitle), tone: drift.tone})
	lines = append(lines, factLines("image", engine.Tag(m.Image), w)...)
	if m.InstanceID != "" {
		lines = append(lines, factLines("instance", m.InstanceID, w)...)
	}
	lines = append(lines, f.codeLines(m, now, w)...)
	if f.image != "" && !engine.SameImage(f.image, m.Image) && markable(m) {
		text := "The fleet runs " + engine.Tag(f.image) + ". A hot upgrade of that image does not fit this machine: deploy it cold, fly deploy"
		lines = append(append(lines, nil), paragraph(toneWarn, text, w)...)
	}
	return lines
}

func (f *fleet) hints(k keyMap) []hint {
	switch {
	case f.filtering:
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	case f.about:
		return []hint{{"↑↓", "scroll"}, {"esc", "back"}, short(k.copy, "copy the id"), short(k.help, "help")}
	}
	visible, hidden := f.marks()
	what := "deploy all"
	if n := len(visible) + len(hidden); n > 0 {
		what = "deploy " + count(n) + " marked"
	} else if f.filter != "" {
		k.deploy.SetEnabled(false) // a filter is no selection
	}
	return []hint{
		short(k.deploy, what), short(k.mark, "mark"), short(k.filter, "filter"), short(k.help, "help"), short(k.quit, "quit"),
		short(k.history, "record"), short(k.details, "details"), short(k.markAll, "all"), short(k.watch, "lock"), short(k.inspect, "inspect"),
		short(k.palette, "commands"), short(k.markRange, "range"), short(k.copy, "copy"),
	}
}

func (f *fleet) bindings(c *console) []key.Binding {
	k := c.keys
	if f.about {
		return []key.Binding{k.copy, k.back}
	}
	return []key.Binding{
		k.deploy, k.mark, k.markRange, k.markAll, k.filter, k.details, k.inspect, k.history, k.watch, k.copy, k.back, k.quit,
	}
}

func (h *history) bindings(c *console) []key.Binding {
	k := c.keys
	open := k.details
	open.SetHelp(open.Help().Key, "open: replay, or watch live")
	return []key.Binding{open, k.filter, k.history, k.copy, k.back, k.quit}
}

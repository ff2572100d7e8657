package tui

import (
	"cmp"
	"slices"
	"time"

	"charm.land/bubbles/v2/key"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// view renders the home screen.
func (f *fleet) view(c *console) []cells.Line {
	w, rows := c.w, f.rowsOf(c)
	f.dim, f.now = f.isStale(c.now), c.now
	lines := []cells.Line{
		c.title(f.upgrade(c.now), f.status(c)),
		cells.Spread(append(cells.Line{cells.Blank(1)}, f.headline()...), cells.Line{cells.New(cells.Muted, c.header+" ")}, w),
		cells.Rule(placed(f.heading(), f.place(rows)), w),
	}
	switch m, there := f.current(); {
	case f.about:
		lines = append(lines, f.page.View(w, rows)...)
	case w < wideWidth || !f.seen || !there:
		lines = append(lines, f.table(w, rows)...)
	default:
		side := sideWidth(w) - 6
		lines = append(lines, cells.Beside(f.table(w-side-3, rows), cells.Cropped(f.machineLines(c, m, side), side, rows, ": "+firstShown(c.keys.details)))...)
	}
	return cells.Fill(append(lines, cells.Rule("", w), c.bottom(f.hints(c.keys.trialKeys(f.hasTrial(c)))...)), w, c.h)
}

// upgrade is the fleet's, nil before the first look.
func (f *fleet) upgrade(now time.Time) cells.Line {
	if !f.seen {
		return nil
	}
	return f.Upgrade(now)
}

func (f *fleet) heading() string {
	if m, there := f.current(); f.about && there {
		return "machine " + m.ID
	}
	return ""
}

// place says which part of the machines, or of a machine's details, is on the screen.
func (f *fleet) place(rows int) string {
	if f.about {
		return f.page.Place(rows)
	}
	from, to, _ := f.window(rows)
	machines := func(rows []fleetRow) (n int) {
		for _, r := range rows {
			if r.m.ID != "" {
				n++
			}
		}
		return n
	}
	return cells.Place(machines(f.rows[:from]), machines(f.rows[from:to]), machines(f.rows))
}

// rowsOf is how many rows the machines have.
func (f *fleet) rowsOf(c *console) int { return c.h - 5 }

func (f *fleet) settle(c *console) {
	m, there := f.current()
	if f.about = f.about && there; f.about {
		f.page.Show(nil, func() []cells.Line { return f.machineLines(c, m, c.w-2) })
		f.page.Clamp(f.rowsOf(c))
		return
	}
	f.list.Reveal(len(f.rows), f.rowsOf(c)-2) // the head, and a region's heading that stays on top
}

func (f *fleet) tiny(c *console) cells.Line {
	l := cells.Line{cells.New(cells.Strong, c.opts.App+" ")}
	if !f.seen {
		return append(l, cells.Span{Text: "reading the fleet", Tone: cells.Muted})
	}
	return append(l, f.headline()...)
}

// machineLines tell everything about a machine.
func (f *fleet) machineLines(c *console, m engine.Machine, w int) []cells.Line {
	now := c.now
	state, drift := view.FlyState(m.State), f.Drift(m)
	lines := append(machineHead(c, m.ID, m.Name, w), nil)
	tell := func(title string, values ...cells.Span) {
		lines = append(lines, append(cells.Line{{Text: title, Tone: cells.Muted}}.Fit(cells.FactTitle), values...).Fit(w))
	}
	tell("state", state)
	if !m.UpdatedAt.IsZero() {
		tell("updated", cells.New(cells.Normal, view.When(m.UpdatedAt, now)))
	}
	tell("region", cells.New(cells.Normal, m.Region))
	tell("group", cells.New(cells.Normal, m.ProcessGroup))
	tell("checks", view.Checks(m))
	tell("host", view.Host(m))
	if m.Lease.Held() {
		tell("lease", cells.New(cells.Warn, m.Lease.Holder()+", until "+m.Lease.Until.Local().Format(time.TimeOnly)))
	}
	if m.Cordoned {
		tell("proxy", cells.New(cells.Warn, "cordoned: it gets no requests"))
	}
	tell("runs", f.Runs(m))
	if u, hot := f.Overview.HotUpgradeOf(m); hot {
		lines = append(lines, cells.FactLines("upgrade", u.ID, w)...)
		tell("deployed", cells.New(cells.Normal, view.When(u.DeployedAt, now)))
	}
	tell("drift", cells.Span{Text: cells.Cut(drift.Text, w-cells.FactTitle), Tone: drift.Tone})
	lines = append(lines, cells.FactLines("image", cmp.Or(engine.Tag(m.Image), "?"), w)...)
	if m.InstanceID != "" {
		lines = append(lines, cells.FactLines("instance", m.InstanceID, w)...)
	}
	if v, known := f.vitalsOf(m); known {
		lines = append(append(lines, nil), view.LastVitalsFacts(v, now, w)...)
	} else if view.TakesPart(m) && m.State == engine.StateStarted {
		tell("vitals", cells.New(cells.Muted, "? unknown: "+firstShown(c.keys.inspect)+" asks"))
	}
	lines = append(lines, f.codeLines(m, now, w)...)
	if f.Image != "" && !engine.SameImage(f.Image, m.FullImage()) && view.TakesPart(m) {
		text := "The fleet runs " + engine.ImageNames(f.Image, m.FullImage())[0] + ". A hot upgrade for that image does not fit this machine. Deploy it cold: fly deploy"
		lines = append(append(lines, nil), cells.Paragraph(cells.Warn, text, w)...)
	}
	return lines
}

// filterHints stand at the bottom while a filter of machines is typed.
var filterHints = []hint{{"enter", "keep"}, {"esc", "clear"}, {view.FilterRegion + " " + view.FilterGroup, "whole names, with commas"}}

func (f *fleet) hints(k keyMap) []hint {
	switch {
	case f.filter.typed != nil:
		return filterHints
	case f.about:
		return []hint{{"↑↓", "scroll"}, {"esc", "back"}, short(k.logs, "logs"), short(k.shell, "shell"), short(k.iex, "IEx"), short(k.copy, "copy the id"), short(k.help, "help")}
	}
	if !f.seen && f.problem() == nil {
		return []hint{short(k.help, "help"), short(k.quit, "quit"), short(k.history, "record"), short(k.palette, "commands")}
	}
	visible, hidden := f.marks()
	what := "deploy all"
	if n := len(visible) + len(hidden); n > 0 {
		what = "deploy " + text.Count(n) + " marked"
	} else if f.filter.words != "" || !f.anyTakesPart() { // a filter is no selection
		k.deploy.SetEnabled(false)
	}
	all := []hint{
		short(k.keep, "confirm the trial"), short(k.takeBack, "take it back"), short(k.deploy, what), short(k.mark, "mark"), short(k.filter, "filter"), short(k.help, "help"), short(k.quit, "quit"),
		short(k.history, "record"), short(k.details, "details"), short(k.logs, "logs"), short(k.shell, "shell"), short(k.iex, "IEx"), short(k.markAll, "all"), short(k.watch, "lock"), short(k.inspect, "inspect"),
		short(k.palette, "commands"), short(k.markRange, "range"), short(k.copy, "copy"),
	}
	if f.problem() != nil {
		all = slices.Insert(all, 1, short(k.problem, "the error"), short(k.look, "look again"))
	}
	return all
}

func (f *fleet) bindings(c *console) []key.Binding {
	k := c.keys
	if f.about {
		return []key.Binding{k.logs, k.shell, k.iex, k.copy, k.back}
	}
	k = k.trialKeys(f.hasTrial(c))
	return []key.Binding{
		k.deploy, k.mark, k.markRange, k.markAll, k.filter, k.details, k.logs, k.shell, k.iex, k.inspect, k.history, k.watch, k.problem, k.look, k.keep, k.takeBack, k.copy, k.back, k.quit,
	}
}

func (h *history) bindings(c *console) []key.Binding {
	k := c.keys
	open := k.details
	open.SetHelp(open.Help().Key, "replay, or watch live")
	again := k.deploy
	again.SetHelp(again.Help().Key, "deploy its code again")
	return []key.Binding{open, again, k.filter, k.history, k.copy, k.back, k.quit}
}

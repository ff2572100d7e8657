package tui

import (
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
)

// Sizes at which the layout changes, in cells.
const (
	leastWidth  = 60 // below, one line tells the state
	leastHeight = 16
	wideWidth   = 120 // from here panes stand side by side
)

func (c *console) tiny() bool { return c.w < leastWidth || c.h < leastHeight }

// screen renders the whole terminal: h lines of w cells.
func (c *console) screen() []line {
	switch {
	case c.w <= 0 || c.h <= 0: // the size is not known yet
		return []line{{sp(toneMuted, "flydeploy "+c.opts.App)}}
	case c.tiny():
		return fill([]line{c.tinyLine()}, c.w, c.h)
	}
	var lines []line
	if c.deploy != nil {
		lines = c.deploy.view(c, c.w, c.h)
	} else {
		lines = c.fleetScreen()
	}
	if c.dialog != nil {
		lines = over(lines, c.dialog.view(c), c.w)
	}
	return lines
}

// fleetScreen is the home screen.
func (c *console) fleetScreen() []line {
	w, h := c.w, c.h
	lines := []line{
		c.title(line{c.fleet.upgrade()}, c.fleet.status(c)),
		spread(append(line{blank(1)}, c.fleet.headline()...), line{sp(toneMuted, c.header+" ")}, w),
		rule("", w),
	}
	lines = append(lines, c.fleet.view(w, c.fleetRows())...)
	return fill(append(lines, rule("", w), c.bottom(c.fleetHints()...)), w, h)
}

// title is the first row of every screen: program, app, organisation, something about them, and at the right a status.
func (c *console) title(about, status line) line {
	l := line{{text: " flydeploy ", tone: toneTitle}, sp(toneStrong, c.opts.App)}
	if c.opts.Org != "" {
		l = append(l, sp(toneMuted, " · "+c.opts.Org))
	}
	if len(about) > 0 {
		l = append(append(l, span{text: " · ", tone: toneMuted}), about...)
	}
	if c.opts.ReadOnly {
		l = append(l, span{text: " · read-only", tone: toneWarn})
	}
	return spread(l, append(status, blank(1)), c.w)
}

// rule is a horizontal line with a heading in it.
func rule(heading string, w int) line {
	if heading != "" {
		heading = " " + cut(clean(heading), max(w-4, 0)) + " "
	}
	l := line{{text: "─", tone: toneRule}, {text: heading, tone: toneMuted}}
	return append(l, span{text: strings.Repeat("─", max(w-l.width(), 0)), tone: toneRule})
}

// bottom is the last row: a remark, or the keys that do something here.
func (c *console) bottom(all ...hint) line {
	if c.notice != "" {
		return line{sp(toneWarn, " "+c.notice)}.fit(c.w)
	}
	if c.dialog != nil {
		all = []hint{{"tab", "choose"}, {"enter", "press"}, {"esc", "close"}}
	}
	version := line{sp(toneMuted, c.opts.Version+" ")}
	return spread(hints(c.w, all...), version, c.w)
}

func (c *console) fleetHints() []hint {
	k := c.keys
	if c.fleet.filtering {
		return []hint{{"enter", "keep"}, {"esc", "clear"}}
	}
	visible, hidden := c.fleet.marks()
	what := "deploy all"
	if n := len(visible) + len(hidden); n > 0 {
		what = "deploy " + count(n) + " marked"
	}
	return []hint{
		short(k.deploy, what), short(k.mark, "mark"), short(k.markAll, "all"), short(k.filter, "filter"),
		short(k.help, "help"), short(k.quit, "quit"), short(k.markRange, "range"), short(k.back, "clear"),
	}
}

// fleetRows is how many rows the machines have.
func (c *console) fleetRows() int { return c.h - 5 }

// settle scrolls what has a cursor so that it is visible.
func (c *console) settle() {
	if c.tiny() {
		return
	}
	c.fleet.list.reveal(len(c.fleet.rows), c.fleetRows()-2) // the head, and a region's heading that stays on top
	if c.deploy != nil {
		c.deploy.settle(c)
	}
	if c.dialog != nil {
		c.dialog.settle(c)
	}
}

// step reads a key that moves: by one, a page, or to an end.
func (c *console) step(k tea.KeyPressMsg) (by int, ok bool) {
	const end = 1 << 20
	switch {
	case key.Matches(k, c.keys.up):
		return -1, true
	case key.Matches(k, c.keys.down):
		return 1, true
	case key.Matches(k, c.keys.pageUp):
		return -c.fleetRows() / 2, true
	case key.Matches(k, c.keys.pageDown):
		return c.fleetRows() / 2, true
	case key.Matches(k, c.keys.top):
		return -end, true
	case key.Matches(k, c.keys.bottom):
		return end, true
	}
	return 0, false
}

// tinyLine tells the state where there is no room for a screen.
func (c *console) tinyLine() line {
	if c.deploy == nil {
		l := line{sp(toneStrong, c.opts.App+" ")}
		if !c.fleet.seen {
			return append(l, span{text: "reading the fleet", tone: toneMuted})
		}
		return append(l, c.fleet.headline()...)
	}
	d := c.deploy
	switch {
	case d.leaving:
		return line{sp(toneWarn, "Still running: s stays, ctrl-c stops "+c.opts.App)}
	case d.planning(c.now):
		return line{sp(toneWarn, "Plan ready: enlarge the terminal to confirm "+c.opts.App)}
	case d.result == nil && d.progress.Asks() == engine.QuestionLock:
		return line{sp(toneWarn, "Locked: enlarge the terminal to decide "+c.opts.App)}
	}
	return append(d.now(c), d.totals()...)
}

// tinyKey takes only keys that leave or stay.
func (c *console) tinyKey(k tea.KeyPressMsg) tea.Cmd {
	d := c.deploy
	switch {
	case d == nil || d.result != nil:
		if key.Matches(k, c.keys.quit) {
			return tea.Quit
		}
	case d.leaving && (k.String() == "s" || key.Matches(k, c.keys.back)):
		d.leaving, c.dialog = false, nil
	}
	return nil
}

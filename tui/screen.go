package tui

import (
	"slices"
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

// screen is what fills the terminal, below a dialog.
type screen interface {
	view(c *console) []line // c.h rows of c.w cells
	press(c *console, k tea.KeyPressMsg) tea.Cmd
	settle(c *console)                 // scrolls what has a cursor so that it is visible
	tiny(c *console) line              // tells the state where there is no room for a screen
	bindings(c *console) []key.Binding // what can be pressed now, for the palette
}

// top is the screen that is shown: a watched deploy over ours, ours over the record, all over the fleet.
func (c *console) top() screen {
	switch {
	case c.watched != nil:
		return c.watched
	case c.deploy != nil:
		return c.deploy
	case c.past != nil:
		return c.past
	}
	return c.fleet
}

func (c *console) isTiny() bool { return c.w < leastWidth || c.h < leastHeight }

// screen renders the whole terminal: h lines of w cells.
func (c *console) screen() []line {
	switch {
	case c.w <= 0 || c.h <= 0: // the size is not known yet
		return []line{{sp(toneMuted, "flydeploy "+c.opts.App)}}
	case c.isTiny():
		return fill([]line{c.tinyLine()}, c.w, c.h)
	}
	lines := c.top().view(c)
	switch {
	case c.dialog != nil:
		lines = over(lines, c.dialog.view(c), c.w)
	case c.picker != nil:
		lines = over(lines, c.picker.view(c), c.w)
	}
	return lines
}

// title is the first row of every screen: program, app, organisation, something about them, and at the right a status.
// Where they do not all fit, the organisation goes first; then the status, unless it is one to act on.
func (c *console) title(about, status line) line {
	head := line{{text: " flydeploy ", tone: toneTitle}, sp(toneStrong, c.opts.App)}
	if c.opts.ReadOnly {
		head = append(head, span{text: " · read-only", tone: toneWarn})
	}
	if len(about) > 0 {
		about = append(line{{text: " · ", tone: toneMuted}}, about...)
	}
	var org line
	if c.opts.Org != "" {
		org = line{sp(toneMuted, " · "+c.opts.Org)}
	}
	status = append(status, blank(1))
	free := c.w - 2 - status.width()
	switch {
	case joined(head, org, about).width() <= free:
		return spread(joined(head, org, about), status, c.w)
	case joined(head, about).width() <= free:
		return spread(joined(head, about), status, c.w)
	case !urgent(status):
		return joined(head, about).fit(c.w)
	}
	return spread(head, status.fit(min(status.width(), max(c.w-2-head.width(), 0))), c.w)
}

func joined(parts ...line) line {
	var out line
	for _, l := range parts {
		out = append(out, l...)
	}
	return out
}

// urgent reports whether a line asks for attention.
func urgent(l line) bool {
	return slices.ContainsFunc(l, func(s span) bool { return s.tone == toneWarn || s.tone == toneFail || s.tone == toneActive })
}

// rule is a horizontal line with a heading in it.
func rule(heading string, w int) line {
	if heading != "" {
		heading = " " + cut(clean(heading), max(w-4, 0)) + " "
	}
	l := line{{text: "─", tone: toneRule}, {text: heading, tone: toneMuted}}
	return append(l, span{text: strings.Repeat("─", max(w-l.width(), 0)), tone: toneRule})
}

// sideWidth is how wide the details beside a table are.
func sideWidth(w int) int { return min(max(w*32/100, 38), 80) }

// bottom is the last row: a remark, or the keys that do something here.
func (c *console) bottom(all ...hint) line {
	switch {
	case c.notice != "":
		return line{sp(toneWarn, " "+c.notice)}.fit(c.w)
	case c.dialog != nil:
		all = []hint{{"tab", "choose"}, {"enter", "press"}, {"esc", "close"}}
	case c.picker != nil:
		all = []hint{{"↑↓", "choose"}, {"enter", "run"}, {"esc", "close"}}
	}
	version := line{sp(toneMuted, c.opts.Version+" ")}
	return spread(hints(c.w, all...), version, c.w)
}

// settle scrolls what has a cursor so that it is visible.
func (c *console) settle() {
	if c.isTiny() {
		return
	}
	c.top().settle(c)
	if c.dialog != nil {
		c.dialog.settle(c)
	}
}

// step reads a key that moves: by one, a page, or to an end.
func (c *console) step(k tea.KeyPressMsg) (by int, ok bool) {
	const end = 1 << 20
	page := max(c.h/2-2, 1)
	switch {
	case key.Matches(k, c.keys.up):
		return -1, true
	case key.Matches(k, c.keys.down):
		return 1, true
	case key.Matches(k, c.keys.pageUp):
		return -page, true
	case key.Matches(k, c.keys.pageDown):
		return page, true
	case key.Matches(k, c.keys.top):
		return -end, true
	case key.Matches(k, c.keys.bottom):
		return end, true
	}
	return 0, false
}

// tinyLine tells the state where there is no room for a screen; our own deploy's questions before all else.
func (c *console) tinyLine() line {
	if c.deploy != nil {
		if l := c.deploy.tinyQuestion(c); l != nil {
			return l
		}
	}
	return c.top().tiny(c)
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

// tinyQuestion is what our deploy waits for, nil for nothing.
func (d *deploy) tinyQuestion(c *console) line {
	switch {
	case d.leaving:
		return line{sp(toneWarn, "Still running: s stays, ctrl-c stops "+c.opts.App)}
	case d.planning(c.now):
		return line{sp(toneWarn, "Plan ready: enlarge the terminal to confirm "+c.opts.App)}
	case d.result == nil && d.progress.Asks() == engine.QuestionLock && !d.waiting:
		return line{sp(toneWarn, "Locked: enlarge the terminal to decide "+c.opts.App)}
	}
	return nil
}

func (d *deploy) tiny(c *console) line {
	if d.guest != nil && len(d.board.rows) == 0 {
		return d.guest.status(d)
	} else if d.guest != nil {
		return append(append(d.guest.status(d), blank(2)), d.totals()...)
	}
	return append(d.now(c), d.totals()...)
}

package tui

import (
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// Sizes at which the layout changes, in cells.
const (
	leastWidth  = 60 // on smaller screens one line tells the state
	leastHeight = 16
	wideWidth   = 120 // from here panes stand side by side
)

// screen is what fills the terminal, below a dialog.
type screen interface {
	view(c *console) []cells.Line // c.h rows of c.w cells
	press(c *console, k tea.KeyPressMsg) tea.Cmd
	settle(c *console)                 // scrolls what has a cursor so that it is visible
	tiny(c *console) cells.Line        // tells the state where there is no room for a screen
	bindings(c *console) []key.Binding // what can be pressed now, for the palette
}

// top is the screen that is shown: the machines' logs over all others, a watched deploy over ours, ours over the record, all over the fleet.
func (c *console) top() screen {
	switch {
	case c.output != nil:
		return c.output
	case c.apps != nil:
		return c.apps
	case c.setup != nil:
		return c.setup
	case c.doctor != nil:
		return c.doctor
	}
	return c.below()
}

// below is the screen under the machines' logs.
func (c *console) below() screen {
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
func (c *console) screen() []cells.Line {
	switch {
	case c.w <= 0 || c.h <= 0: // the size is not known yet
		return []cells.Line{{cells.New(cells.Muted, "flydeploy "+c.opts.App)}}
	case c.isTiny():
		return cells.Fill([]cells.Line{c.tinyLine()}, c.w, c.h)
	}
	lines := c.top().view(c)
	switch {
	case c.dialog != nil:
		lines = cells.Over(lines, c.dialog.view(c), c.w)
	case c.help != nil:
		lines = cells.Over(lines, c.help.view(c), c.w)
	case c.picker != nil:
		lines = cells.Over(lines, c.picker.view(c), c.w)
	case c.views != nil:
		lines = cells.Over(lines, c.views.view(c), c.w)
	case c.sheet != nil:
		lines = cells.Over(lines, c.sheet.view(c), c.w)
	}
	return lines
}

// title is the first row of every screen: program, app, organisation, something about them, and a status at the right.
// Where they do not all fit, the organisation is dropped first, then the status, unless it needs attention.
func (c *console) title(about, status cells.Line) cells.Line {
	head := cells.Line{{Text: " flydeploy ", Tone: cells.Heading}, cells.New(cells.Strong, c.opts.App).To(c.appURL())}
	if c.opts.App == "" { // not known yet
		head = cells.Line{{Text: " flydeploy", Tone: cells.Heading}}
	}
	if c.opts.ReadOnly {
		head = append(head, cells.Span{Text: " · read-only", Tone: cells.Warn})
	}
	if len(about) > 0 {
		about = append(cells.Line{{Text: " · ", Tone: cells.Muted}}, about...)
	}
	var org cells.Line
	if c.opts.Org != "" {
		org = cells.Line{cells.New(cells.Muted, " · "+c.opts.Org)}
	}
	status = append(status, cells.Blank(1))
	free := c.w - 2 - status.Width()
	switch {
	case joined(head, org, about).Width() <= free:
		return cells.Spread(joined(head, org, about), status, c.w)
	case joined(head, about).Width() <= free:
		return cells.Spread(joined(head, about), status, c.w)
	case !urgent(status):
		return joined(head, about).Fit(c.w)
	}
	return cells.Spread(head, status.Fit(min(status.Width(), max(c.w-2-head.Width(), 0))), c.w)
}

func joined(parts ...cells.Line) cells.Line {
	var out cells.Line
	for _, l := range parts {
		out = append(out, l...)
	}
	return out
}

// urgent reports whether a line asks for attention.
func urgent(l cells.Line) bool {
	return slices.ContainsFunc(l, func(s cells.Span) bool { return s.Tone == cells.Warn || s.Tone == cells.Fail || s.Tone == cells.Active })
}

// sideWidth is how wide the details beside a table are.
func sideWidth(w int) int { return min(max(w*32/100, 38), 80) }

// bottom is the last row: a remark, or the keys that do something here.
func (c *console) bottom(all ...hint) cells.Line {
	switch {
	case c.notice != "":
		return cells.Line{cells.New(c.noticeTone, " "+c.notice)}.Fit(c.w)
	case c.dialog != nil && len(c.dialog.fields) > 1:
		all = []hint{{"↑↓", "fields"}, {"tab", "choose"}, {"enter", "press"}, {"esc", "close"}}
	case c.dialog != nil:
		all = []hint{{"tab", "choose"}, {"enter", "press"}, {"esc", "close"}}
	case c.help != nil:
		all = []hint{{"a-z", "search"}, {"tab", "other screens"}, {"↑↓", "scroll"}, {"esc", "close"}}
	case c.picker != nil:
		all = []hint{{"↑↓", "choose"}, {"enter", "run"}, {"esc", "close"}}
	case c.views != nil:
		all = []hint{{"↑↓", "choose"}, {"enter", "show"}, {"x", "delete"}, {"esc", "close"}}
	case c.sheet != nil:
		all = c.sheet.hints()
	}
	version := cells.Line{cells.New(cells.Muted, c.opts.Version+" ")}
	return cells.Spread(hints(c.w, all...), version, c.w)
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
	if c.help != nil {
		c.help.settle(c)
	}
	if c.views != nil {
		c.views.settle(c)
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
func (c *console) tinyLine() cells.Line {
	if c.deploy != nil {
		if l := c.deploy.tinyQuestion(c); l != nil {
			return l
		}
	}
	return c.top().tiny(c)
}

// tinyKey handles only the keys that leave or stay.
func (c *console) tinyKey(k tea.KeyPressMsg) tea.Cmd {
	d := c.deploy
	switch {
	case d == nil || d.result != nil:
		if key.Matches(k, c.keys.quit) && c.typing() == nil { // a letter of a filter that was being typed must not quit
			return tea.Quit
		}
	case d.leaving && (k.String() == "s" || key.Matches(k, c.keys.back)):
		d.leaving, c.dialog = false, nil
	}
	return nil
}

// tinyQuestion is what our deploy waits for, nil for nothing.
func (d *deployScreen) tinyQuestion(c *console) cells.Line {
	switch {
	case d.leaving:
		return cells.Line{cells.New(cells.Warn, "Still running: s stays, ctrl-c stops "+c.opts.App)}
	case d.planning(c.now):
		return cells.Line{cells.New(cells.Warn, "Plan ready: enlarge the terminal to confirm "+c.opts.App)}
	case d.result == nil && d.progress.Asks() == engine.QuestionLock && !d.waiting:
		return cells.Line{cells.New(cells.Warn, "Locked: enlarge the terminal to decide "+c.opts.App)}
	}
	return nil
}

func (d *deployScreen) tiny(c *console) cells.Line {
	if d.guest != nil && len(d.board.rows) == 0 {
		return d.guest.status(d)
	} else if d.guest != nil {
		return append(append(d.guest.status(d), cells.Blank(2)), d.totals(c.w)...)
	}
	return append(append(d.now(c, c.w), cells.Blank(2)), d.totals(c.w)...)
}

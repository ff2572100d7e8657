package tui

import (
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// helpBox shows keys over the screen below: first those of this screen; what is typed searches all of them.
type helpBox struct {
	input *input
	shows helpOf
	page  cells.Page
}

// helpOf is which keys are shown.
type helpOf int

const (
	ofThisScreen helpOf = iota
	ofAllScreens
	withNames // as the operator's settings have them
	helpKinds
)

const (
	helpColumn = 32 // width of a column, in cells
	helpKey    = 13 // of its keys
	helpName   = 14 // of their names
)

func (c *console) openHelp() { c.help = &helpBox{input: newInput("")} }

func (h *helpBox) press(c *console, k tea.KeyPressMsg) {
	switch name := k.String(); {
	case name == "esc" && h.input.value() != "":
		h.input = newInput("")
	case name == "esc", name == "enter", name == "?", len(name) > 1 && key.Matches(k, c.keys.help):
		c.help = nil
	case name == "tab":
		h.shows = (h.shows + 1) % helpKinds
	case name == "up":
		h.page.Scroll--
	case name == "down":
		h.page.Scroll++
	case name == "pgup":
		h.page.Scroll -= max(h.rows(c), 1)
	case name == "pgdown":
		h.page.Scroll += max(h.rows(c), 1)
	default:
		h.input.press(k)
		h.page.Scroll = 0
	}
	h.page.Scroll = max(h.page.Scroll, 0)
}

func (h *helpBox) width(c *console) int { return min(c.w-4, dialogWidth) - 4 }

// rows is how many rows the keys have.
func (h *helpBox) rows(c *console) int { return max(c.h-6, 1) }

func (h *helpBox) settle(c *console) {
	h.page.Show(nil, func() []cells.Line { return h.lines(c, h.width(c)) })
	h.page.Clamp(h.rows(c))
}

// lines are the keys: this screen's and those of everywhere, or all of them, or those that are searched.
func (h *helpBox) lines(c *console, w int) []cells.Line {
	typed := h.input.value()
	var here, others []keyGroup
	if own := c.ownKeys(); len(own.keys) > 0 && h.shows == ofThisScreen && typed == "" {
		here = append(here, own)
	}
	for _, g := range c.keys.groups() {
		if typed != "" {
			if g = g.searched(typed); len(g.keys) == 0 {
				continue
			}
		}
		if c.isHere(g.title) {
			here = append(here, g)
		} else {
			others = append(others, g)
		}
	}
	if h.shows != ofThisScreen || typed != "" {
		here = append(here, others...)
	}
	if len(here) == 0 {
		return []cells.Line{{cells.New(cells.Muted, "No key matches "+typed+".")}}
	}
	return helpLines(here, w, h.shows == withNames)
}

// searched gives the keys that are called so, or do that.
func (g keyGroup) searched(typed string) keyGroup {
	found := keyGroup{title: g.title}
	for _, b := range g.keys {
		if b.Enabled() && (b.Help().Key == typed || view.Filtered(typed, b.Help().Desc+" "+g.title+" "+b.name)) {
			found.keys = append(found.keys, b)
		}
	}
	return found
}

// isHere reports whether a group's keys do something on the screen that is shown.
func (c *console) isHere(group string) bool {
	if group == groupEverywhere {
		return true
	}
	switch s := c.top().(type) {
	case *fleet:
		return group == groupFleet && !s.about
	case *outputScreen:
		return group == groupOutput
	case *deployScreen:
		switch {
		case s.pane == paneLog:
			return group == groupLog
		case s.pane == paneModules || s.guest != nil:
			return false
		case s.planning(c.now):
			return group == groupPlan
		case group == groupMap:
			return s.pane == paneMap
		}
		return group == groupDeploy
	}
	return false
}

// ownKeys are those of a screen that is no part of the help's layout, or on which not all of a part's keys do something.
func (c *console) ownKeys() keyGroup {
	own, sorting := keyGroup{}, []key.Binding(nil)
	switch s := c.top().(type) {
	case *fleet:
		if s.about {
			own.title = "Machine"
		}
	case *history:
		own.title = "Record of deploys"
	case *appsScreen:
		own.title = "Apps"
	case *setupScreen:
		own.title = "What is needed"
	case *doctorScreen:
		own.title = "Doctor"
	case *deployScreen:
		switch {
		case s.pane == paneModules:
			own.title = "What changes"
		case s.guest != nil && s.pane != paneLog:
			own.title, sorting = "Watch", sorts(boardSorts)
			if s.guest.replay != nil {
				own.title = groupReplay
			}
		}
	}
	if own.title != "" {
		everywhere := []string{c.keys.copy.Help().Key, c.keys.back.Help().Key, c.keys.quit.Help().Key}
		own.add(slices.DeleteFunc(c.top().bindings(c), func(b key.Binding) bool { return slices.Contains(everywhere, b.Help().Key) }))
		own.add(sorting)
	}
	return own
}

func (h *helpBox) view(c *console) []cells.Line {
	w, rows := h.width(c), h.rows(c)
	what := [helpKinds]string{"tab: keys of all screens", "tab: their names in console.toml", "tab: keys of this screen"}[h.shows]
	if place := h.page.Place(rows); place != "" {
		what += " · " + place
	}
	head := cells.Spread(append(cells.Line{{Text: "/ ", Tone: cells.Active}}, h.input.line(cells.Strong)...), cells.Line{cells.New(cells.Muted, what)}, w)
	body := h.page.View(w+1, min(rows, max(h.page.Len(), 1)))
	for i := range body { // the page leaves a cell at its left
		body[i] = body[i][1:]
	}
	return cells.Frame("Keys", cells.Active, append([]cells.Line{head, nil}, body...), w+4)
}

// helpLines puts the groups into two columns, or into one where two are too narrow, or the keys' names have to stand beside them.
func helpLines(groups []keyGroup, w int, names bool) []cells.Line {
	if w < 2*helpColumn || names {
		var out []cells.Line
		for i, g := range groups {
			if i > 0 {
				out = append(out, nil)
			}
			out = append(out, groupLines(g, w, names)...)
		}
		return out
	}
	var columns [2][]cells.Line
	for i, g := range groups {
		side := min(i, 1)
		if i > 1 && len(columns[0]) < len(columns[1]) {
			side = 0
		}
		if len(columns[side]) > 0 {
			columns[side] = append(columns[side], nil)
		}
		columns[side] = append(columns[side], groupLines(g, w/2-1, false)...)
	}
	var out []cells.Line
	for i := range max(len(columns[0]), len(columns[1])) {
		var l cells.Line
		if i < len(columns[0]) {
			l = append(l, columns[0][i]...)
		}
		l = l.Fit(w / 2)
		if i < len(columns[1]) {
			l = append(l, columns[1][i]...)
		}
		out = append(out, l)
	}
	return out
}

func groupLines(g keyGroup, w int, names bool) []cells.Line {
	out := []cells.Line{cells.Line{{Text: g.title, Tone: cells.Strong}}.Fit(w)}
	for _, b := range g.keys {
		if b.Enabled() {
			l := append(cells.Line{{Text: b.Help().Key, Tone: cells.Active}}.Fit(helpKey), cells.Span{Text: b.Help().Desc})
			if names {
				l = append(l.Fit(w-helpName), cells.Span{Text: b.name, Tone: cells.Strong})
			}
			out = append(out, l.Fit(w))
		}
	}
	return out
}

// sorts are the shift-letters of a table, each with what it sorts by.
func sorts[T any](all []ordering[T]) []key.Binding {
	bindings := make([]key.Binding, len(all))
	for i, o := range all {
		bindings[i] = bind(o.key, "sort by "+o.name, o.key)
	}
	return bindings
}

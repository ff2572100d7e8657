package tui

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

const wheelRows = 3 // that one step of the wheel scrolls

// onWheel scrolls what the arrows scroll.
func (c *console) onWheel(m tea.MouseWheelMsg) tea.Cmd {
	k := tea.KeyPressMsg{Code: tea.KeyDown}
	switch m.Button {
	case tea.MouseWheelUp:
		k.Code = tea.KeyUp
	case tea.MouseWheelDown:
	default:
		return nil
	}
	rows := wheelRows
	if c.dialog != nil || c.picker != nil || c.views != nil || c.sheet != nil { // there a key is a larger step, or a choice
		rows = 1
	}
	var cmds []tea.Cmd
	for range rows {
		cmds = append(cmds, c.onKey(k))
	}
	return tea.Batch(cmds...)
}

// onClick does what the text under the pointer says: it presses a key that is named at the bottom or a button, or moves the cursor to a
// row; the row that has the cursor is opened. It can do nothing that a key cannot, and what goes on with a deploy only a key can do.
func (c *console) onClick(m tea.MouseClickMsg) tea.Cmd {
	if m.Button != tea.MouseLeft || c.isTiny() {
		return nil
	}
	lines := c.screen()
	if m.Y < 0 || m.Y >= len(lines) {
		return nil
	}
	line := lines[m.Y]
	switch {
	case m.Y == len(lines)-1:
		if k, is := hintAt(line, m.X); is && !c.goesOn(k) {
			return c.onKey(k)
		}
	case c.dialog != nil:
		return c.clickButton(line, m.X)
	case c.help != nil:
	case c.picker != nil:
		return c.picker.click(c, m.X, m.Y)
	case c.views != nil:
		return c.views.click(c, m.X, m.Y)
	case c.sheet == nil:
		if d, is := c.top().(*deployScreen); is && d.clickBar(c, m.X, m.Y) {
			return nil
		} else if is && d.pane == paneMap {
			return d.clickMap(c, m.X, m.Y)
		}
		return c.clickRow(line, m.Y)
	}
	return nil
}

// goesOn reports whether a key begins a deploy, or goes on with one. Such hints stand where others have stood a moment before: a double
// click, or one that was meant for the window, must not press them.
func (c *console) goesOn(k tea.KeyPressMsg) bool {
	switch {
	case c.help != nil || c.picker != nil || c.views != nil:
		return false
	case c.dialog != nil || c.sheet != nil:
		return key.Matches(k, bind("", "", "enter"))
	}
	return c.goesOnBelow(k)
}

// goesOnBelow is goesOn of the screen under a dialog.
func (c *console) goesOnBelow(k tea.KeyPressMsg) bool {
	_, deploys := c.top().(*deployScreen)
	return deploys && key.Matches(k, c.keys.confirm, c.keys.cold, c.keys.promote, c.keys.keep, c.keys.takeBack, c.keys.override)
}

// hintAt gives the key that the hint at a cell names; false where there is none, or several keys.
func hintAt(l cells.Line, x int) (tea.KeyPressMsg, bool) {
	at := 0
	for i := 0; i < len(l); i++ {
		w := cells.Width(l[i].Text)
		if l[i].Tone == cells.Active && i+1 < len(l) && l[i+1].Tone == cells.Muted {
			if w += cells.Width(l[i+1].Text); x >= at && x < at+w {
				return keyCalled(strings.TrimSpace(l[i].Text))
			}
			i++
		}
		at += w
	}
	return tea.KeyPressMsg{}, false
}

// clickButton pushes the button of the dialog at a cell.
func (c *console) clickButton(l cells.Line, x int) tea.Cmd {
	row := l.Text()
	for i, b := range c.dialog.buttons {
		label := "[ " + text.Line(strings.TrimSpace(b.key+" "+b.label)) + " ]"
		if before, _, there := strings.Cut(row, label); there {
			if from := cells.Width(before); x >= from && x < from+cells.Width(label) {
				c.dialog.focus = i
				return c.dialog.push(c, b)
			}
		}
	}
	return nil
}

// clickRow moves the cursor to what a row names, or opens it where the cursor is there already.
func (c *console) clickRow(l cells.Line, y int) tea.Cmd {
	row := l.Text()
	if _, beside, there := strings.Cut(row, " │ "); there { // the details at the right are no row
		row = strings.TrimSuffix(row, " │ "+beside)
	}
	var list *cells.List
	at := -1
	switch s := c.top().(type) {
	case *fleet:
		if !s.about {
			list, at = &s.list, slices.IndexFunc(s.rows, func(r fleetRow) bool { return r.m.ID != "" && strings.Contains(row, text.Line(r.m.ID)) })
		}
	case *history:
		list, at = &s.list, s.rowAt(c, y)
	case *appsScreen:
		list, at = &s.list, slices.IndexFunc(s.rows, func(a engine.FlyApp) bool {
			return strings.HasPrefix(strings.TrimLeft(row, " ▸"), text.Line(a.Name)+" ")
		})
	case *deployScreen:
		if s.pane == paneBoard && !s.planning(c.now) {
			list, at = &s.board.list, slices.IndexFunc(s.board.rows, func(r *boardRow) bool { return strings.Contains(row, text.Line(r.m.ID)) })
		}
	}
	switch {
	case at < 0:
		return nil
	case list.At == at:
		return c.onKey(pressOf(c.keys.details))
	}
	list.At = at
	return nil
}

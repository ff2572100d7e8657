package tui

import (
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// onKey hands a key press to whatever is on top. A screen too small to show what a key would do only lets the operator leave.
func (c *console) onKey(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(k, c.keys.interrupt):
		return c.interrupt()
	case c.isTiny():
		return c.tinyKey(k)
	case c.dialog != nil:
		return c.dialog.press(c, k)
	case c.help != nil:
		c.help.press(c, k)
		return nil
	case c.picker != nil:
		return c.picker.press(c, k)
	case c.views != nil:
		return c.views.press(c, k)
	case c.sheet != nil:
		return c.sheet.press(c, k)
	case c.typing() != nil: // it takes all letters
	case key.Matches(k, c.keys.help):
		c.openHelp()
		return nil
	case key.Matches(k, c.keys.palette):
		c.picker = &picker{input: newInput("")}
		return c.viewsWork("", nil) // another console may have kept one
	}
	if c.forbidden(k) {
		c.say("Read-only: nothing can be changed from here")
		return nil
	}
	return c.top().press(c, k)
}

// forbidden reports whether a key would do something on this screen if the console were not read-only.
func (c *console) forbidden(k tea.KeyPressMsg) bool {
	if !c.opts.ReadOnly || c.typing() != nil {
		return false
	}
	is := false
	for _, b := range c.top().bindings(c) {
		switch {
		case !pressed(k, b):
		case b.Enabled():
			return false
		case slices.ContainsFunc(c.keys.changing(), func(a *key.Binding) bool { return slices.Equal(a.Keys(), b.Keys()) }):
			is = true
		}
	}
	return is
}

// typing gives the filter that is being typed, nil for none.
func (c *console) typing() *filter {
	var f *filter
	switch s := c.top().(type) {
	case *fleet:
		f = &s.filter
	case *history:
		f = &s.filter
	case *outputScreen:
		f = &s.filter
	case *appsScreen:
		f = &s.filter
	case *deployScreen:
		switch s.pane {
		case paneLog:
			f = &s.log.filter
		case paneMap:
			f = &s.filter
		}
	}
	if f == nil || f.typed == nil {
		return nil
	}
	return f
}

// onPaste gives pasted text to what is being typed. It is never taken for keys.
func (c *console) onPaste(content string) {
	switch filter := c.typing(); {
	case c.isTiny():
	case c.dialog != nil && c.dialog.typed != "":
		c.dialog.asked().paste(content)
	case c.dialog != nil && len(c.dialog.fields) > 0:
		c.dialog.fields[c.dialog.at].input.paste(content)
	case c.dialog != nil:
	case c.help != nil:
		c.help.input.paste(content)
	case c.picker != nil:
		c.picker.input.paste(content)
		c.picker.at = 0
	case c.views != nil:
	case c.sheet != nil:
		c.sheet.row = rowMessage
		c.sheet.message.paste(content)
	case filter != nil:
		filter.paste(content)
		c.rebuild()
	}
	c.stale = true
}

// rebuild lists again what the filter lets through.
func (c *console) rebuild() {
	switch s := c.top().(type) {
	case *fleet:
		s.build()
	case *history:
		s.build()
	case *appsScreen:
		s.build()
	}
}

// interrupt handles ctrl-c: it quits; while a deploy runs it asks first; pressed again it stops the deploy; and once more, it
// bounds how long cleaning up may take.
func (c *console) interrupt() tea.Cmd {
	switch {
	case c.deploy == nil || c.deploy.result != nil:
		return tea.Quit
	case c.deploy.quitting:
		c.deploy.hurry(c)
		return nil
	case c.deploy.leaving:
		return c.deploy.stopAndQuit(c)
	default:
		c.picker = nil
		c.deploy.askToLeave(c)
		return nil
	}
}

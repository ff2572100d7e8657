package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

func (f *fleet) toggle(c *console) {
	m, ok := f.current()
	switch {
	case !ok:
		return
	case !view.TakesPart(m):
		c.say(m.ID + " is never part of a deploy: " + view.WhyLeftOut(m))
		return
	case f.marked[m.ID]:
		delete(f.marked, m.ID)
	default:
		f.marked[m.ID] = true
	}
	f.anchor = m.ID
	f.move(1)
}

// toggleRange marks from the machine that was marked last to the cursor.
func (f *fleet) toggleRange() {
	from := slices.IndexFunc(f.rows, func(r fleetRow) bool { return r.m.ID != "" && r.m.ID == f.anchor })
	if from < 0 {
		from = f.list.At
	}
	for _, r := range f.rows[min(from, f.list.At):min(max(from, f.list.At)+1, len(f.rows))] {
		if r.m.ID != "" && view.TakesPart(r.m) {
			f.marked[r.m.ID] = true
		}
	}
	if m, ok := f.current(); ok {
		f.anchor = m.ID
	}
}

// toggleAll marks every visible machine, or unmarks them where all are marked.
func (f *fleet) toggleAll() {
	var visible []string
	for _, r := range f.rows {
		if r.m.ID != "" && view.TakesPart(r.m) {
			visible = append(visible, r.m.ID)
		}
	}
	all := !slices.ContainsFunc(visible, func(id string) bool { return !f.marked[id] })
	for _, id := range visible {
		if all {
			delete(f.marked, id)
		} else {
			f.marked[id] = true
		}
	}
}

func (f *fleet) unmark() { f.marked, f.anchor = map[string]bool{}, "" }

func (f *fleet) markSelection(s engine.Selection) {
	for _, id := range f.Selected(s) {
		f.marked[id] = true
	}
}

// marks gives the marked machines' ids in display order, and apart from them those that the filter hides.
func (f *fleet) marks() (visible, hidden []string) {
	for _, m := range f.Overview.Machines {
		switch {
		case !f.marked[m.ID]:
		case f.matches(m):
			visible = append(visible, m.ID)
		default:
			hidden = append(hidden, m.ID)
		}
	}
	return visible, hidden
}

// deployMarked asks about a deploy of the marked machines, of all when none is marked. Marks that the filter hides take part only
// when the operator says so.
func (f *fleet) deployMarked(c *console) tea.Cmd {
	visible, hidden := f.marks()
	switch {
	case !f.seen:
		c.say("The machines are not known yet")
		return nil
	case !f.anyTakesPart():
		c.say("No machine takes part in deploys")
		return nil
	case len(hidden) > 0:
		c.dialog = hiddenDialog(visible, hidden)
		return nil
	case len(visible) == 0 && f.filter.words != "":
		c.say("No machine is marked: mark with " + firstShown(c.keys.mark) + ", or clear the filter with esc to deploy to all")
		return nil
	}
	return c.openSheet(engine.Selection{Machines: visible})
}

// anyTakesPart reports whether there is something to deploy to, as far as is known.
func (f *fleet) anyTakesPart() bool { return slices.ContainsFunc(f.Overview.Machines, view.TakesPart) }

func hiddenDialog(visible, hidden []string) *dialog {
	all := append(slices.Clone(visible), hidden...)
	buttons := []button{{key: "c", label: "Cancel"}}
	if len(visible) > 0 {
		buttons = append(buttons, button{key: "v", label: "Deploy to the " + text.Count(len(visible)) + " visible", act: func(c *console) tea.Cmd {
			return c.openSheet(engine.Selection{Machines: visible})
		}})
	}
	buttons = append(buttons, button{key: "i", label: "Include the hidden (" + text.Count(len(all)) + ")", act: func(c *console) tea.Cmd {
		return c.openSheet(engine.Selection{Machines: all})
	}})
	return &dialog{
		title: "The filter hides marked machines", tone: cells.Warn, buttons: buttons,
		body: func(_ *console, w int) []cells.Line {
			lines := []cells.Line{{cells.New(cells.Normal, text.Count(len(all))+" marked, "+text.Count(len(hidden))+" hidden by the filter.")}, nil}
			lines = append(lines, cells.Paragraph(cells.Normal, "Hidden: "+view.Named(hidden, 2*w), w)...)
			if len(visible) > 0 {
				lines = append(lines, cells.Paragraph(cells.Normal, "Visible: "+view.Named(visible, 2*w), w)...)
			}
			return lines
		},
	}
}

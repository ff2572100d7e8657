package tui

import (
	"context"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/tui/cells"
	"flydeploy/tui/views"
)

// viewsBox lists the filters that are kept, over the fleet.
type viewsBox struct{ list cells.List }

// viewsMsg brings the views that are kept, after one was changed with what is to be said of it.
type viewsMsg struct {
	all  []views.View
	said string
	err  error
}

// viewsWork reads the views after some change of theirs, nil for none.
func (c *console) viewsWork(said string, change func(views.Store) error) tea.Cmd {
	store := c.opts.Views
	if !store.Keeps() {
		return nil
	}
	return c.work.cmd(func(context.Context) tea.Msg {
		if change != nil {
			if err := change(store); err != nil {
				return viewsMsg{err: err}
			}
		}
		all, err := store.List()
		return viewsMsg{all, said, err}
	})
}

func (c *console) onViews(m viewsMsg) {
	switch {
	case m.err != nil:
		c.say("Views: " + m.err.Error())
		return
	case m.said != "":
		c.tell(m.said)
	}
	c.kept, c.stale = m.all, true
}

// openViews shows the views; another console may have kept some since.
func (c *console) openViews() tea.Cmd {
	c.views = &viewsBox{}
	return c.viewsWork("", nil)
}

// showView filters the fleet by a view.
func (c *console) showView(v views.View) {
	c.views = nil
	c.fleet.filter = filter{words: v.Filter}
	c.fleet.build()
}

// keepView keeps the fleet's filter by a name.
func (c *console) keepView(name string) tea.Cmd {
	v := views.View{Name: name, Filter: c.fleet.filter.words}
	if v.Filter == "" {
		c.say("There is no filter to keep: " + firstShown(c.keys.filter) + " sets one")
		return nil
	}
	return c.viewsWork("Kept / "+v.Filter+" as "+v.Name, func(s views.Store) error { return s.Save(v) })
}

const viewSave = "view save "

// viewCommands are those of the palette, over the fleet, for what is typed.
func (c *console) viewCommands(typed string) []command {
	if !c.opts.Views.Keeps() || c.top() != screen(c.fleet) || c.fleet.about {
		return nil
	}
	save := command{viewSave + "NAME: keeps the filter", "", func(c *console) tea.Cmd {
		c.say("Type :" + viewSave + "and a name")
		return nil
	}}
	if len(typed) > len(viewSave) && strings.EqualFold(typed[:len(viewSave)], viewSave) {
		name := strings.TrimSpace(typed[len(viewSave):])
		save = command{viewSave + name, "", func(c *console) tea.Cmd { return c.keepView(name) }}
	}
	all := []command{{"views: filters that are kept", "", (*console).openViews}, save}
	for _, v := range c.kept {
		all = append(all, command{"view " + v.Name, "", func(c *console) tea.Cmd { c.showView(v); return nil }})
	}
	return all
}

func (b *viewsBox) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	if by, ok := c.step(k); ok {
		b.list.Move(by, len(c.kept))
		return nil
	}
	there := b.list.At < len(c.kept)
	switch {
	case key.Matches(k, c.keys.details, c.keys.in) && there:
		c.showView(c.kept[b.list.At])
	case k.String() == "x" && there:
		c.dialog = forgetDialog(c.kept[b.list.At])
	case key.Matches(k, c.keys.back, c.keys.out, c.keys.quit):
		c.views = nil
	}
	return nil
}

// forgetDialog asks before a view is deleted.
func forgetDialog(v views.View) *dialog {
	return &dialog{
		title: "Delete a view", tone: cells.Warn,
		buttons: []button{{key: "c", label: "Cancel"}, {key: "d", label: "Delete it", act: func(c *console) tea.Cmd {
			return c.viewsWork("Deleted the view "+v.Name, func(s views.Store) error { return s.Delete(v.Name) })
		}}},
		body: func(_ *console, w int) []cells.Line {
			return append(cells.Paragraph(cells.Strong, v.Name, w), cells.Paragraph(cells.Normal, "/ "+v.Filter, w)...)
		},
	}
}

// rows is how many views are visible at once.
func (b *viewsBox) rows(c *console) int { return min(max(len(c.kept), 1), c.h-9) }

func (b *viewsBox) settle(c *console) { b.list.Reveal(len(c.kept), b.rows(c)) }

func (b *viewsBox) view(c *console) []cells.Line {
	w, rows := min(c.w-4, dialogWidth)-4, b.rows(c)
	names := w / 3
	from, to := b.list.Window(len(c.kept), rows)
	place := cells.Line{cells.New(cells.Muted, cells.Place(from, rows, len(c.kept)))}
	lines := []cells.Line{cells.Spread(cells.Line{{Text: ":view save NAME keeps the fleet's filter", Tone: cells.Muted}}, place, w), nil}
	for i := from; i < to; i++ {
		row := append(cells.Line{cells.New(cells.Normal, c.kept[i].Name)}.Fit(names), cells.New(cells.Muted, "  / "+c.kept[i].Filter))
		lines = append(lines, cells.ListRow(row, i == b.list.At, w))
	}
	if len(c.kept) == 0 {
		lines = append(lines, cells.Line{{Text: "  None is kept for this app.", Tone: cells.Muted}})
	}
	if b.list.At < len(c.kept) { // in full, which a row may not have
		lines = append(lines, nil, cells.Line{cells.New(cells.Strong, c.kept[b.list.At].Name)})
		lines = append(lines, cells.Paragraph(cells.Normal, "/ "+c.kept[b.list.At].Filter, w)...)
	}
	return cells.Frame("Views", cells.Active, cells.Fill(lines, w, min(len(lines), c.h-3)), w+4)
}

// click moves the cursor to a row, or shows the view that has it.
func (b *viewsBox) click(c *console, x, y int) tea.Cmd {
	box := b.view(c)
	left, top := cells.Middle(box, c.w, c.h)
	from, to := b.list.Window(len(c.kept), b.rows(c))
	i := from + y - top - 3 // the frame, and two rows
	switch {
	case x < left || x >= left+box[0].Width() || i < from || i >= to:
	case i == b.list.At:
		c.showView(c.kept[i])
	default:
		b.list.At = i
	}
	return nil
}

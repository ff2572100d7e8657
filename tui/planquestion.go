package tui

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"

	tea "charm.land/bubbletea/v2"
)

// planQuestion is the bar that asks whether to carry out the plan. The focus is on Cancel.
func (d *deployScreen) planQuestion(c *console, w int) []cells.Line {
	p := d.progress.Plan
	ids := make([]string, 0, len(p.Machines))
	for _, m := range p.Machines {
		ids = append(ids, m.Machine.ID)
	}
	question := " Deploy to " + text.Counted(len(ids), "machine") + "? No process is suspended."
	if p.Processes() > 0 {
		question = " Suspend " + text.Counted(p.Processes(), "process") + " on " + text.Counted(len(ids), "machine") + "?"
	}
	buttons := cells.Line{cells.Button("Cancel", !d.onDeploy), cells.Blank(1), cells.Button(firstShown(c.keys.confirm)+" Deploy", d.onDeploy)}
	if open := d.toRead(w - buttons.Width() - 2); open != "" {
		buttons = append(buttons, cells.New(cells.Warn, "  "+open))
	}
	return []cells.Line{
		cells.Rule("", w), cells.Line{cells.New(cells.Strong, question)}.Fit(w), cells.Line{cells.New(cells.Muted, " "+view.Listed(ids, w-2))}.Fit(w), buttons.Fit(w),
	}
}

// namedIn gives findings' names after a title, or where they have no room, their number: the verdict above names them.
func namedIn(title string, names []string, room int) string {
	if all := title + ": " + strings.Join(names, ", "); cells.Width(all) <= room {
		return all
	}
	return text.Count(len(names)) + " " + title
}

// toRead says in room cells what keeps the plan from being confirmed, or that there are warnings, which a low screen may not show.
func (d *deployScreen) toRead(room int) string {
	var refused, open []string
	for _, f := range d.progress.Plan.Blockers() {
		switch {
		case f.Severity == engine.SeverityRefuse:
			refused = append(refused, f.Name)
		case !d.accepted[f.Name]:
			open = append(open, f.Name)
		}
	}
	switch {
	case len(refused) > 0:
		return namedIn("refused", refused, room)
	case len(open) > 0:
		return namedIn("to accept by name", open, room)
	}
	if unread := d.page.Len() - d.read; unread > 0 {
		return "↓ " + text.Counted(unread, "line") + " not seen yet"
	}
	warnings := 0
	for _, f := range d.progress.Plan.Findings {
		if f.Severity == engine.SeverityWarn {
			warnings++
		}
	}
	if warnings == 0 {
		return ""
	}
	return "! " + text.Counted(warnings, "warning") + " above"
}

// unreadDialog asks whether to deploy although the plan's end has not been on the screen.
func (d *deployScreen) unreadDialog(unread int, a engine.Answer) *dialog {
	return &dialog{
		title: "The plan goes on", tone: cells.Warn,
		buttons: []button{
			{key: "e", label: "Go to its end", act: func(*console) tea.Cmd { d.page.Scroll = d.page.Len(); return nil }},
			{key: "y", label: "Deploy as planned", act: func(c *console) tea.Cmd { d.answer(c, a); return nil }},
		},
		body: func(_ *console, w int) []cells.Line {
			return cells.Paragraph(cells.Normal, text.Counted(unread, "line")+" of "+text.Count(d.page.Len())+" have not been on the screen.", w)
		},
	}
}

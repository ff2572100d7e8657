package tui

import (
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// askToLeave opens the dialog about leaving while a deploy runs.
func (d *deployScreen) askToLeave(c *console) {
	d.leaving = true
	stay := func(*console) tea.Cmd { d.leaving = false; return nil }
	buttons := []button{{key: "s", label: "Stay", act: stay}}
	if d.stopping {
		buttons = append(buttons, button{key: "x", label: "Leave once it is settled", act: d.stopAndQuit})
		c.dialog = &dialog{title: "Your deploy is stopping", tone: cells.Warn, buttons: buttons, lost: stay, body: said("Nothing new starts. Machines finish what they are doing; " +
			"then agents, the temporary machine and the lock are cleaned up.\nPress ctrl-c again to leave once that is done.")}
		return
	}
	if d.committing() {
		buttons = append(buttons, button{key: "b", label: "Leave it running (detach)", act: func(c *console) tea.Cmd {
			c.detached = true
			return tea.Quit
		}})
	}
	buttons = append(buttons, button{key: "x", label: "Stop your deploy", act: func(c *console) tea.Cmd {
		d.stop(c)
		return nil
	}})
	c.dialog = &dialog{title: d.stillRuns(), tone: cells.Warn, buttons: buttons, lost: stay, body: d.leaveBody}
}

func (d *deployScreen) stillRuns() string {
	if d.progress.Asks() == engine.QuestionLock {
		return "Your deploy waits, and has not begun"
	}
	return "Your deploy is still running"
}

func (d *deployScreen) leaveBody(c *console, w int) []cells.Line {
	if held := d.progress.Held; held != nil && d.progress.Asks() == engine.QuestionLock {
		return cells.Paragraph(cells.Muted, "Stopping ends only yours: the lock of "+held.Holder()+" stays as it is.\nPress ctrl-c again to stop it and leave.", w)
	}
	lines := d.targets(w)
	text := "Stopping starts nothing new. Machines finish what they are doing; then agents, the temporary machine and the lock are cleaned up."
	if d.committing() {
		text += "\nDetached, the deploy continues, and its progress is printed here in plain lines."
		if d.progress.Plan != nil && d.progress.Plan.Waits {
			lines = append(lines, nil)
			lines = append(lines, cells.Paragraph(cells.Warn, "After each wave but the last it waits for a key ("+d.waitsFor(c)+"), which nobody can press once you have detached: "+
				"after at most 55 minutes it ends there, and what it has upgraded stays upgraded. To go on later: flydeploy hot --resume", w)...)
		}
	} else {
		text += "\nNothing has been suspended yet. You can leave it running once the plan is confirmed."
	}
	return append(append(lines, nil), cells.Paragraph(cells.Muted, text+"\nPress ctrl-c again to stop it and leave.", w)...)
}

// waitsFor is the key that a wave's pause waits for, and whether it does so now.
func (d *deployScreen) waitsFor(c *console) string {
	key := firstShown(c.keys.promote)
	if d.watching() && len(d.progress.Ways) > 0 {
		key += ", as it does now"
	}
	return key
}

// targets names the deploy's machines after their number.
func (d *deployScreen) targets(w int) []cells.Line {
	ids := make([]string, 0, len(d.progress.Machines))
	for _, m := range d.progress.Machines {
		ids = append(ids, m.ID)
	}
	if len(ids) == 0 {
		return cells.Paragraph(cells.Normal, "Your deploy, "+d.target(w)+": its machines are not known yet.", w)
	}
	return cells.Paragraph(cells.Normal, "Deploy "+d.target(w)+" on "+view.Named(ids, 3*w-40), w)
}

// acceptDialog asks for a blocker's name to be typed.
func (d *deployScreen) acceptDialog(f engine.Finding) *dialog {
	return &dialog{
		title: "Accept a blocker", tone: cells.Warn, typed: f.Name,
		buttons: []button{{label: "Cancel"}, {label: "Accept", guarded: true, act: func(c *console) tea.Cmd {
			d.accepted[f.Name] = true
			c.tell("Accepted " + f.Name)
			return nil
		}}},
		body: func(_ *console, w int) []cells.Line {
			lines := cells.Paragraph(cells.Strong, f.Name, w)
			lines = append(lines, cells.Paragraph(cells.Normal, f.What, w)...)
			if f.Remedy != "" {
				lines = append(lines, cells.Paragraph(cells.Muted, "→ "+f.Remedy, w)...)
			}
			if len(f.Machines) > 0 {
				lines = append(append(lines, nil), cells.Paragraph(cells.Normal, view.Named(f.Machines, 2*w), w)...)
			}
			return lines
		},
	}
}

// problemDialog shows an error and what to do about it.
func problemDialog(title string, p *engine.Problem) *dialog {
	return &dialog{
		title: title, tone: cells.Fail, buttons: []button{{key: "o", label: "OK"}},
		body: func(_ *console, w int) []cells.Line { return view.Problem(p, w) },
	}
}

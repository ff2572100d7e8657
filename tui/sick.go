package tui

import (
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// watching reports whether machines are watched after their commit, and the operator may say for how long.
func (d *deployScreen) watching() bool {
	return d.guest == nil && d.result == nil && !d.stopping && d.progress.Asks() == engine.QuestionWatch
}

func (d *deployScreen) promote(c *console) {
	d.answer(c, engine.Answer{Way: engine.WayPromote})
	c.tell("Going on as soon as every machine has answered once more")
}

func (d *deployScreen) hold(c *console) {
	d.answer(c, engine.Answer{Way: engine.WayHold})
	c.tell("Held: watched until you go on with " + firstShown(c.keys.promote))
}

// waysDialog asks what becomes of an upgrade that is not well, or that some machines have failed to take.
func (d *deployScreen) waysDialog() *dialog {
	choose := func(w engine.Way) func(*console) tea.Cmd {
		return func(c *console) tea.Cmd {
			d.answer(c, engine.Answer{Way: w})
			c.tell(view.Way(w).Said)
			return nil
		}
	}
	dialog := &dialog{title: view.WaysTitle(d.progress), tone: cells.Fail, body: d.waysBody}
	for _, w := range d.progress.Ways {
		words := view.Way(w)
		dialog.buttons = append(dialog.buttons, button{key: words.Key, label: words.Label, act: choose(w)})
	}
	if len(d.progress.Ways) > 0 {
		dialog.lost = choose(d.progress.Ways[0])
	}
	return dialog
}

func (d *deployScreen) waysBody(_ *console, w int) []cells.Line {
	var lines []cells.Line
	if p := d.progress.Fleet[engine.PhaseCommit].Problem; p != nil {
		lines = append(view.Hanging(cells.Fail, "", p.What, w), nil)
	}
	return append(lines, cells.Paragraph(cells.Muted, view.AboutWays(d.progress), w)...)
}

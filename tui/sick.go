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
	c.say("Going on as soon as every machine has answered once more")
}

func (d *deployScreen) hold(c *console) {
	d.answer(c, engine.Answer{Way: engine.WayHold})
	c.say("Held: watched until you go on with " + c.keys.promote.Help().Key)
}

// sickDialog asks what becomes of an upgrade that is not well.
func (d *deployScreen) sickDialog() *dialog {
	way := func(w engine.Way, say string) func(*console) tea.Cmd {
		return func(c *console) tea.Cmd {
			d.answer(c, engine.Answer{Way: w})
			c.say(say)
			return nil
		}
	}
	stop := way(engine.WayStop, "Nothing more starts")
	return &dialog{
		title: "It is not well", tone: cells.Fail, lost: stop,
		buttons: []button{
			{key: "s", label: "Stop here", act: stop},
			{key: "b", label: "Take it back", act: way(engine.WayBack, "Taking it back from the machines that took it")},
			{key: "g", label: "Go on", act: way(engine.WayContinue, "Going on with the others")},
		},
		body: func(_ *console, w int) []cells.Line {
			var lines []cells.Line
			if p := d.progress.Fleet[engine.PhaseCommit].Problem; p != nil {
				lines = append(view.Hanging(cells.Fail, "", p.What, w), nil)
			}
			return append(lines, cells.Paragraph(cells.Muted, "Taking it back deploys what these machines ran before, hot. Machines whose processes the older "+
				"code cannot take over keep the upgrade, and are named.", w)...)
		},
	}
}

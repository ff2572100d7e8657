package tui

import (
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
)

// coldDialog asks for the app's name before a plan that cannot go hot goes out cold: that restarts all machines.
// What that does not cure is named, and accepted with it.
func (d *deployScreen) coldDialog(c *console) *dialog {
	open := d.progress.Plan.NotCured(nil)
	return &dialog{
		title: "Deploy cold", tone: cells.Fail, typed: c.opts.App,
		buttons: []button{
			{label: "Cancel"},
			{label: "Deploy cold", guarded: true, act: func(c *console) tea.Cmd {
				d.answer(c, engine.Answer{Way: engine.WayCold, Accept: engine.NamesOf(open)})
				return nil
			}},
		},
		body: func(_ *console, w int) []cells.Line {
			lines := cells.Paragraph(cells.Warn, "All machines of the app get the image of this plan by `fly deploy --image`, in the way that fly.toml says, and restart: "+
				"their processes start anew. What it prints stands in the log.", w)
			for _, f := range open {
				lines = append(lines, cells.Paragraph(cells.Fail, "A cold deploy does not cure "+f.Name+", which you accept along with it: "+f.What, w)...)
			}
			return lines
		},
	}
}

package tui

import (
	"maps"
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// trialKeys disables the keys that end a trial unless there is one, and somebody to end it.
func (k keyMap) trialKeys(there bool) keyMap {
	k.keep.SetEnabled(k.keep.Enabled() && there)
	k.takeBack.SetEnabled(k.takeBack.Enabled() && there)
	return k
}

// pressTrial ends the trial that the screen shows, if that was pressed.
func (c *console) pressTrial(k tea.KeyPressMsg, there bool) (tea.Cmd, bool) {
	keys := c.keys.trialKeys(there)
	switch {
	case key.Matches(k, keys.keep):
		c.dialog = trialDialog(c.shownTrial(), engine.TrialConfirmed)
		return nil, true
	case key.Matches(k, keys.takeBack):
		c.dialog = trialDialog(c.shownTrial(), engine.TrialTakenBack)
		return nil, true
	}
	return nil, false
}

// leftTrial reports whether our deploy has ended with something on trial.
func (d *deployScreen) leftTrial(c *console) bool {
	return d.guest == nil && d.result != nil && d.result.Trial != nil && !d.result.Trial.Over(c.now) && c.opts.Backend != nil
}

// hasTrial reports whether something is on trial on the fleet.
func (f *fleet) hasTrial(c *console) bool {
	return f.seen && f.Overview.Trial != nil && !f.Overview.Trial.Over(c.now) && c.opts.Backend != nil
}

// shownTrial is the trial that the screen shows.
func (c *console) shownTrial() *engine.Trial {
	if c.deploy != nil {
		return c.deploy.result.Trial
	}
	return c.fleet.Overview.Trial
}

// trialDialog asks before a trial ends. It ends this one, or none.
func trialDialog(t *engine.Trial, how engine.TrialEnd) *dialog {
	words := view.TrialEnding(t, how)
	return &dialog{
		title: words.Title, tone: cells.Warn,
		buttons: []button{{key: "c", label: "Cancel"}, {key: "y", label: words.Label, act: func(c *console) tea.Cmd {
			return c.startRequest(engine.Request{EndTrial: how, Meant: t.ID})
		}}},
		body: func(c *console, w int) []cells.Line {
			lines := append(cells.Paragraph(cells.Normal, t.Describe(c.now), w), nil)
			lines = append(lines, cells.Paragraph(cells.Normal, view.Named(slices.Sorted(maps.Keys(t.Machines)), 2*w), w)...)
			return append(append(lines, nil), cells.Paragraph(cells.Muted, words.About, w)...)
		},
	}
}

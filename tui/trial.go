package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
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
		return c.startRequest(engine.Request{EndTrial: engine.TrialConfirmed}), true
	case key.Matches(k, keys.takeBack):
		return c.startRequest(engine.Request{EndTrial: engine.TrialTakenBack}), true
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

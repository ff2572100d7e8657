package tui

import (
	"charm.land/bubbles/v2/key"

	"flydeploy/tui/view"
)

// offered gives the keys without those that would have nothing to open yet.
func (d *deployScreen) offered(k keyMap) keyMap {
	k.details.SetEnabled(d.board.current() != nil)
	k.timeline.SetEnabled(len(d.board.rows) > 0)
	k.plan.SetEnabled(d.progress.Plan != nil)
	k.cold.SetEnabled(k.cold.Enabled() && d.progress.Plan != nil && d.progress.Plan.MayGoCold)
	k.watch.SetEnabled(k.watch.Enabled() && !(d.waiting && d.progress.Held != nil && d.progress.Held.Frozen()))
	k.logs.SetEnabled(k.logs.Enabled() && d.hasLogs())
	for _, b := range []*key.Binding{&k.shell, &k.iex} {
		b.SetEnabled(b.Enabled() && d.hasLogs() && d.board.current() != nil)
	}
	k.problem.SetEnabled(d.explains())
	k.fleetMap.SetEnabled(len(d.board.rows) > 0)
	k.modules.SetEnabled(d.progress.Plan != nil && len(d.progress.Plan.Modules) > 0)
	return k
}

func (d *deployScreen) hints(c *console) []hint {
	k := d.offered(c.keys)
	switch {
	case d.pane == paneLog:
		return d.log.hints(k)
	case d.pane == paneModules:
		return d.modules.hints(k)
	case d.planning(c.now):
		return []hint{
			short(k.confirm, "deploy as planned"), short(k.cold, "deploy cold"), {"tab", "choose"}, short(k.modules, "what changes"), short(k.help, "help"), {"esc", "leave"},
			{"↑↓", "scroll"}, {"enter", "press"}, short(k.copy, "copy"),
		}
	case d.pane == panePlan:
		return []hint{{"↑↓", "scroll"}, {"esc", "back"}, short(k.modules, "what changes"), short(k.copy, "copy"), short(k.log, "log"), short(k.help, "help")}
	case d.pane == paneMap:
		if d.filter.typed != nil {
			return filterHints
		}
		all := []hint{{"↑↓←→", "select"}, short(k.details, "details"), short(k.filter, "filter"), {"esc", "back"}}
		return append(append(all, d.watchHints(k)...), short(k.logs, "machine's logs"), short(k.log, "log"), short(k.copy, "copy"))
	case d.pane != paneBoard:
		return []hint{{"↑↓", "scroll"}, {"esc", "back"}, short(k.copy, "copy"), short(k.log, "log"), short(k.logs, "logs"), short(k.shell, "shell"), short(k.iex, "IEx"), short(k.help, "help")}
	case d.guest != nil:
		return d.guest.hints(k)
	case d.result != nil:
		k = k.trialKeys(d.leftTrial(c))
		full, again := hint{}, "deploy again"
		if view.Unfinished(*d.result) {
			again = "finish it"
		}
		if d.outcomeIsCut(c) {
			full = hint{firstShown(k.problem), "in full"}
		}
		return []hint{
			short(k.keep, "confirm it"), short(k.takeBack, "take it back"), full, {"esc", "fleet"}, short(k.deploy, again), short(k.details, "details"),
			short(k.log, "log"), short(k.logs, "machine's logs"), short(k.help, "help"), short(k.quit, "quit"), short(k.shell, "shell"), short(k.iex, "IEx"), {"↑↓", "select"}, short(k.timeline, "timeline"), short(k.plan, "plan"), short(k.copy, "copy"),
		}
	case d.stopping:
		leave := hint{"esc", "leave once it is settled"}
		if d.quitting {
			leave = hint{"ctrl-c", "leave within 8 s"}
		}
		return []hint{leave, {"↑↓", "select"}, short(k.details, "details"), short(k.log, "log"), short(k.logs, "machine's logs"), short(k.help, "help")}
	case d.watching():
		return []hint{
			short(k.promote, "go on now"), short(k.hold, "hold"), d.mapHint(k), {"↑↓", "select"}, short(k.details, "details"), short(k.log, "log"), short(k.logs, "machine's logs"), short(k.help, "help"), {"esc", "leave"}, short(k.timeline, "timeline"), short(k.shell, "shell"), short(k.iex, "IEx"),
		}
	case d.waiting:
		over := "override the lock"
		if d.progress.Held != nil && d.progress.Held.Frozen() {
			over = "override the freeze"
		}
		return []hint{short(k.override, over), short(k.watch, "watch live"), short(k.help, "help"), {"esc", "leave"}}
	}
	if len(d.board.rows) == 0 { // there is nothing to choose yet
		return []hint{short(k.log, "log"), short(k.logs, "logs of all machines"), short(k.help, "help"), {"esc", "leave"}}
	}
	return []hint{
		{"↑↓", "select"}, short(k.details, "details"), d.mapHint(k), short(k.log, "log"), short(k.logs, "machine's logs"), short(k.help, "help"), {"esc", "leave"}, short(k.timeline, "timeline"), short(k.plan, "plan"),
		short(k.copy, "copy"), short(k.shell, "shell"), short(k.iex, "IEx"),
	}
}

// mapHint is there for a fleet of which the board shows a small part.
func (d *deployScreen) mapHint(k keyMap) hint {
	if len(d.board.rows) < 50 {
		return hint{}
	}
	return short(k.fleetMap, "map")
}

// watchHints are the keys of a wave that is watched.
func (d *deployScreen) watchHints(k keyMap) []hint {
	if !d.watching() {
		return []hint{short(k.help, "help")}
	}
	return []hint{short(k.promote, "go on now"), short(k.hold, "hold"), short(k.help, "help")}
}

func (d *deployScreen) bindings(c *console) []key.Binding {
	k := d.offered(c.keys)
	own := []key.Binding{k.details, k.plan, k.modules, k.fleetMap, k.timeline, k.log, k.logs, k.shell, k.iex, k.problem, k.copy, k.back}
	if d.pane == paneMap {
		own = append(own, k.filter)
	}
	switch {
	case d.pane == paneLog:
		return []key.Binding{k.follow, k.filter, k.save, k.copy, k.back}
	case d.pane == paneModules:
		return []key.Binding{k.details, k.copy, k.back}
	case d.planning(c.now): // enter presses a button here: it opens no details
		return []key.Binding{k.modules, k.log, k.logs, k.copy, k.back, k.confirm, k.cold}
	case d.guest != nil && d.guest.replay != nil:
		return append(own, k.pause, k.faster, k.slower, k.stepEvent, k.forward, k.rewind, k.nextPhase, k.lastPhase, k.nextFailure, k.lastFailure)
	case d.watching():
		return append(own, k.promote, k.hold)
	case d.waiting:
		return append(own, k.override, k.watch)
	case d.leftTrial(c):
		return append(own, k.keep, k.takeBack, k.deploy, k.quit)
	}
	if d.result != nil && d.guest == nil {
		own = append(own, k.deploy)
	}
	return append(own, k.quit)
}

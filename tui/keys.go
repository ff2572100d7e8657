package tui

import (
	"slices"

	"flydeploy/tui/cells"

	"charm.land/bubbles/v2/key"
)

// keyMap is every key of the console; hints, help and palette are made of it.
type keyMap struct {
	up, down, pageUp, pageDown, top, bottom, in, out  key.Binding
	mark, markRange, markAll, filter, deploy          key.Binding
	details, plan, modules, log, confirm              key.Binding
	next, cold                                        key.Binding
	override, watch, history, inspect, copy           key.Binding
	problem, look                                     key.Binding
	promote, hold, keep, takeBack                     key.Binding
	follow, save                                      key.Binding
	timeline, fleetMap                                key.Binding
	logs, ofAll, onlyErrors, sinceCommit              key.Binding
	shell, iex                                        key.Binding
	pause, faster, slower, stepEvent, forward, rewind key.Binding
	nextPhase, lastPhase, nextFailure, lastFailure    key.Binding
	palette, back, help, quit, interrupt              key.Binding
}

func bind(shows, does string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(shows, does))
}

// newKeyMap leaves out what changes anything when the console is read-only, and what asks the app where there is none.
func newKeyMap(readOnly, app bool) keyMap {
	k := keyMap{
		up: bind("↑ k", "up", "up", "k"), down: bind("↓ j", "down", "down", "j"),
		pageUp: bind("pgup", "page up", "pgup", "ctrl+b"), pageDown: bind("pgdn", "page down", "pgdown", "ctrl+f"),
		top: bind("g", "first", "home", "g"), bottom: bind("G", "last", "end", "G"),
		in: bind("→", "open", "right"), out: bind("← h", "back", "left", "h"),
		mark: bind("space", "mark", "space"), markRange: bind("ctrl-space", "mark a range", "ctrl+space", "ctrl+@"),
		markAll: bind("a", "mark all/none", "a"), filter: bind("/", "filter, ! inverts", "/"),
		deploy:  bind("d", "deploy", "d"),
		details: bind("enter", "details", "enter"), plan: bind("p", "plan", "p"), log: bind("L", "event log", "L"),
		modules: bind("m", "what changes", "m"), fleetMap: bind("F", "the fleet as a map", "F"),
		confirm: bind("D", "deploy as planned", "D"), next: bind("tab", "other button", "tab", "shift+tab", "left", "right"),
		cold:     bind("C", "deploy cold instead", "C"),
		override: bind("o", "override lock", "o"), watch: bind("v", "lock, watch live", "v"), history: bind("r", "record of deploys", "r"),
		inspect: bind("i", "inspect the VMs' code", "i"),
		problem: bind("!", "the error in full", "!"), look: bind("ctrl-r", "look again now", "ctrl+r"),
		promote: bind("N", "end the watch, go on", "N"), hold: bind("H", "hold the watch", "H"),
		keep: bind("K", "confirm the trial", "K"), takeBack: bind("B", "take the trial back", "B"),
		copy:   bind("y", "copy", "y"),
		follow: bind("f", "follow, pause", "f"), save: bind("s", "save", "s"),
		timeline: bind("t", "timeline of machines", "t"),
		logs:     bind("l", "the machine's logs", "l"), ofAll: bind("a", "of all machines, of one", "a"),
		shell: bind("$", "a shell on the machine", "$"), iex: bind(">", "remote IEx in its VM", ">"),
		onlyErrors: bind("e", "only errors", "e"), sinceCommit: bind("c", "only since the commit", "c"),
		pause: bind("space", "pause, go on", "space"), faster: bind("+", "faster", "+", "="), slower: bind("-", "slower", "-"),
		stepEvent: bind(".", "next event", "."), forward: bind("→ l", "10 s forward", "right", "l"), rewind: bind("← h", "10 s back", "left", "h"),
		nextPhase: bind("]", "next phase", "]"), lastPhase: bind("[", "phase before", "["),
		nextFailure: bind("e", "next failure", "e"), lastFailure: bind("E", "failure before", "E"),
		palette: bind(":", "commands", ":"), back: bind("esc", "back", "esc"), help: bind("?", "help", "?"), quit: bind("q", "quit", "q"),
		interrupt: bind("ctrl-c", "leave, stop", "ctrl+c"),
	}
	for _, b := range append(k.changing(), &k.next) {
		b.SetEnabled(!readOnly)
	}
	k.deploy.SetEnabled(!readOnly && app)
	for _, b := range []*key.Binding{&k.logs, &k.shell, &k.iex} { // unless the console has them
		b.SetEnabled(false)
	}
	for _, b := range []*key.Binding{&k.history, &k.watch, &k.inspect, &k.problem, &k.look} {
		b.SetEnabled(app)
	}
	return k
}

// changing are the actions that change something, or lead there.
func (k *keyMap) changing() []*key.Binding {
	return []*key.Binding{
		&k.mark, &k.markRange, &k.markAll, &k.deploy, &k.confirm, &k.cold, &k.override, &k.promote, &k.hold, &k.keep, &k.takeBack, &k.shell, &k.iex,
	}
}

// keyGroup is a part of the help; one without keys is left out.
type keyGroup struct {
	title string
	keys  []namedKey
}

// namedKey is an action's key, and its name in the operator's settings, "" where it is always the same.
type namedKey struct {
	key.Binding
	name string
}

// layout is which keys stand where in the help.
func (k *keyMap) layout() []struct {
	title string
	keys  []*key.Binding
} {
	return []struct {
		title string
		keys  []*key.Binding
	}{
		{groupFleet, []*key.Binding{
			&k.mark, &k.markRange, &k.markAll, &k.filter, &k.details, &k.deploy, &k.inspect, &k.logs, &k.shell, &k.iex, &k.watch, &k.history, &k.problem, &k.look, &k.keep, &k.takeBack,
		}},
		{groupPlan, []*key.Binding{&k.confirm, &k.next, &k.cold, &k.modules}},
		{groupDeploy, []*key.Binding{
			&k.details, &k.plan, &k.modules, &k.fleetMap, &k.timeline, &k.log, &k.logs, &k.shell, &k.iex, &k.problem, &k.promote, &k.hold, &k.keep, &k.takeBack, &k.override, &k.watch,
		}},
		{groupMap, []*key.Binding{&k.filter}},
		{groupLog, []*key.Binding{&k.follow, &k.filter, &k.save}},
		{groupOutput, []*key.Binding{&k.follow, &k.filter, &k.ofAll, &k.onlyErrors, &k.sinceCommit, &k.save}},
		{groupReplay, []*key.Binding{&k.pause, &k.faster, &k.slower, &k.stepEvent, &k.forward, &k.rewind, &k.nextPhase, &k.lastPhase, &k.nextFailure, &k.lastFailure}},
		{groupEverywhere, []*key.Binding{
			&k.up, &k.down, &k.in, &k.out, &k.pageUp, &k.pageDown, &k.top, &k.bottom, &k.copy, &k.palette, &k.help, &k.back, &k.quit, &k.interrupt,
		}},
	}
}

// groups are the keys of the help, with the letters that sort.
func (k keyMap) groups() []keyGroup {
	names := map[*key.Binding]string{}
	for name, b := range k.named() {
		names[b] = name
	}
	var all []keyGroup
	for _, part := range k.layout() {
		g := keyGroup{title: part.title}
		for _, b := range part.keys {
			g.keys = append(g.keys, namedKey{*b, names[b]})
		}
		switch g.title {
		case groupFleet:
			g.add(sorts(fleetSorts))
		case groupDeploy:
			g.add(sorts(boardSorts))
		case groupOutput:
			if !k.logs.Enabled() {
				continue
			}
		}
		if slices.ContainsFunc(g.keys, func(b namedKey) bool { return b.Enabled() }) {
			all = append(all, g)
		}
	}
	return all
}

func (g *keyGroup) add(all []key.Binding) {
	for _, b := range all {
		g.keys = append(g.keys, namedKey{Binding: b})
	}
}

// The titles of the help's parts.
const (
	groupFleet      = "Fleet"
	groupPlan       = "Plan"
	groupDeploy     = "Deploy"
	groupMap        = "Map"
	groupLog        = "Log"
	groupOutput     = "Logs of machines"
	groupReplay     = "Replay"
	groupEverywhere = "Everywhere"
)

// hint is a key and what it does, in a word or two.
type hint struct{ key, does string }

// hints is the row at the bottom: as many as fit, the first ones first.
func hints(w int, all ...hint) cells.Line {
	var out cells.Line
	for _, h := range all {
		if h.key == "" {
			continue
		}
		next := cells.Line{{Text: " " + h.key, Tone: cells.Active}, {Text: " " + h.does + " ", Tone: cells.Muted}}
		if out.Width()+next.Width() > w {
			break
		}
		out = append(out, next...)
	}
	return out
}

// short is the hint of a binding, absent when the binding is disabled.
func short(b key.Binding, does string) hint {
	if !b.Enabled() {
		return hint{}
	}
	return hint{firstShown(b), does}
}

package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"charm.land/bubbles/v2/key"
)

// Keys are what the operator presses in the place of what the console would have: keys by the action's name. Keys with names that an
// action has anyway (arrows, enter, esc, page up and down, …) go on to work beside them.
type Keys map[string][]string

// WrongKey says why an action cannot have its key.
type WrongKey struct{ Action, Why string }

// named are the actions whose keys the operator may choose, by name. ctrl-c and the keys of dialogs are always the same.
func (k *keyMap) named() map[string]*key.Binding {
	return map[string]*key.Binding{
		"up": &k.up, "down": &k.down, "page_up": &k.pageUp, "page_down": &k.pageDown, "first": &k.top, "last": &k.bottom, "open": &k.in, "leave": &k.out,
		"mark": &k.mark, "mark_range": &k.markRange, "mark_all": &k.markAll, "filter": &k.filter, "deploy": &k.deploy,
		"details": &k.details, "plan": &k.plan, "modules": &k.modules, "log": &k.log, "confirm": &k.confirm, "cold": &k.cold,
		"override": &k.override, "lock": &k.watch, "record": &k.history, "inspect": &k.inspect, "copy": &k.copy, "problem": &k.problem, "look": &k.look,
		"promote": &k.promote, "hold": &k.hold, "confirm_trial": &k.keep, "take_back": &k.takeBack, "follow": &k.follow, "save": &k.save,
		"timeline": &k.timeline, "map": &k.fleetMap, "logs": &k.logs, "shell": &k.shell, "iex": &k.iex, "all_machines": &k.ofAll, "only_errors": &k.onlyErrors, "since_commit": &k.sinceCommit,
		"pause": &k.pause, "faster": &k.faster, "slower": &k.slower, "next_event": &k.stepEvent, "forward": &k.forward, "rewind": &k.rewind,
		"next_phase": &k.nextPhase, "phase_before": &k.lastPhase, "next_failure": &k.nextFailure, "failure_before": &k.lastFailure,
		"palette": &k.palette, "back": &k.back, "help": &k.help, "quit": &k.quit,
	}
}

// rebind gives actions the operator's keys. What cannot be was told by Check, and changes nothing here.
func (k *keyMap) rebind(keys Keys) {
	for action, b := range k.named() {
		chosen := make([]string, len(keys[action]))
		for i, name := range keys[action] {
			chosen[i] = canonical(name)
		}
		if len(chosen) == 0 {
			continue
		}
		var kept, shown []string
		for _, name := range b.Keys() {
			if _, is := namedKeys[name]; is && name != "space" || name == "shift+tab" {
				kept = append(kept, name)
			}
		}
		if len(kept) > 0 && strings.ContainsAny(b.Help().Key, "↑↓←→") {
			shown = append(shown, shownKey(kept[0]))
		}
		for _, name := range chosen {
			shown = append(shown, shownKey(name))
		}
		b.SetKeys(append(chosen, kept...)...)
		b.SetHelp(strings.Join(slices.Compact(shown), " "), b.Help().Desc)
	}
}

// allKeys are those of a console that may do everything.
func allKeys() *keyMap {
	k := newKeyMap(false, true)
	for _, b := range []*key.Binding{&k.logs, &k.shell, &k.iex} {
		b.SetEnabled(true)
	}
	return &k
}

// Check gives what is wrong with the keys, by action; nil where all can be.
func (keys Keys) Check() []WrongKey {
	k := allKeys()
	named := k.named()
	var wrong []WrongKey
	for _, action := range slices.Sorted(maps.Keys(keys)) {
		tell := func(format string, args ...any) {
			wrong = append(wrong, WrongKey{action, fmt.Sprintf(format, args...)})
		}
		switch {
		case named[action] == nil:
			tell("there is no action %s; help (?) names them after tab, tab", action)
			continue
		case len(keys[action]) == 0:
			tell("%s has no key", action)
		}
		for _, name := range keys[action] {
			if why := k.cannotBe(named[action], canonical(name)); why != "" {
				tell("%s cannot be %q: %s", action, name, why)
			}
		}
	}
	if len(wrong) == 0 {
		wrong = keys.conflicts()
	}
	return wrong
}

// dialogKeys answer in dialogs that other keys open: the same key, pressed twice, would answer what it has asked.
const dialogKeys = "bivxy"

// cannotBe tells why an action cannot have a key, "" if it can.
func (k *keyMap) cannotBe(action *key.Binding, name string) string {
	_, is := pressNamed(name)
	_, isNamed := namedKeys[name]
	switch {
	case !is:
		return "no key is called so: a key is a character, space, f1 to f12, or ctrl- or alt- with a character"
	case slices.Contains(action.Keys(), name):
	case name == "ctrl+c":
		return "it leaves and stops, always"
	case name == "ctrl+i" || name == "ctrl+m" || name == "ctrl+[":
		return "to most terminals it is tab, enter or esc"
	case isNamed && name != "space" && name[0] != 'f', name == "shift+tab":
		return "it has its own meaning everywhere"
	case name == "space" && slices.Contains(k.goOn(), action):
		return "it goes on with a deploy, and with space people scroll"
	case strings.Contains(dialogKeys, name) && slices.Contains(append(k.goOn(), &k.back, &k.quit, &k.out, &k.details), action):
		return "it may open a dialog in which this key answers"
	}
	return ""
}

// goOn are the actions that begin a deploy, or go on with one.
func (k *keyMap) goOn() []*key.Binding {
	return []*key.Binding{&k.deploy, &k.confirm, &k.cold, &k.override, &k.promote, &k.keep, &k.takeBack}
}

// together are actions that can be pressed on the same screen, and the letters that sort there.
type together struct {
	where string
	keys  []*key.Binding
	sorts []key.Binding
}

func (k *keyMap) together() []together {
	all := map[string][]*key.Binding{}
	for _, g := range k.layout() {
		all[g.title] = g.keys
	}
	everywhere := all[groupEverywhere]
	return []together{
		{"on the fleet's screen", slices.Concat(all[groupFleet], everywhere), sorts(fleetSorts)},
		{"on a deploy's screen", slices.Concat(all[groupDeploy], all[groupPlan], all[groupReplay], []*key.Binding{&k.deploy}, everywhere), sorts(boardSorts)},
		{"on the map of a deploy", slices.Concat([]*key.Binding{&k.filter}, all[groupDeploy], all[groupReplay], everywhere), nil},
		{"in the log", slices.Concat(all[groupLog], everywhere), nil},
		{"in the logs of machines", slices.Concat(all[groupOutput], []*key.Binding{&k.logs, &k.pause}, everywhere), nil},
		{"where a deploy goes on", k.goOn(), nil},
	}
}

// conflicts finds keys that would stand for two actions on one screen, by what the operator has chosen.
func (keys Keys) conflicts() []WrongKey {
	before, k := allKeys(), allKeys()
	k.rebind(keys)
	names := map[*key.Binding]string{}
	for name, b := range k.named() {
		names[b] = name
	}
	was := before.together()
	var wrong []WrongKey
	for i, screen := range k.together() {
		for at, b := range screen.keys {
			if len(keys[names[b]]) == 0 {
				continue
			}
			for _, other := range screen.sorts {
				if shared := inBoth(*b, other); shared != "" {
					wrong = append(wrong, WrongKey{names[b], fmt.Sprintf("%s sorts %s %s: %s cannot have it", shared, strings.TrimPrefix(other.Help().Desc, "sort "), screen.where, names[b])})
				}
			}
			for with, other := range screen.keys {
				shared := inBoth(*b, *other)
				if other == b || shared == "" || shared == inBoth(*was[i].keys[at], *was[i].keys[with]) {
					continue
				}
				wrong = append(wrong, WrongKey{names[b], fmt.Sprintf("%s is both %s and %s %s", shownKey(shared), names[b], names[other], screen.where)})
			}
		}
	}
	slices.SortStableFunc(wrong, func(a, b WrongKey) int { return strings.Compare(a.Action, b.Action) })
	return slices.CompactFunc(wrong, func(a, b WrongKey) bool { return a.Action == b.Action })
}

// inBoth gives a key that two actions have, "" for none.
func inBoth(a, b key.Binding) string {
	for _, name := range a.Keys() {
		if slices.Contains(b.Keys(), name) {
			return name
		}
	}
	return ""
}

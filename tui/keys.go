package tui

import (
	"charm.land/bubbles/v2/key"
)

// keyMap is every key of the console; the hints and the help are made of it.
type keyMap struct {
	up, down, pageUp, pageDown, top, bottom      key.Binding
	mark, markRange, markAll, filter, deploy     key.Binding
	details, confirm, next, choose               key.Binding
	override, back, help, quit, interrupt, fleet key.Binding
}

func bind(shows, does string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(shows, does))
}

// newKeyMap leaves out what changes anything when the console is read-only.
func newKeyMap(readOnly bool) keyMap {
	k := keyMap{
		up: bind("↑ k", "up", "up", "k"), down: bind("↓ j", "down", "down", "j"),
		pageUp: bind("pgup", "page up", "pgup", "ctrl+b"), pageDown: bind("pgdn", "page down", "pgdown", "ctrl+f"),
		top: bind("g", "first", "home", "g"), bottom: bind("G", "last", "end", "G"),
		mark: bind("space", "mark", "space"), markRange: bind("ctrl-space", "mark a range", "ctrl+space", "ctrl+@"),
		markAll: bind("a", "mark all/none", "a"), filter: bind("/", "filter", "/"),
		deploy: bind("d", "deploy", "d"), details: bind("enter", "details", "enter"),
		confirm: bind("y", "confirm plan", "y"), next: bind("tab", "next button", "tab", "shift+tab", "left", "right"),
		choose: bind("enter", "press button", "enter"), override: bind("o", "override lock", "o"),
		back: bind("esc", "back", "esc"), help: bind("?", "help", "?"), quit: bind("q", "quit", "q"),
		interrupt: bind("ctrl-c", "leave, stop", "ctrl+c"), fleet: bind("f", "to the fleet", "f"),
	}
	for _, b := range []*key.Binding{&k.mark, &k.markRange, &k.markAll, &k.deploy, &k.confirm, &k.override} {
		b.SetEnabled(!readOnly)
	}
	return k
}

// keyGroup is a part of the help, and the hints of one screen.
type keyGroup struct {
	title string
	keys  []key.Binding
}

func (k keyMap) groups() []keyGroup {
	return []keyGroup{
		{"Everywhere", []key.Binding{k.up, k.down, k.pageUp, k.pageDown, k.top, k.bottom, k.help, k.back, k.quit, k.interrupt}},
		{"Fleet", []key.Binding{k.mark, k.markRange, k.markAll, k.filter, k.deploy}},
		{"Plan", []key.Binding{k.confirm, k.next, k.choose}},
		{"Deploy", []key.Binding{k.details, k.override, k.fleet}},
	}
}

// hint is a key and what it does in a word or two.
type hint struct{ key, does string }

// hints is the row at the bottom: as many as fit, the first ones first.
func hints(w int, all ...hint) line {
	var out line
	for _, h := range all {
		if h.key == "" {
			continue
		}
		next := line{{text: " " + h.key, tone: toneActive}, {text: " " + h.does + " ", tone: toneMuted}}
		if out.width()+next.width() > w {
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
	return hint{b.Help().Key, does}
}

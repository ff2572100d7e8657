package tui

import (
	"slices"
	"strings"
	"unicode"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// namedKeys are the keys that have names, as Bubble Tea gives them.
var namedKeys = map[string]rune{
	"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "space": tea.KeySpace, "backspace": tea.KeyBackspace, "delete": tea.KeyDelete,
	"insert": tea.KeyInsert, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd,
	"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "f1": tea.KeyF1, "f2": tea.KeyF2, "f3": tea.KeyF3, "f4": tea.KeyF4, "f5": tea.KeyF5, "f6": tea.KeyF6,
	"f7": tea.KeyF7, "f8": tea.KeyF8, "f9": tea.KeyF9, "f10": tea.KeyF10, "f11": tea.KeyF11, "f12": tea.KeyF12,
}

// shownAs are the keys that screens show under another name.
var shownAs = map[string]string{"up": "↑", "down": "↓", "left": "←", "right": "→", "pgdown": "pgdn"}

// pressNamed is the press of a key by its name, false where no key is called so.
func pressNamed(name string) (k tea.KeyPressMsg, is bool) {
	rest := name
	for prefix, mod := range map[string]tea.KeyMod{"ctrl+": tea.ModCtrl, "alt+": tea.ModAlt, "shift+": tea.ModShift} {
		if after, has := strings.CutPrefix(rest, prefix); has && after != "" {
			rest, k.Mod = after, mod
			break
		}
	}
	letters := []rune(rest)
	switch code, named := namedKeys[rest]; {
	case named:
		k.Code = code
	case len(letters) != 1 || !unicode.IsPrint(letters[0]):
		return k, false
	case k.Mod == 0:
		k.Code, k.Text = letters[0], rest
	default:
		k.Code = letters[0]
	}
	return k, k.String() == name && (k.Mod != tea.ModShift || k.Code == tea.KeyTab) // shift and a letter is another letter
}

// pressed reports whether a key is an action's, also where that is offered for another reason than its own.
func pressed(k tea.KeyPressMsg, b key.Binding) bool { return slices.Contains(b.Keys(), k.String()) }

// pressOf is the key press that a binding's first key makes.
func pressOf(b key.Binding) tea.KeyPressMsg {
	k, _ := pressNamed(b.Keys()[0])
	return k
}

// canonical is a key's name as Bubble Tea gives it, from how people and screens write it.
func canonical(name string) string {
	for _, mod := range []string{"ctrl", "alt"} {
		if after, has := strings.CutPrefix(name, mod+"-"); has && after != "" {
			name = mod + "+" + after
		}
	}
	switch name {
	case " ":
		return "space"
	case "pgdn":
		return "pgdown"
	}
	return name
}

// shownKey is a key's name as screens show it.
func shownKey(name string) string {
	if as, is := shownAs[name]; is {
		return as
	}
	for _, mod := range []string{"ctrl", "alt"} {
		if after, has := strings.CutPrefix(name, mod+"+"); has {
			return mod + "-" + after
		}
	}
	return name
}

// keyCalled is the press of a key that a hint names; false where it names several, or arrows.
func keyCalled(name string) (tea.KeyPressMsg, bool) {
	if strings.ContainsAny(name, " ↑↓←→") {
		return tea.KeyPressMsg{}, false
	}
	return pressNamed(canonical(name))
}

// firstShown is the key that hints give for an action: the first of several that the operator has chosen.
func firstShown(b key.Binding) string {
	shown := b.Help().Key
	if first, _, several := strings.Cut(shown, " "); several && !strings.ContainsAny(shown, "↑↓←→") {
		return first
	}
	return shown
}

package tui

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// Setting is one of the console's settings, its value, and where that is from.
type Setting struct{ Name, Value, From string }

// String gives the keys in words, "" for none.
func (keys Keys) String() string {
	var all []string
	for _, action := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, action+" "+strings.Join(keys[action], " or "))
	}
	return strings.Join(all, ", ")
}

// wrongDialog tells what the operator's settings say that cannot be.
func wrongDialog(wrong []string) *dialog {
	return &dialog{
		title: "Not all of console.toml is in force", tone: cells.Warn, buttons: []button{{key: "o", label: "OK"}},
		body: func(_ *console, w int) []cells.Line {
			return append(wrongLines(wrong, w), cells.Paragraph(cells.Muted, "There the console keeps its defaults until the file is corrected. :settings shows what is in force.", w)...)
		},
	}
}

func wrongLines(wrong []string, w int) []cells.Line {
	var lines []cells.Line
	for _, says := range wrong {
		lines = append(append(lines, view.Hanging(cells.Warn, "! ", says, w)...), nil)
	}
	return lines
}

// openSettings shows what is in force, and where it is from.
func (c *console) openSettings() tea.Cmd {
	c.dialog = &dialog{title: "Settings", tone: cells.Active, buttons: []button{{key: "c", label: "Close"}}, body: settingLines}
	return nil
}

func settingLines(c *console, w int) []cells.Line {
	lines := wrongLines(c.opts.Wrong, w)
	now := map[string]string{"skin": string(c.skin), "theme": map[bool]string{true: "dark", false: "light"}[c.dark]}
	for _, s := range c.opts.Settings {
		value := s.Value
		if is := now[s.Name]; is != "" && is != cmp.Or(value, string(cells.Default)) {
			s.From, value = s.From+": "+cmp.Or(value, string(cells.Default)), is
		}
		lines = append(lines, cells.FactLines(s.Name, cmp.Or(value, "the console's own")+" ("+s.From+")", w)...)
	}
	return append(append(lines, nil), cells.Paragraph(cells.Muted, "?, then tab twice, names what [keys] can set. :skin and :theme change the colours until the console is left.", w)...)
}

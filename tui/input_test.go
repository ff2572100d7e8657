package tui

import (
	"testing"

	tea "charm.land/bubbletea/v2"

	"flydeploy/tui/cells"
)

func TestInputHasACursor(t *testing.T) {
	i := newInput("one two")
	for _, step := range []struct {
		key  tea.KeyPressMsg
		want string
	}{
		{keyNamed("left"), "one tw[o]"},
		{keyNamed("x"), "one twx[o]"},
		{keyNamed("backspace"), "one tw[o]"},
		{tea.KeyPressMsg{Code: 'w', Mod: tea.ModCtrl}, "one [o]"},
		{tea.KeyPressMsg{Code: tea.KeyHome}, "[o]ne o"},
		{tea.KeyPressMsg{Code: tea.KeyDelete}, "[n]e o"},
		{tea.KeyPressMsg{Code: tea.KeyEnd}, "ne o█"},
		{keyNamed("東"), "ne o東█"},
		{tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl}, "█"},
		{tea.KeyPressMsg{Code: 'v', Mod: tea.ModCtrl}, "█"},
	} {
		i.press(step.key)
		shown := ""
		for _, s := range i.line(cells.Strong) {
			if s.Tone == cells.Focus {
				s.Text = "[" + s.Text + "]"
			}
			shown += s.Text
		}
		if shown != step.want {
			t.Errorf("after %s: %q, want %q", step.key, shown, step.want)
		}
	}
}

func TestPastedTextIsNeverTakenForKeys(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.sees(6)
	b.keys("/")
	for _, content := range []string{"esc", "left\x1b[31m\n", "enter"} {
		b.send(tea.PasteMsg{Content: content})
	}
	if got := b.fleet.filter; got.typed == nil || got.words != "escleft enter" {
		t.Errorf("the filter is %q", got.words)
	}
	b.keys("esc", ":")
	b.send(tea.PasteMsg{Content: "esc"})
	if b.picker == nil || b.picker.input.value() != "esc" {
		t.Error("pasted text is taken for keys by the palette")
	}
}

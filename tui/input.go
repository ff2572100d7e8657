package tui

import (
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// input is one line that is typed into, with the keys of bubbles' textinput. It is drawn as all else, on the grid of cells.
type input struct{ model textinput.Model }

func newInput(value string) *input {
	m := textinput.New()
	m.KeyMap.Paste.SetEnabled(false) // it would read the clipboard by itself; the terminal pastes
	_ = m.Focus()                    // what it gives would make the cursor blink
	m.SetValue(value)
	return &input{m}
}

func (i *input) value() string { return i.model.Value() }

func (i *input) press(k tea.KeyPressMsg) {
	k.Text = text.Line(k.Text)
	i.model, _ = i.model.Update(k)
}

func (i *input) paste(content string) {
	i.model, _ = i.model.Update(tea.PasteMsg{Content: text.Line(content)})
}

// line shows the text and the cursor.
func (i *input) line(t cells.Tone) cells.Line {
	typed, at := []rune(i.value()), i.model.Position()
	if at >= len(typed) {
		return cells.Line{cells.New(t, string(typed)), {Text: "█", Tone: cells.Active}}
	}
	return cells.Line{cells.New(t, string(typed[:at])), cells.New(cells.Focus, string(typed[at])), cells.New(t, string(typed[at+1:]))}
}

// filter narrows a list down: every word must occur in what a row shows; a leading ! inverts.
type filter struct {
	words string
	typed *input // nil unless it is being typed
}

func (f *filter) open() { f.typed = newInput(f.words) }

func (f *filter) clear() { f.words, f.typed = "", nil }

// press takes a key while the filter is being typed.
func (f *filter) press(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		f.typed = nil
	case "esc":
		f.clear()
	default:
		f.typed.press(k)
		f.words = f.typed.value()
	}
}

func (f *filter) paste(content string) {
	f.typed.paste(content)
	f.words = f.typed.value()
}

// line shows the filter, nil where there is none.
func (f *filter) line(t cells.Tone) cells.Line {
	switch {
	case f.typed != nil:
		return append(cells.Line{{Text: "/ ", Tone: t}}, f.typed.line(t)...)
	case f.words != "":
		return cells.Line{cells.New(t, "/ "+f.words)}
	}
	return nil
}

// lets reports whether a row passes.
func (f *filter) lets(shows string) bool { return f.words == "" || view.Filtered(f.words, shows) }

package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// dialog asks for a decision over the screen below it. The first button is in focus when it opens and must be the
// harmless one.
type dialog struct {
	title   string
	tone    tone // of title and frame
	body    func(c *console, w int) []line
	buttons []button
	focus   int
	scroll  int // of a body that is higher than the screen
	// typed, when set, must be typed out before a guarded button does anything; letters go into the input.
	typed string
	input string
	wrong bool // a guarded button was pressed without the right text
	// lost is called instead of a button when esc closes the dialog; nil: only close.
	lost func(c *console) tea.Cmd
}

type button struct {
	key     string // pressing it acts at once; "" where an input takes the letters
	label   string
	guarded bool
	act     func(c *console) tea.Cmd // runs after the dialog closed; nil: only close
}

// press takes a key and reports what to do, and whether the dialog is over.
func (d *dialog) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		c.dialog = nil
		if d.lost != nil {
			return d.lost(c)
		}
		return nil
	case "tab", "right":
		d.focus = (d.focus + 1) % len(d.buttons)
		return nil
	case "shift+tab", "left":
		d.focus = (d.focus + len(d.buttons) - 1) % len(d.buttons)
		return nil
	case "enter":
		return d.push(c, d.buttons[d.focus])
	case "up", "pgup":
		d.scroll -= 3
		return nil
	case "down", "pgdown":
		d.scroll += 3
		return nil
	}
	if d.typed != "" {
		d.input, d.wrong = edit(d.input, k), false
		return nil
	}
	for _, b := range d.buttons {
		if b.key == k.String() {
			return d.push(c, b)
		}
	}
	return nil
}

func (d *dialog) push(c *console, b button) tea.Cmd {
	if b.guarded && d.input != d.typed {
		d.wrong = true
		return nil
	}
	c.dialog = nil
	if b.act == nil {
		return nil
	}
	return b.act(c)
}

// edit applies a key press to one line of input.
func edit(s string, k tea.KeyPressMsg) string {
	switch k.String() {
	case "backspace", "ctrl+h":
		r := []rune(s)
		return string(r[:max(len(r)-1, 0)])
	case "ctrl+u", "ctrl+w":
		return ""
	}
	return s + clean(k.Text)
}

const dialogWidth = 76 // cells, frame included, where the screen has them

// layout gives the dialog's inner width, its body, what stays below it, and how many rows the body has. A body that is
// higher than that scrolls; the last row says so.
func (d *dialog) layout(c *console) (w int, body, tail []line, rows int) {
	w = min(c.w-4, dialogWidth) - 4
	if d.typed != "" {
		tail = append(tail, nil, d.prompt(w))
	}
	tail = append(append(tail, nil), d.buttonRows(w)...)
	body = d.body(c, w)
	return w, body, tail, max(c.h-4-len(tail), 1)
}

// settle keeps the body's last row visible.
func (d *dialog) settle(c *console) {
	_, body, _, rows := d.layout(c)
	d.scroll = max(min(d.scroll, len(body)-rows+1), 0)
}

// view renders the framed dialog.
func (d *dialog) view(c *console) []line {
	w, body, tail, rows := d.layout(c)
	if len(body) > rows {
		body = append(slices.Clone(body[d.scroll:d.scroll+rows-1]), line{{text: "↑↓ scroll", tone: toneMuted}})
	}
	return frame(d.title, d.tone, append(body, tail...), w+4)
}

func (d *dialog) prompt(w int) line {
	ask, t := "Type "+d.typed+": ", toneText
	if d.wrong {
		ask, t = "Type exactly "+d.typed+": ", toneWarn
	}
	return line{sp(t, ask), sp(toneStrong, d.input), {text: "█", tone: toneActive}}.fit(w)
}

// buttonRows puts the buttons on one row, or below each other where they do not fit.
func (d *dialog) buttonRows(w int) []line {
	var row line
	var rows []line
	for i, b := range d.buttons {
		next := line{buttonSpan(strings.TrimSpace(b.key+" "+b.label), i == d.focus), blank(1)}
		if len(row) > 0 && row.width()+next.width() > w+1 {
			rows, row = append(rows, row), nil
		}
		row = append(row, next...)
	}
	return append(rows, row)
}

// buttonSpan marks the button in focus by a glyph too, not by colour alone.
func buttonSpan(label string, focus bool) span {
	if focus {
		return span{text: "▸[ " + label + " ]", tone: toneButton}
	}
	return span{text: " [ " + label + " ]", tone: toneMuted}
}

// frame draws a box of w cells around lines.
func frame(title string, t tone, lines []line, w int) []line {
	inner := w - 4
	title = cut(" "+clean(title)+" ", max(inner, 0))
	bar := strings.Repeat("─", max(w-3-width(title), 0))
	out := []line{{{text: "╭─", tone: t}, {text: title, tone: t}, {text: bar + "╮", tone: t}}}
	for _, l := range lines {
		row := append(line{{text: "│ ", tone: t}}, l.fit(inner)...)
		out = append(out, append(row, span{text: " │", tone: t}))
	}
	return append(out, line{{text: "╰" + strings.Repeat("─", max(w-2, 0)) + "╯", tone: t}})
}

// over lays a box in the middle of a screen of w cells; what stays visible below is muted.
func over(screen, box []line, w int) []line {
	if len(box) == 0 {
		return screen
	}
	boxWidth := box[0].width()
	x, y := max((w-boxWidth)/2, 0), max((len(screen)-len(box))/2, 0)
	out := make([]line, len(screen))
	for i, l := range screen {
		below := l.text()
		if i < y || i >= y+len(box) {
			out[i] = line{{text: below, tone: toneMuted}}
			continue
		}
		row := line{{text: before(below, x), tone: toneMuted}}.fit(x)
		row = append(row, box[i-y]...)
		out[i] = append(row, line{{text: after(below, x+boxWidth), tone: toneMuted}}...).fit(w)
	}
	return out
}

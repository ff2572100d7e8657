package tui

import (
	"slices"
	"strings"

	"flydeploy/tui/cells"

	tea "charm.land/bubbletea/v2"
)

// dialog asks for a decision over the screen below it. The first button is in focus when it opens and must be the
// harmless one.
type dialog struct {
	title   string
	tone    cells.Tone // of title and frame
	body    func(c *console, w int) []cells.Line
	buttons []button
	held    string // the deploy whose lock it tells of, "" for none
	focus   int
	scroll  int // of a body that does not fit
	// typed, when set, must be typed out before a guarded button does anything; letters go into the input.
	typed string
	input *input
	wrong bool // a guarded button was pressed without the right text
	// fields are filled in before the first button does something with them, which must be harmless; the arrows choose which takes letters.
	fields []field
	at     int
	// lost is called instead of a button when esc closes the dialog; nil: only close.
	lost func(c *console) tea.Cmd
}

type field struct {
	title string
	input *input
}

type button struct {
	key     string // pressing it acts at once; "" where an input takes the letters
	label   string
	guarded bool
	act     func(c *console) tea.Cmd // runs after the dialog closed; nil: only close
}

// press handles a key.
func (d *dialog) press(c *console, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		c.dialog = nil
		if d.lost != nil {
			return d.lost(c)
		}
		return nil
	case "tab":
		d.focus = (d.focus + 1) % len(d.buttons)
		return nil
	case "shift+tab":
		d.focus = (d.focus + len(d.buttons) - 1) % len(d.buttons)
		return nil
	case "enter":
		return d.push(c, d.buttons[d.focus])
	case "up", "pgup":
		d.scroll -= 3
		d.at = max(d.at-1, 0)
		return nil
	case "down", "pgdown":
		d.scroll += 3
		d.at = min(d.at+1, max(len(d.fields)-1, 0))
		return nil
	}
	if len(d.fields) > 0 {
		d.fields[d.at].input.press(k)
		return nil
	}
	if d.typed != "" {
		d.asked().press(k)
		d.wrong = false
		return nil
	}
	switch k.String() {
	case "right":
		d.focus = (d.focus + 1) % len(d.buttons)
		return nil
	case "left":
		d.focus = (d.focus + len(d.buttons) - 1) % len(d.buttons)
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
	if b.guarded && d.asked().value() != d.typed {
		d.wrong = true
		return nil
	}
	c.dialog = nil
	if b.act == nil {
		return nil
	}
	return b.act(c)
}

// asked is the input for what must be typed.
func (d *dialog) asked() *input {
	if d.input == nil {
		d.input = newInput("")
	}
	return d.input
}

const dialogWidth = 76 // cells, frame included, where the screen has them

// layout gives the dialog's inner width, its body, what stays below it, and how many rows the body has. A body with
// more rows scrolls, and its last row says so.
func (d *dialog) layout(c *console) (w int, body, tail []cells.Line, rows int) {
	w = min(c.w-4, dialogWidth) - 4
	if d.typed != "" {
		tail = append(tail, nil, d.prompt(w))
	}
	tail = append(tail, d.fieldRows(w)...)
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
func (d *dialog) view(c *console) []cells.Line {
	w, body, tail, rows := d.layout(c)
	if len(body) > rows {
		body = append(slices.Clone(body[d.scroll:d.scroll+rows-1]), cells.Line{{Text: "↑↓ scroll · " + cells.Place(d.scroll, rows-1, len(body)), Tone: cells.Muted}})
	}
	return cells.Frame(d.title, d.tone, append(body, tail...), w+4)
}

func (d *dialog) prompt(w int) cells.Line {
	ask, t := "Type "+d.typed+": ", cells.Normal
	if d.wrong {
		ask, t = "Type exactly "+d.typed+": ", cells.Warn
	}
	return append(cells.Line{cells.New(t, ask)}, d.asked().line(cells.Strong)...).Fit(w)
}

// fieldRows are a row for each field, below an empty one.
func (d *dialog) fieldRows(w int) []cells.Line {
	if len(d.fields) == 0 {
		return nil
	}
	rows := []cells.Line{nil}
	for i, f := range d.fields {
		l, t := cells.Line{{Text: "  ", Tone: cells.Muted}}, cells.Muted
		if i == d.at {
			l, t = cells.Line{{Text: "▸ ", Tone: cells.Active}}, cells.Strong
		}
		l = append(l, cells.Line{{Text: f.title, Tone: t}}.Fit(cells.FactTitle)...)
		value := cells.Line{cells.New(cells.Normal, f.input.value())}
		if i == d.at {
			value = f.input.line(cells.Strong)
		}
		rows = append(rows, append(l, value...).Fit(w))
	}
	return rows
}

// buttonRows puts the buttons on one row, or below each other where they do not fit.
func (d *dialog) buttonRows(w int) []cells.Line {
	var row cells.Line
	var rows []cells.Line
	for i, b := range d.buttons {
		next := cells.Line{cells.Button(strings.TrimSpace(b.key+" "+b.label), i == d.focus), cells.Blank(1)}
		if len(row) > 0 && row.Width()+next.Width() > w+1 {
			rows, row = append(rows, row), nil
		}
		row = append(row, next...)
	}
	return append(rows, row)
}

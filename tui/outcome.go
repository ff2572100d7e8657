package tui

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// outcomeMost is the most rows that the outcome gets; a key shows all of it.
const outcomeMost = 6

// outcomeRows shows the outcome, as far as it has room.
func (d *deployScreen) outcomeRows(c *console, w int) []cells.Line {
	lines := d.outcomeLines(c, w)
	if len(lines) > outcomeMost {
		lines = lines[:outcomeMost]
		lines[outcomeMost-1] = append(lines[outcomeMost-1], cells.Span{Text: "…", Tone: cells.Normal})
	}
	return lines
}

// outcomeLines tell how it has ended, for how long processes were suspended, what stayed behind, what went wrong.
func (d *deployScreen) outcomeLines(c *console, w int) []cells.Line {
	r := d.result
	glyph, t := view.ResultLook(*r)
	says := view.Headline(*r)
	if took := strings.LastIndex(says, ", after "); took > 0 && c.h < 20 && cells.Width(says) > w-3 { // the title has it
		says = says[:took]
	}
	lines := headline(glyph, t, says, w)
	if spread := view.DistributionOf(r.Machines); len(spread.US) > 0 {
		l := cells.Line{{Text: "   suspended ", Tone: cells.Muted}}
		if len(spread.US) >= view.MinForClasses {
			l = append(l, spread.Scale(16)...)
		} else {
			l = append(l, cells.New(cells.Normal, spread.Text()))
		}
		lines = append(lines, l.Fit(w))
	}
	for _, l := range d.aftermath(w - 4) {
		lines = append(lines, append(cells.Line{cells.Blank(3)}, l...))
	}
	return lines
}

// aftermath is what stayed behind, and what went wrong.
func (d *deployScreen) aftermath(w int) []cells.Line {
	var lines []cells.Line
	for _, left := range d.result.Left {
		lines = append(lines, view.Hanging(cells.Warn, "! ", view.LeftBehind(left, d.progress.LastAt), w)...)
	}
	return append(lines, view.Problem(d.result.Problem, w)...)
}

// headline is the outcome, on two rows where it needs them.
func headline(glyph string, t cells.Tone, text string, w int) []cells.Line {
	line := func(glyph, text string) cells.Line {
		return cells.Line{cells.Blank(1), {Text: glyph + " ", Tone: t}, cells.New(t, text)}.Fit(w)
	}
	wrapped := cells.Wrap(text, w-3)
	if len(wrapped) < 2 {
		return []cells.Line{line(glyph, text)}
	}
	return []cells.Line{line(glyph, wrapped[0]), line(" ", strings.Join(wrapped[1:], " "))}
}

// outcomeIsCut reports whether the screen has no room for all of the outcome.
func (d *deployScreen) outcomeIsCut(c *console) bool {
	return d.result != nil && (len(d.outcomeLines(c, c.w)) > outcomeMost || len(cells.Wrap(view.Headline(*d.result), c.w-3)) > 2)
}

// explains reports whether there is something to be shown in full.
func (d *deployScreen) explains() bool {
	_, running := d.running()
	return d.result != nil || d.guest != nil && d.guest.err != nil || running.Problem != nil
}

// openOutcome shows in full how a deploy has ended, or what is wrong with one that runs.
func (d *deployScreen) openOutcome(c *console) {
	_, running := d.running()
	switch {
	case d.result != nil:
		glyph, t := view.ResultLook(*d.result)
		c.dialog = &dialog{title: "How it has ended", tone: t, buttons: []button{{key: "o", label: "OK"}}, body: func(_ *console, w int) []cells.Line {
			lines := view.Hanging(t, glyph+" ", view.Headline(*d.result), w)
			if more := d.aftermath(w); len(more) > 0 {
				lines = append(append(lines, nil), more...)
			}
			return lines
		}}
	case d.guest != nil && d.guest.err != nil:
		c.dialog = problemDialog("The error in full", engine.AsProblem(d.guest.err))
	case running.Problem != nil:
		c.dialog = problemDialog("The error in full", running.Problem)
	default:
		c.say("There is no error to show")
	}
}

// wrapped breaks lines that are longer than the terminal at spaces, where it would break them inside of words.
func wrapped(lines string, w int) string {
	if w < leastWidth {
		return lines
	}
	var b strings.Builder
	for line := range strings.Lines(lines) {
		rest := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(rest)]
		if cells.Width(strings.TrimRight(line, "\n")) <= w {
			b.WriteString(line)
			continue
		}
		for i, row := range cells.Wrap(strings.TrimRight(rest, "\n"), w-len(indent)-2) {
			if i > 0 {
				row = "  " + row
			}
			b.WriteString(indent + row + "\n")
		}
	}
	return b.String()
}

package tui

import (
	"strings"

	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// outcomeRows shows the outcome.
func (d *deployScreen) outcomeRows(c *console, w int) []cells.Line {
	r := d.result
	glyph, t := view.ResultLook(*r)
	rows := 2
	if c.h < 20 { // as the steps, on a low screen
		rows = 1
	}
	lines := headline(glyph, t, view.Headline(*r), w, rows)
	if spread := view.DistributionOf(r.Machines); len(spread.US) > 0 {
		l := cells.Line{{Text: "   suspended ", Tone: cells.Muted}}
		if len(spread.US) >= view.MinForClasses {
			l = append(l, spread.Scale(16)...)
		} else {
			l = append(l, cells.New(cells.Normal, spread.Text()))
		}
		lines = append(lines, l.Fit(w))
	}
	for _, left := range r.Left {
		lines = append(lines, cells.Line{cells.Blank(3), cells.New(cells.Warn, "! "+view.LeftBehind(left, d.progress.LastAt))}.Fit(w))
	}
	if r.Problem != nil {
		for _, l := range view.Problem(r.Problem, w-4) {
			lines = append(lines, append(cells.Line{cells.Blank(3)}, l...))
		}
	}
	if len(lines) > outcomeMost {
		lines = lines[:outcomeMost]
		lines[outcomeMost-1] = append(lines[outcomeMost-1], cells.Span{Text: "…", Tone: cells.Normal})
	}
	return lines
}

// headline is the outcome, on as many rows as it may take.
func headline(glyph string, t cells.Tone, text string, w, rows int) []cells.Line {
	line := func(glyph, text string) cells.Line {
		return cells.Line{cells.Blank(1), {Text: glyph + " ", Tone: t}, cells.New(t, text)}.Fit(w)
	}
	wrapped := cells.Wrap(text, w-3)
	if rows == 1 || len(wrapped) < 2 {
		return []cells.Line{line(glyph, text)}
	}
	return []cells.Line{line(glyph, wrapped[0]), line(" ", strings.Join(wrapped[1:], " "))}
}

// outcomeMost is the most rows that the outcome gets; the summary has all of it.
const outcomeMost = 6

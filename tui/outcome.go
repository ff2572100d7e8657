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

// outcomeMost is the most rows that the outcome gets; the summary has all of it.
const outcomeMost = 6

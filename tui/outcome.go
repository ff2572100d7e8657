package tui

import (
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// outcomeRows shows the outcome.
func (d *deployScreen) outcomeRows(w int) []cells.Line {
	r := d.result
	glyph, t := view.ResultLook(*r)
	lines := []cells.Line{cells.Line{cells.Blank(1), {Text: glyph + " ", Tone: t}, cells.New(t, view.Headline(*r))}.Fit(w)}
	if spread := view.DistributionOf(r.Machines); len(spread.US) > 0 {
		l := cells.Line{{Text: "   suspended ", Tone: cells.Muted}}
		if len(spread.US) >= view.MinForClasses {
			l = append(l, cells.Span{Text: spread.Sparkline(16), Tone: cells.Active}, cells.Blank(1))
		}
		lines = append(lines, append(l, cells.New(cells.Normal, spread.Text())).Fit(w))
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

// outcomeMost is the most rows that the outcome gets; the summary has all of it.
const outcomeMost = 6

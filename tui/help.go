package tui

import "flydeploy/tui/cells"

// helpDialog lists the keys of the key map.
func (c *console) helpDialog() *dialog {
	return &dialog{
		title: "Keys", tone: cells.Active, buttons: []button{{key: "q", label: "Close"}},
		body: func(c *console, w int) []cells.Line { return c.helpLines(w) },
	}
}

const (
	helpColumn = 32 // width of a column, in cells
	helpKey    = 13 // of its keys
)

// helpLines puts the groups into two columns, or into one where two are too narrow.
func (c *console) helpLines(w int) []cells.Line {
	if w < 2*helpColumn {
		var out []cells.Line
		for _, g := range c.keys.groups() {
			out = append(append(out, groupLines(g, w)...), nil)
		}
		return out
	}
	var columns [2][]cells.Line
	for i, g := range c.keys.groups() {
		side := min(i, 1)
		if i > 1 && len(columns[0]) < len(columns[1]) {
			side = 0
		}
		if len(columns[side]) > 0 {
			columns[side] = append(columns[side], nil)
		}
		columns[side] = append(columns[side], groupLines(g, w/2-1)...)
	}
	var out []cells.Line
	for i := range max(len(columns[0]), len(columns[1])) {
		var l cells.Line
		if i < len(columns[0]) {
			l = append(l, columns[0][i]...)
		}
		l = l.Fit(w / 2)
		if i < len(columns[1]) {
			l = append(l, columns[1][i]...)
		}
		out = append(out, l)
	}
	return out
}

func groupLines(g keyGroup, w int) []cells.Line {
	out := []cells.Line{cells.Line{{Text: g.title, Tone: cells.Strong}}.Fit(w)}
	for _, b := range g.keys {
		if b.Enabled() {
			l := append(cells.Line{{Text: b.Help().Key, Tone: cells.Active}}.Fit(helpKey), cells.Span{Text: b.Help().Desc})
			out = append(out, l.Fit(w))
		}
	}
	return out
}

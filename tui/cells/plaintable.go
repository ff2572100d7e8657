package cells

import (
	"strings"

	"flydeploy/text"
)

// Table lays rows out in plain text: the titles first, every column as wide as its widest cell, nothing cut. It gives the
// lines, without blanks at their ends. Of a column only Title and Right count; a cell that a row lacks stays empty.
func Table(columns []Column, rows [][]string) []string {
	cols := make([]Column, len(columns))
	for i, c := range columns {
		cols[i] = Column{Title: c.Title, Right: c.Right, Width: max(Width(c.Title), 1)}
		for _, row := range rows {
			if i < len(row) {
				cols[i].Width = max(cols[i].Width, Width(text.Line(row[i])))
			}
		}
	}
	lines := []string{trimmed(Head(cols))}
	for _, row := range rows {
		spans := make([]Span, len(cols))
		for i := range min(len(row), len(cols)) {
			spans[i] = New(Normal, row[i])
		}
		lines = append(lines, trimmed(Row(cols, spans)))
	}
	return lines
}

func trimmed(l Line) string { return strings.TrimRight(l.text(), " ") }

package cells

// Column is one column of a table. Its width is that of its widest cell.
type Column struct {
	Title string
	Width int
	Right bool // numbers
	Drop  int  // order in which columns give way on a narrow screen, 1 first; 0 never
	Grows bool // takes what is left
}

const columnGap = 2

// FitColumns gives the columns that fit into w cells, with their final widths; a dropped one has width 0.
func FitColumns(columns []Column, w int) []Column {
	cols := append([]Column(nil), columns...)
	last := 0
	for i := range cols {
		cols[i].Width, last = max(cols[i].Width, Width(cols[i].Title)), max(last, cols[i].Drop)
	}
	for step := 1; TotalWidth(cols) > w && step <= last; step++ {
		for i := range cols {
			if cols[i].Drop == step {
				cols[i].Width = 0
			}
		}
	}
	spare := w - TotalWidth(cols)
	for i := range cols {
		if cols[i].Grows && cols[i].Width > 0 {
			cols[i].Width = max(cols[i].Width+spare, 1)
		}
	}
	return cols
}

// TotalWidth is that of a row, in cells.
func TotalWidth(cols []Column) int {
	sum := -columnGap
	for _, c := range cols {
		if c.Width > 0 {
			sum += c.Width + columnGap
		}
	}
	return max(sum, 0)
}

// Row lays cells out in their columns.
func Row(cols []Column, cells []Span) Line {
	var out Line
	for i, c := range cols {
		if c.Width == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, Blank(columnGap))
		}
		cell := Line{cells[i]}
		if free := c.Width - Width(cells[i].Text); c.Right && free > 0 {
			cell = Line{Blank(free), cells[i]}
		}
		out = append(out, cell.Fit(c.Width)...)
	}
	return out
}

// Head is the row of the titles.
func Head(cols []Column) Line {
	cells := make([]Span, len(cols))
	for i, c := range cols {
		cells[i] = Span{Text: c.Title, Tone: Muted}
	}
	return Row(cols, cells)
}

// OrNone is text, or a dash where there is none.
func OrNone(t Tone, text string) Span {
	if text == "" {
		return Span{Text: "–", Tone: Muted}
	}
	return Span{Text: text, Tone: t}
}

package tui

// column is one column of a table. Its width is that of its widest cell.
type column struct {
	title string
	width int
	right bool // numbers
	drop  int  // order in which columns give way on a narrow screen, 1 first; 0 never
	grows bool // takes what is left
	gone  bool // is not shown at all
}

const columnGap = 2

// shown gives the columns that fit into w cells, with their final widths; a dropped one has width 0.
func shown(columns []column, w int) []column {
	cols := append([]column(nil), columns...)
	for i := range cols {
		if !cols[i].gone {
			cols[i].width = max(cols[i].width, width(cols[i].title))
		}
	}
	for step := 1; total(cols) > w && step <= len(cols); step++ {
		for i := range cols {
			if cols[i].drop == step {
				cols[i].width = 0
			}
		}
	}
	spare := w - total(cols)
	for i := range cols {
		if cols[i].grows && cols[i].width > 0 {
			cols[i].width = max(cols[i].width+spare, 1)
		}
	}
	return cols
}

func total(cols []column) int {
	sum := -columnGap
	for _, c := range cols {
		if c.width > 0 {
			sum += c.width + columnGap
		}
	}
	return max(sum, 0)
}

// rowOf lays cells out in their columns.
func rowOf(cols []column, cells []span) line {
	var out line
	for i, c := range cols {
		if c.width == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, blank(columnGap))
		}
		cell := line{cells[i]}
		if free := c.width - width(cells[i].text); c.right && free > 0 {
			cell = line{blank(free), cells[i]}
		}
		out = append(out, cell.fit(c.width)...)
	}
	return out
}

func headOf(cols []column) line {
	cells := make([]span, len(cols))
	for i, c := range cols {
		cells[i] = span{text: c.title, tone: toneMuted}
	}
	return rowOf(cols, cells)
}

// list is a cursor over rows of which a window is visible.
type list struct{ at, offset int }

// move goes by steps within n rows.
func (l *list) move(by, n int) { l.at = min(max(l.at+by, 0), max(n-1, 0)) }

// reveal scrolls as little as shows the cursor in a window of h rows out of n.
func (l *list) reveal(n, h int) {
	l.at = min(max(l.at, 0), max(n-1, 0))
	l.offset = min(max(l.offset, l.at-h+1), l.at)
	l.offset = max(min(l.offset, n-h), 0)
}

// window gives the visible rows' range.
func (l *list) window(n, h int) (from, to int) {
	from = min(max(l.offset, 0), n)
	return from, min(from+max(h, 0), n)
}

package cells

// List is a cursor over rows of which a window is visible.
type List struct{ At, offset int }

// Move goes by steps within n rows.
func (l *List) Move(by, n int) { l.At = min(max(l.At+by, 0), max(n-1, 0)) }

// Reveal scrolls as little as shows the cursor in a window of h rows out of n.
func (l *List) Reveal(n, h int) {
	l.At = min(max(l.At, 0), max(n-1, 0))
	l.offset = min(max(l.offset, l.At-h+1), l.At)
	l.offset = max(min(l.offset, n-h), 0)
}

// Window gives the visible rows' range.
func (l *List) Window(n, h int) (from, to int) {
	from = min(max(l.offset, 0), n)
	return from, min(from+max(h, 0), n)
}

// Place says which of n rows a window of h shows, "" where that is all.
func (l *List) Place(n, h int) string {
	from, _ := l.Window(n, h)
	return Place(from, h, n)
}

// ListRow puts the cursor before a row, and its band behind it.
func ListRow(l Line, current bool, w int) Line {
	if !current {
		return append(Line{Blank(2)}, l...).Fit(w)
	}
	return append(Line{{Text: "▸ ", Tone: Active}}, l...).Fit(w).onBand()
}

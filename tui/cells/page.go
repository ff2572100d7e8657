package cells

// Page is text that scrolls.
type Page struct {
	lines  []Line
	Scroll int
	key    any
}

// Show lays the page out, unless key, a comparable value, says that it is still the same. Without a key it is always laid
// out.
func (p *Page) Show(key any, layOut func() []Line) {
	if key != nil && key == p.key {
		return
	}
	p.key, p.lines = key, layOut()
}

// Clamp keeps the last line at or above the bottom of h rows.
func (p *Page) Clamp(h int) { p.Scroll = max(min(p.Scroll, len(p.lines)-h), 0) }

// View gives the visible rows, one cell in from the left.
func (p *Page) View(w, h int) []Line {
	from := min(p.Scroll, len(p.lines))
	to := min(from+h, len(p.lines))
	out := make([]Line, 0, h)
	for _, l := range p.lines[from:to] {
		out = append(out, append(Line{Blank(1)}, l...))
	}
	return Fill(out, w, h)
}

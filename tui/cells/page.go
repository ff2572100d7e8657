package cells

import (
	"fmt"

	"flydeploy/text"
)

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

// Len is the number of lines.
func (p *Page) Len() int { return len(p.lines) }

// Place says which lines h rows show, "" where all fit.
func (p *Page) Place(h int) string { return Place(p.Scroll, h, len(p.lines)) }

// Place says which of all lines h rows show from one on, "" where all fit: "1–11 of 45 ↓".
func Place(from, h, all int) string {
	if all <= h || h <= 0 {
		return ""
	}
	to, arrows := min(from+h, all), ""
	if from > 0 {
		arrows += "↑"
	}
	if to < all {
		arrows += "↓"
	}
	return fmt.Sprintf("%s–%s of %s %s", text.Count(from+1), text.Count(to), text.Count(all), arrows)
}

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

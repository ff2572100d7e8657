package tui

import "flydeploy/engine"

// page is text that scrolls.
type page struct {
	lines  []line
	scroll int
	key    pageKey
}

// pageKey tells whether a page that takes long to lay out is still the same.
type pageKey struct {
	plan        *engine.Plan
	w, accepted int
}

// show lays the page out anew, unless it is the one that its key names. The zero key is always laid out.
func (p *page) show(key pageKey, layOut func() []line) {
	if key == p.key && key != (pageKey{}) {
		return
	}
	p.key, p.lines = key, layOut()
}

// clamp keeps the last line at or above the bottom of h rows.
func (p *page) clamp(h int) { p.scroll = max(min(p.scroll, len(p.lines)-h), 0) }

// view gives the visible rows, one cell in from the left.
func (p *page) view(w, h int) []line {
	from := min(p.scroll, len(p.lines))
	to := min(from+h, len(p.lines))
	out := make([]line, 0, h)
	for _, l := range p.lines[from:to] {
		out = append(out, append(line{blank(1)}, l...))
	}
	return fill(out, w, h)
}

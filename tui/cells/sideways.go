package cells

import (
	"slices"

	"flydeploy/text"
)

// Sideways is how far long lines are scrolled: that many cells at their left are out of sight.
type Sideways int

const sidewaysStep = 20 // cells

// Right scrolls on, where some line goes on beyond w cells.
func (s *Sideways) Right(visible []Line, w int) {
	if slices.ContainsFunc(visible, func(l Line) bool { return l.Width() > w }) {
		*s += sidewaysStep
	}
}

// Left scrolls back.
func (s *Sideways) Left() { *s = max(*s-sidewaysStep, 0) }

// Place says how many cells are out of sight, "" for none.
func (s Sideways) Place() string {
	if s == 0 {
		return ""
	}
	return "← " + text.Counted(int(s), "cell")
}

// Of is what of a line is in sight; an ellipsis stands for what is not.
func (s Sideways) Of(l Line) Line {
	n := int(s)
	if n == 0 || l.Width() == 0 {
		return l
	}
	out := Line{{Text: "…", Tone: Muted}}
	n++ // the ellipsis has a cell
	for _, span := range l {
		w := Width(span.Text)
		if w > n {
			span.Text = after(span.Text, n)
			out = append(out, span)
		}
		n = max(n-w, 0)
	}
	return out
}

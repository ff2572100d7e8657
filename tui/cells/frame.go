package cells

import (
	"strings"

	"flydeploy/text"
)

// Button marks the button in focus by a glyph too, not by colour alone.
func Button(label string, focus bool) Span {
	if focus {
		return Span{Text: "▸[ " + label + " ]", Tone: Focus}
	}
	return Span{Text: " [ " + label + " ]", Tone: Muted}
}

// Frame draws a box of w cells around lines.
func Frame(title string, t Tone, lines []Line, w int) []Line {
	inner := w - 4
	title = Cut(" "+text.Line(title)+" ", max(inner, 0))
	bar := strings.Repeat("─", max(w-3-Width(title), 0))
	out := []Line{{{Text: "╭─", Tone: t}, {Text: title, Tone: t}, {Text: bar + "╮", Tone: t}}}
	for _, l := range lines {
		row := append(Line{{Text: "│ ", Tone: t}}, l.Fit(inner)...)
		out = append(out, append(row, Span{Text: " │", Tone: t}))
	}
	return append(out, Line{{Text: "╰" + strings.Repeat("─", max(w-2, 0)) + "╯", Tone: t}})
}

// Middle is where Over lays a box on a screen of w×h cells.
func Middle(box []Line, w, h int) (x, y int) {
	if len(box) == 0 {
		return 0, 0
	}
	return max((w-box[0].Width())/2, 0), max((h-len(box))/2, 0)
}

// Over lays a box in the middle of a screen of w cells; what stays visible below is muted.
func Over(screen, box []Line, w int) []Line {
	if len(box) == 0 {
		return screen
	}
	boxWidth := box[0].Width()
	x, y := Middle(box, w, len(screen))
	out := make([]Line, len(screen))
	for i, l := range screen {
		below := l.text()
		if i < y || i >= y+len(box) {
			out[i] = Line{{Text: below, Tone: Muted}}
			continue
		}
		row := Line{{Text: before(below, x), Tone: Muted}}.Fit(x)
		row = append(row, box[i-y]...)
		out[i] = append(row, Line{{Text: after(below, x+boxWidth), Tone: Muted}}...).Fit(w)
	}
	return out
}

// Package cells lays out text on a grid of terminal cells: lines, tables, frames, scrolling pages, and the theme that paints
// them. It knows nothing of deploys.
//
// A screen is built of lines, and a line of spans: text with a tone. Spans hold clean text, one cell grid and no escape
// sequences, so that text is measured, cut and overlaid before it has any colour. Theme.Paint adds that last.
package cells

import (
	"net/url"
	"strings"

	"flydeploy/text"
)

// String gives lines without their tones, each with a line break at its end.
func String(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(trimmed(l) + "\n")
	}
	return b.String()
}

// FactTitle is the width of a fact's title, in cells.
const FactTitle = 11

// Fact is a row of a title and its value.
func Fact(title, value string, w int) Line {
	return append(Line{{Text: title, Tone: Muted}}.Fit(FactTitle), New(Normal, value)).Fit(w)
}

// FactLines is a fact whose value may need several rows.
func FactLines(title, value string, w int) []Line {
	var out []Line
	for i, row := range Wrap(strings.TrimSpace(value), w-FactTitle) {
		head := ""
		if i == 0 {
			head = title
		}
		out = append(out, Fact(head, row, w))
	}
	return out
}

// Span is a piece of a line in one tone. Band lays it on the cursor's band.
type Span struct {
	Text string
	Tone Tone
	Band bool
	Link string // where a click on it leads, an URL; "" for nowhere
}

// Line is one row of cells.
type Line []Span

// New makes a span of outside text: cleaned, so that it cannot move the cursor or break the grid.
func New(t Tone, s string) Span { return Span{Text: text.Line(s), Tone: t} }

// To makes a span lead to an address, if that is one of the web.
func (s Span) To(address string) Span {
	if u, err := url.Parse(address); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		s.Link = u.String() // without characters that end the sequence
	}
	return s
}

// Blank is w empty cells.
func Blank(w int) Span { return Span{Text: strings.Repeat(" ", max(w, 0))} }

// Width counts the cells of the line.
func (l Line) Width() int {
	w := 0
	for _, s := range l {
		w += Width(s.Text)
	}
	return w
}

// Fit gives the line exactly w cells: cut, or filled up with blanks.
func (l Line) Fit(w int) Line {
	out := make(Line, 0, len(l)+1)
	left := w
	for _, s := range l {
		n := Width(s.Text)
		if n > left {
			s.Text = shorten(s.Text, left)
			out, left = append(out, s), left-Width(s.Text)
			break
		}
		out, left = append(out, s), left-n
	}
	if left > 0 {
		fill := Blank(left)
		fill.Band = len(out) > 0 && out[len(out)-1].Band
		out = append(out, fill)
	}
	return out
}

// onBand lays the whole line on the cursor's band.
func (l Line) onBand() Line {
	out := make(Line, len(l))
	for i, s := range l {
		s.Band = true
		out[i] = s
	}
	return out
}

// Text is the line without tones.
func (l Line) Text() string { return l.text() }

func (l Line) text() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Spread puts left and right at the ends of w cells; where both do not fit, right gives way.
func Spread(left, right Line, w int) Line {
	free := w - left.Width() - right.Width()
	if free < 1 {
		return left.Fit(w)
	}
	return append(append(append(Line{}, left...), Blank(free)), right...)
}

// Fill gives lines exactly h rows of w cells.
func Fill(lines []Line, w, h int) []Line {
	out := make([]Line, 0, max(h, 0))
	for i := range h {
		if i < len(lines) {
			out = append(out, lines[i].Fit(w))
		} else {
			out = append(out, Line{Blank(w)})
		}
	}
	return out
}

// Cropped gives h rows; where some lines have no room, the last row says how many, and what else, such as the key that shows them.
func Cropped(lines []Line, w, h int, shows string) []Line {
	if more := len(lines) - h + 1; h > 0 && more > 1 {
		lines = append(append([]Line(nil), lines[:h-1]...), Line{{Text: "↓ " + text.Counted(more, "more line") + shows, Tone: Muted}})
	}
	return Fill(lines, w, h)
}

// Beside joins two panels of the same height with a rule between them.
func Beside(left, right []Line) []Line {
	out := make([]Line, len(left))
	for i := range left {
		l := append(Line{}, left[i]...)
		out[i] = append(append(l, Span{Text: " │ ", Tone: Border}), right[i]...)
	}
	return out
}

// Paragraph is wrapped text in one tone. Line breaks of the text are kept.
func Paragraph(t Tone, s string, w int) []Line {
	var out []Line
	for part := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		for _, row := range Wrap(part, w) {
			out = append(out, Line{{Text: row, Tone: t}})
		}
	}
	return out
}

// Rule is a horizontal line with a heading in it.
func Rule(heading string, w int) Line { return RuleLine(Line{New(Muted, heading)}, w) }

// RuleLine is a rule whose heading has tones of its own.
func RuleLine(heading Line, w int) Line {
	l := Line{{Text: "─", Tone: Border}}
	if n := min(heading.Width(), max(w-4, 0)); n > 0 {
		space := Span{Text: " ", Tone: Muted}
		l = append(append(append(l, space), heading.Fit(n)...), space)
	}
	return append(l, Span{Text: strings.Repeat("─", max(w-l.Width(), 0)), Tone: Border})
}

// Flow fills rows of w cells with parts.
func Flow(parts []Line, w int) []Line {
	rows := []Line{{Blank(1)}}
	for _, p := range parts {
		last := len(rows) - 1
		if rows[last].Width()+p.Width()+2 > w && len(rows[last]) > 1 {
			rows, last = append(rows, Line{Blank(1)}), last+1
		}
		rows[last] = append(append(rows[last], p...), Blank(2))
	}
	for i := range rows {
		rows[i] = rows[i].Fit(w)
	}
	return rows
}

package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// The screen is built of lines, and a line of spans: text with a tone. Spans hold clean text, one cell grid and no
// escape sequences, so that measuring, cutting and laying over happen on plain text. Colour comes last, in theme.paint.

// span is a piece of a line in one tone. band lays it on the cursor's band.
type span struct {
	text string
	tone tone
	band bool
}

// line is one row of cells.
type line []span

// sp makes a span of outside text: cleaned, so that it cannot move the cursor or break the grid.
func sp(t tone, text string) span { return span{text: clean(text), tone: t} }

// blank is w empty cells.
func blank(w int) span { return span{text: strings.Repeat(" ", max(w, 0))} }

// width counts the cells of clean text.
func width(s string) int {
	if ascii(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// clean makes text of unknown origin safe for one row: escape sequences, control and format characters (also those
// that turn the writing direction) are gone, line breaks and tabs are spaces.
func clean(s string) string {
	if ascii(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, ansi.Strip(strings.ToValidUTF8(s, "")))
}

// cut shortens clean text to at most w cells; what was cut ends in an ellipsis.
func cut(s string, w int) string {
	switch {
	case w <= 0:
		return ""
	case width(s) <= w:
		return s
	}
	return ansi.Truncate(s, w, "…")
}

// shorten cuts like cut, but loses blanks at the end without a word.
func shorten(s string, w int) string {
	if trimmed := strings.TrimRight(s, " "); width(trimmed) <= w {
		return trimmed + strings.Repeat(" ", w-width(trimmed))
	}
	return cut(s, w)
}

func (l line) width() int {
	w := 0
	for _, s := range l {
		w += width(s.text)
	}
	return w
}

// fit gives the line exactly w cells: cut, or filled up with blanks.
func (l line) fit(w int) line {
	out := make(line, 0, len(l)+1)
	left := w
	for _, s := range l {
		n := width(s.text)
		if n > left {
			s.text = shorten(s.text, left)
			out, left = append(out, s), left-width(s.text)
			break
		}
		out, left = append(out, s), left-n
	}
	if left > 0 {
		fill := blank(left)
		fill.band = len(out) > 0 && out[len(out)-1].band
		out = append(out, fill)
	}
	return out
}

// onBand lays the whole line on the cursor's band.
func (l line) onBand() line {
	out := make(line, len(l))
	for i, s := range l {
		s.band = true
		out[i] = s
	}
	return out
}

// text is the line without tones.
func (l line) text() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return b.String()
}

// spread puts left and right at the ends of w cells; where both do not fit, right gives way.
func spread(left, right line, w int) line {
	free := w - left.width() - right.width()
	if free < 1 {
		return left.fit(w)
	}
	return append(append(append(line{}, left...), blank(free)), right...)
}

// fill gives lines exactly h rows of w cells.
func fill(lines []line, w, h int) []line {
	out := make([]line, 0, max(h, 0))
	for i := range h {
		if i < len(lines) {
			out = append(out, lines[i].fit(w))
		} else {
			out = append(out, line{blank(w)})
		}
	}
	return out
}

// beside joins two panels of the same height with a rule between them.
func beside(left, right []line) []line {
	out := make([]line, len(left))
	for i := range left {
		l := append(line{}, left[i]...)
		out[i] = append(append(l, span{text: " │ ", tone: toneRule}), right[i]...)
	}
	return out
}

// wrap breaks text into lines of at most w cells at spaces, or inside a word that is longer than a line.
func wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	return strings.Split(ansi.Wrap(clean(s), w, ""), "\n")
}

// paragraph is wrapped text in one tone. Line breaks of the text are kept.
func paragraph(t tone, s string, w int) []line {
	var out []line
	for part := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		for _, row := range wrap(part, w) {
			out = append(out, line{{text: row, tone: t}})
		}
	}
	return out
}

// before and after give the parts of clean text left and right of a cell; a wide character on the border goes.
func before(s string, cells int) string { return ansi.Truncate(s, max(cells, 0), "") }

func after(s string, cells int) string { return ansi.TruncateLeft(s, max(cells, 0), "") }

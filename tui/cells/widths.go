package cells

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Width counts the cells of clean text.
func Width(s string) int {
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

// Clean makes text of unknown origin safe for one row: escape sequences, control and format characters (also those
// that turn the writing direction) are gone, line breaks and tabs are spaces.
func Clean(s string) string {
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

// Cut shortens clean text to at most w cells; what was cut ends in an ellipsis.
func Cut(s string, w int) string {
	switch {
	case w <= 0:
		return ""
	case Width(s) <= w:
		return s
	}
	return ansi.Truncate(s, w, "…")
}

// shorten cuts like cut, but loses blanks at the end without a word.
func shorten(s string, w int) string {
	if trimmed := strings.TrimRight(s, " "); Width(trimmed) <= w {
		return trimmed + strings.Repeat(" ", w-Width(trimmed))
	}
	return Cut(s, w)
}

// Wrap breaks text into lines of at most w cells at spaces, or inside a word that is longer than a line.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	return strings.Split(ansi.Wrap(Clean(s), w, ""), "\n")
}

// before and after give the parts of clean text left and right of a cell; a wide character on the border goes.
func before(s string, cells int) string { return ansi.Truncate(s, max(cells, 0), "") }

func after(s string, cells int) string { return ansi.TruncateLeft(s, max(cells, 0), "") }

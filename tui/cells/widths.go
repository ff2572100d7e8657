package cells

import (
	"strings"

	"flydeploy/text"

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

// shorten cuts like Cut, but drops blanks at the end without an ellipsis.
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
	return strings.Split(ansi.Wrap(text.Line(s), w, ""), "\n")
}

// before and after give the parts of clean text left and right of a cell; a wide character on the border goes.
func before(s string, cells int) string { return ansi.Truncate(s, max(cells, 0), "") }

func after(s string, cells int) string { return ansi.TruncateLeft(s, max(cells, 0), "") }

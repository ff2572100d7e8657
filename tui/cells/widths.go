package cells

import (
	"strings"
	"unicode"
	"unicode/utf8"

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

// unbroken is a space at which no line ends.
const unbroken = "\u00a0"

// Wrap breaks text into lines of at most w cells at spaces, or inside a word that is longer than a line. A number stays with the word
// after it, which says what is counted, and with an "and" before it.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	wrapped := ansi.Wrap(withNumbers(text.Line(s), w), w, "")
	return strings.Split(strings.ReplaceAll(wrapped, unbroken, " "), "\n")
}

// withNumbers joins each number with the word after it, where a line of w cells holds both.
func withNumbers(s string, w int) string {
	if !strings.ContainsAny(s, "0123456789") {
		return s
	}
	words := strings.Split(s, " ")
	var b strings.Builder
	for i, word := range words {
		switch {
		case i == 0:
		case isNumber(words[i-1]) && isWord(word) && Width(words[i-1])+1+Width(word) <= w, words[i-1] == "and" && isNumber(word) && w > len("and 1,000 more"):
			b.WriteString(unbroken)
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	return b.String()
}

// isNumber reports whether a word is one as we write them: 993, 1,809, 2.5, also behind a parenthesis.
func isNumber(word string) bool {
	return word != "" && strings.Trim(strings.TrimPrefix(word, "("), "0123456789.,") == "" && word[len(word)-1] >= '0' && word[len(word)-1] <= '9'
}

func isWord(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.IsLetter(first)
}

// before and after give the parts of clean text left and right of a cell; a wide character on the border goes.
func before(s string, cells int) string { return ansi.Truncate(s, max(cells, 0), "") }

func after(s string, cells int) string { return ansi.TruncateLeft(s, max(cells, 0), "") }

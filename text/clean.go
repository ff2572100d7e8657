// Package text makes text fit to be shown: it cleans what others wrote, takes secrets out, and puts numbers, sizes and
// durations into words. Every package may use it; it uses none of ours.
package text

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// What machines, builds, storages and other people wrote may hold characters that steer a terminal, turn the direction of
// writing, forge a line or hide. Combining marks and every script stay; joiners between emoji go.

// Line makes s one safe line: escape sequences, control and format characters and what is not UTF-8 are gone; each line
// break or tab is a space. Line(Line(s)) is Line(s).
func Line(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(safe, strings.ReplaceAll(ansi.Strip(strings.ToValidUTF8(s, "")), "\r\n", "\n"))
}

// Block is Line for each line of s: line breaks stay, as "\n".
func Block(s string) string {
	if isPlain(s) {
		return s
	}
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = Line(line)
	}
	return strings.Join(lines, "\n")
}

// JSON cleans a document of JSON, or a line of one, that others wrote: every string in it decodes to what Block makes of
// it. What is not valid JSON is safe to print afterwards, and to decode.
func JSON(document []byte) []byte {
	if isPlainJSON(document) {
		return document
	}
	var out bytes.Buffer
	for rest := document; len(rest) > 0; {
		start, end := literal(rest)
		out.Write(cleanRaw(rest[:start]))
		if start < end {
			out.Write(cleanLiteral(rest[start:end]))
		}
		rest = rest[end:]
	}
	return out.Bytes()
}

// literal finds the first string of a document, with its quotes. It is empty and at the end where there is none, or where
// the closing quote is missing.
func literal(document []byte) (start, end int) {
	start = bytes.IndexByte(document, '"')
	if start < 0 {
		return len(document), len(document)
	}
	for i := start + 1; i < len(document); i++ {
		switch document[i] {
		case '\\':
			i++
		case '"':
			return start, i + 1
		}
	}
	return len(document), len(document)
}

// cleanLiteral works on the decoded text, so that no way of writing an escape gets past it: \u001b, \u009b, the two halves
// \udb40\udc41.
func cleanLiteral(quoted []byte) []byte {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		s = string(quoted[1 : len(quoted)-1]) // no JSON: taken as text, so that cleaning it cannot make an escape
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(Block(s)) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// cleanRaw cleans what is outside of strings, where line breaks are white space.
func cleanRaw(raw []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return safe(r)
	}, raw)
}

// safe gives the rune that stands for r in one line of text, -1 for none.
func safe(r rune) rune {
	switch {
	case r >= ' ' && r <= '~':
		return r
	case r >= '\t' && r <= '\r', r == '\u0085', r == '\u2028', r == '\u2029': // all that breaks a line or moves to a column
		return ' '
	case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs):
		return -1
	}
	return r
}

// isPlain reports whether s is printable ASCII alone: most of what is cleaned is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isPlainJSON reports whether a document surely has nothing to clean: printable ASCII, lines, and escapes of what is
// printable ASCII.
func isPlainJSON(document []byte) bool {
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case c == '\n':
		case c < ' ' || c > '~':
			return false
		case c == '\\':
			i++
			if i == len(document) || !bytes.ContainsRune([]byte(`"\/n`), rune(document[i])) {
				return false
			}
		}
	}
	return true
}

// Shorten cuts s to at most most runes, of which the last is then an ellipsis. Take secrets out before: half of one is
// not recognized any more.
func Shorten(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(most-1, 0)]) + "…"
}

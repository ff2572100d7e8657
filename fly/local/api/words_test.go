package api

import (
	"slices"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                  nil,
		"  a  b ":           {"a", "b"},
		`"" ''`:             {"", ""},
		`a"b c"d`:           {"ab cd"},
		`"a\"b" '\n' \\ \ `: {`a"b`, `\n`, `\`, " "},
	} {
		got, err := splitWords(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("splitWords(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"a`, `'a`, `a\`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("splitWords(%q) = %q, want an error", line, got)
		}
	}
}

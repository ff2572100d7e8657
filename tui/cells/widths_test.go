package cells

import "testing"

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                         "plain",
		"two\nlines\tand a tab":         "two lines and a tab",
		"\x1b[31mred\x1b[0m":            "red",
		"\x1b]0;a title\astays":         "stays",
		"bell\a and delete\x7f":         "bell and delete",
		"\u202eturned\u202c":            "turned",
		"wide 東京":                       "wide 東京",
		"bro\xffken":                    "broken",
		"line\u2028separator\u0085next": "lineseparatornext",
	} {
		if got := Clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

package cells

import (
	"slices"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestANumberStaysWithItsWord(t *testing.T) {
	for text, want := range map[string][]string{
		"a, b and 993 more":      {"a, b and", "993 more"}, // all three are longer than a line
		"and 1,8 of (3 more) to": {"and 1,8 of", "(3 more) to"},
		"ports 1 2 3 4 5 6":      {"ports 1 2 3", "4 5 6"},
		"beam 993 processes":     {"beam 993", "processes"}, // together they are longer than a line
		"the 7 東京カ":              {"the", "7 東京カ"},
		"v22.0.0 4 is one":       {"v22.0.0", "4 is one"},
	} {
		got := Wrap(text, 11)
		if !slices.Equal(got, want) {
			t.Errorf("%q is %q", text, got)
		}
		for _, row := range got {
			if ansi.StringWidth(row) > 11 {
				t.Errorf("%q is too wide", row)
			}
		}
	}
}

func TestAnAndStaysWithItsNumber(t *testing.T) {
	if got := Wrap("148e00006c0000, and 993 more", 20); !slices.Equal(got, []string{"148e00006c0000,", "and 993 more"}) {
		t.Errorf("%q", got)
	}
}

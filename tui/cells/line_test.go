package cells

import (
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestRule13FitByCells(t *testing.T) {
	for _, text := range []string{"", "short", "exactly 10", "much longer than ten cells", "東京カウンター", "a東b京c都d府e", "trailing      "} {
		for w := range 14 {
			got := Line{New(Normal, text), New(Muted, "tail")}.Fit(w)
			if got.Width() != w || ansi.StringWidth(got.text()) != w {
				t.Errorf("fit(%q, %d) is %d cells: %q", text, w, got.Width(), got.text())
			}
		}
	}
}

func TestSidewaysByCells(t *testing.T) {
	line := Line{New(Normal, "abc"), New(Muted, "東京"), New(Normal, "xyz")}
	for at, want := range map[Sideways]string{0: "abc東京xyz", 1: "…c東京xyz", 2: "…東京xyz", 6: "…xyz", 9: "…", 40: "…"} {
		if got := at.Of(line).text(); got != want {
			t.Errorf("from %d on: %q, want %q", at, got, want)
		}
	}
	if got := Sideways(3).Of(Line{New(Normal, "")}).text(); got != "" {
		t.Errorf("an empty line is %q", got)
	}
}

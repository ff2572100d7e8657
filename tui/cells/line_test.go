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

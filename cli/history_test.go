package cli

import (
	"strings"
	"testing"

	"flydeploy/engine"
)

// The history says why an upgrade was not well, and which machines boot their image since.
func TestHistoryTellsWhatWasNotWell(t *testing.T) {
	const why = "2.1.0 runs on 2 of 6 machines, and is not well: 214 crashes of Shop.Cart in 8 s: KeyError :step at cart.ex:41"
	var out strings.Builder
	err := printHistory(&out, []engine.Past{
		{ID: "01B", Outcome: engine.OutcomeUnhealthy, Health: engine.HealthUnhealthy, Version: "2.1.0", Why: why + "\x1b[2J"},
		{ID: "01A", Outcome: engine.OutcomeSucceeded, Version: "2.0.0", BootsImage: []string{"148e1", "148e2"}},
	})
	got := out.String()
	for _, says := range []string{
		"unhealthy", "not well", "\n01B: " + why + "\n",
		"\n01A: two boots in a row with it ended within a minute. These machines boot their image's code instead: 148e1, 148e2\n  → Deploy an upgrade that boots.",
	} {
		if err != nil || strings.Count(got, says) == 0 {
			t.Errorf("want %q in:\n%s%v", says, got, err)
		}
	}
}

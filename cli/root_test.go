package cli

import (
	"fmt"
	"strings"
	"testing"

	"flydeploy/engine/agent"
)

// What the agent's side names only by its kind has a remedy too.
func TestAnErrorEndsWithWhatToDo(t *testing.T) {
	var stderr strings.Builder
	code := exitCode(&stderr, "flydeploy", fmt.Errorf("machine m1: %w", &agent.Refusal{Name: "several_vms", What: "2 releases run on the machine"}))
	text := stderr.String()
	if code != 1 || !strings.HasPrefix(text, "flydeploy: machine m1: 2 releases run on the machine\n  → ") || !strings.Contains(text, "--release") {
		t.Errorf("exit %d:\n%s", code, text)
	}
}

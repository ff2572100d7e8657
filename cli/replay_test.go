package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// A recorded deploy as a document: progress stays out of it.
func TestAReplayAsMarkdown(t *testing.T) {
	before, after, end := tuitest.RolledBack(2)
	var record bytes.Buffer
	for _, e := range append(append([]engine.Event{}, before...), after...) {
		if err := plain.Encode(&record, e); err != nil {
			t.Fatal(err)
		}
	}
	end.Type = "result"
	if err := plain.Encode(&record, end); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, record.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	root := rootCommand(newInterrupts())
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs([]string{"replay", file, "--speed", "0", "--output", "markdown"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout.String(), "### ✗ counter 0.2.0: partial") || !strings.Contains(stdout.String(), "#### Plan") ||
		strings.Contains(stdout.String(), "fleet Build") {
		t.Errorf("the document is\n%s", stdout.String())
	}
	if !strings.Contains(stderr.String(), "fleet Build") {
		t.Errorf("progress is\n%s", stderr.String())
	}
}

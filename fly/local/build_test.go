package local

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBuild(t *testing.T) {
	f := startProcesses(t)
	var lines []string
	ref, err := f.Build(t.Context(), "testdata/sample", []string{"SAMPLE_VERSION=1.2.3"}, func(line string) { lines = append(lines, line) })
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	if !strings.HasPrefix(ref, "registry.fly.io/sample:deployment-") || !slices.Contains(lines, "image: "+ref) {
		t.Errorf("reference %s; lines:\n%s", ref, strings.Join(lines, "\n"))
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "image size: ") }) {
		t.Errorf("no image size in\n%s", strings.Join(lines, "\n"))
	}
	if !strings.Contains(strings.Join(lines, "\n"), "assembling sample-1.2.3") {
		t.Errorf("mix's lines are missing, or the environment:\n%s", strings.Join(lines, "\n"))
	}
	for _, left := range []string{"_build", "deps"} {
		if _, err := os.Stat(filepath.Join("testdata", "sample", left)); !os.IsNotExist(err) {
			t.Errorf("the build left %s in the source: %v", left, err)
		}
	}
}

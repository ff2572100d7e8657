package local

import (
	"context"
	"errors"
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

func TestBuildFailures(t *testing.T) {
	f := startProcesses(t)
	if _, err := f.BuildRelease(t.Context(), t.TempDir(), nil, func(string) {}); err == nil || !strings.Contains(err.Error(), "no Mix project") {
		t.Errorf("build of nothing: %v", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "mix.exs"), []byte("defmodule Broken do"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	_, err := f.BuildRelease(t.Context(), broken, nil, func(line string) { said.WriteString(line + "\n") })
	if err == nil || !strings.Contains(said.String(), "TokenMissingError") {
		t.Errorf("build of broken source: %v\n%s", err, said.String())
	}
}

// A cancelled build ends mix and what mix started.
func TestBuildCancelled(t *testing.T) {
	f := startProcesses(t)
	source := t.TempDir()
	const endless = `IO.puts("building"); System.cmd("sleep", ["300"])`
	if err := os.WriteFile(filepath.Join(source, "mix.exs"), []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.BuildRelease(ctx, source, nil, func(line string) {
		if line == "building" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled build: %v", err)
	}
	until(t, "mix and its children have ended", func(context.Context) (bool, string) {
		left := marked(runMark + "=" + filepath.Base(f.folder))
		return len(left) == 0, ""
	})
}

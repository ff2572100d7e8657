package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flydeploy/fly/local/run"
)

func TestBuildFailures(t *testing.T) {
	folder := claim(t)
	if _, err := BuildRelease(t.Context(), folder, t.TempDir(), nil, func(string) {}); err == nil || !strings.Contains(err.Error(), "no Mix project") {
		t.Errorf("build of nothing: %v", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "mix.exs"), []byte("defmodule Broken do"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	_, err := BuildRelease(t.Context(), folder, broken, nil, func(line string) { said.WriteString(line + "\n") })
	if err == nil || !strings.Contains(said.String(), "TokenMissingError") {
		t.Errorf("build of broken source: %v\n%s", err, said.String())
	}
}

// A cancelled build ends mix and what mix started.
func TestBuildCancelled(t *testing.T) {
	folder := claim(t)
	source := t.TempDir()
	const endless = `System.cmd("sh", ["-c", "echo started >&2; exec sleep 300"])`
	if err := os.WriteFile(filepath.Join(source, "mix.exs"), []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := BuildRelease(ctx, folder, source, nil, func(line string) {
		if line == "started" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled build: %v", err)
	}
	patience := time.After(time.Minute)
	for left := run.Marked(folder.Mark()); len(left) > 0; left = run.Marked(folder.Mark()) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-patience:
			t.Fatalf("%d processes are left of mix and its children", len(left))
		}
	}
}

// claim makes the folder of a run.
func claim(t *testing.T) run.Folder {
	t.Helper()
	folder, err := run.Claim(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

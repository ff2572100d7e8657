package fly_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"flydeploy/fly"
)

func TestColdGivesTheImageToTheApp(t *testing.T) {
	flyctl(t, `for a in "$@"; do printf '<%s>' "$a"; done; echo " $FLY_ACCESS_TOKEN"; echo '[1/2] Updating m1'`)
	var lines []string
	b := fly.Builder{App: "counter", Config: "fly staging.toml", BuildArgs: []string{"A=1"}, Passed: []string{"--local-only"}, NoCache: true, Token: "ours"}
	err := b.Cold(t.Context(), "registry.fly.io/counter:v2", func(line string) { lines = append(lines, line) })
	want := []string{"<deploy><--image><registry.fly.io/counter:v2><--app><counter><--config><fly staging.toml> ours", "[1/2] Updating m1"}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("got %q, %v", lines, err)
	}
}

func TestAColdDeployThatFails(t *testing.T) {
	flyctl(t, `echo 'Error: machine m1 is not healthy' >&2; echo later; exit 1`)
	err := fly.Builder{}.Cold(t.Context(), "registry.fly.io/counter:v2", func(string) {})
	wantProblem(t, err, "cold_failed")
	if !strings.Contains(err.Error(), "machine m1 is not healthy") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	flyctl(t, `echo begun; sleep 600`)
	err = fly.Builder{}.Cold(ctx, "registry.fly.io/counter:v2", func(string) { cancel(stopped) })
	if !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
}

package agent

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

// here runs what a console sends in a shell of this computer. Every third answer gets lost.
func here(losing bool) Exec {
	n := 0
	return func(ctx context.Context, command []string, stdin string, _ time.Duration) (engine.Output, error) {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Run(); err != nil {
			return engine.Output{}, err
		}
		if n++; losing && n%3 == 0 {
			return engine.Output{}, engine.ErrUnknownOutcome
		}
		return engine.Output{Stdout: out.String()}, nil
	}
}

// run gives what a command printed and how it ended, with answers asked for again where they were lost.
func runHere(t *testing.T, root, text string, losing bool) (lines []string, code int, err error) {
	t.Helper()
	c := NewCommand(here(losing), "test", root, text)
	c.dir = filepath.Join(t.TempDir(), "jobs")
	for {
		code, err = c.Run(t.Context(), func(line string) { lines = append(lines, line) })
		if !errors.Is(err, engine.ErrUnknownOutcome) {
			return lines, code, err
		}
	}
}

func TestACommandOnATemporaryMachine(t *testing.T) {
	t.Setenv("MIGRATED_BY", "the machine's environment")
	for name, losing := range map[string]bool{"with answers": false, "with lost answers": true} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			lines, code, err := runHere(t, root, `pwd; echo "$MIGRATED_BY" >&2; echo once >> runs; wc -l < runs | tr -d ' '; printf 'no newline'; exit 3`, losing)
			if want := []string{root, "the machine's environment", "1", "no newline"}; err != nil || code != 3 || !slices.Equal(lines, want) {
				t.Errorf("code %d, %v, it printed %q", code, err, lines)
			}
		})
	}
}

func TestACommandThatPrintsMuch(t *testing.T) {
	lines, code, err := runHere(t, t.TempDir(), `i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "migration $i"; done; head -c 9000 /dev/zero | tr '\0' x`, false)
	if err != nil || code != 0 || len(lines) != 2003 || lines[1999] != "migration 2000" || len(lines[2000]) != longestLine || len(lines[2002]) != 1000 {
		t.Errorf("code %d, %v, %d lines", code, err, len(lines))
	}
}

func TestACommandThatIsEndedFromOutside(t *testing.T) {
	_, _, err := runHere(t, t.TempDir(), `kill -9 $PPID`, false)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Name != "command_died" {
		t.Errorf("got %v", err)
	}
}

func TestACommandWithoutARelease(t *testing.T) {
	_, _, err := runHere(t, "/no/such/folder", "true", false)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Name != "image_without_release" {
		t.Errorf("got %v", err)
	}
}

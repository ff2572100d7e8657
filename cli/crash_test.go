package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/spf13/cobra"

	"flydeploy/tui"
)

// crashingConsole makes the tests' binary a console whose first look at the fleet panics in its goroutine.
const crashingConsole = "FLYDEPLOY_TEST_CRASHING_CONSOLE"

func TestMain(m *testing.M) {
	if os.Getenv(crashingConsole) != "" {
		c, cmd := &connection{signals: newInterrupts()}, &cobra.Command{} // no fleet to look at
		cmd.SetContext(context.Background())
		result, _, err := c.console(cmd, defaultDeploy(), tui.Options{})
		os.Exit(exitCode(os.Stderr, "flydeploy", exitOf(result, err)))
	}
	os.Exit(m.Run())
}

// A panic in a goroutine of the console leaves the terminal as it was, and says what to report.
func TestRule14ACrashedConsoleGivesTheTerminalBack(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashingConsole+"=1", "TERM=xterm-256color", "CI=")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	screen, err := io.ReadAll(terminal)
	if err != nil && !errors.Is(err, syscall.EIO) { // Linux's end of a terminal
		t.Fatal(err)
	}
	_ = cmd.Wait()
	text, code := string(screen), cmd.ProcessState.ExitCode()
	if code != 1 || !strings.Contains(text, "the console crashed") || !strings.Contains(text, "please report it") {
		t.Errorf("exit %d\n%s", code, text)
	}
	_, after, _ := strings.Cut(text, "the console crashed")
	if strings.Contains(after, "\x1b[?1049h") || strings.Count(text, "\x1b[?1049h") != strings.Count(text, "\x1b[?1049l") {
		t.Errorf("the alternate screen stays:\n%q", text)
	}
}

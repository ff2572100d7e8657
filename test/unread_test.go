package test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A console whose terminal has stopped reading ends when it is told to.
func TestAConsoleEndsThoughItsTerminalDoesNotRead(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	defer api.Close()
	cmd := exec.Command(binary(t), "--app", "counter")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CI=", "TERM=xterm-256color", "HOME="+cmd.Dir, "FLY_API_TOKEN=x", "FLY_FLAPS_BASE_URL="+api.URL)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	readUntil(t, terminal, "", "counter")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	for width := uint16(300); width > 200; width-- { // each is painted anew, until nothing more fits into the terminal
		if err := pty.Setsize(terminal, &pty.Winsize{Rows: 100, Cols: width}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			t.Fatal("it has ended by itself")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatal("the terminal keeps it alive")
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d", code)
	}
}

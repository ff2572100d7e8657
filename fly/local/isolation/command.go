package isolation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var errCommandNotFound = errors.New("executable file not found in $PATH")

// findCommand looks a command up as execvp(3) does, in the machine's PATH and the calling thread's root.
func findCommand(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, folder := range filepath.SplitList(path) {
		candidate := filepath.Join(folder, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("%q: %w", name, errCommandNotFound)
}

// lookup finds a variable in an environment.
func lookup(env []string, name string) string {
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// maxOutput is how much of each stream an exec's answer holds. Fly's own cap is undocumented.
const maxOutput = 1 << 20

// straggling is how long an exec waits for children that hold its output open after the command itself has ended.
const straggling = time.Second

// runCommand lets start complete and start a command that is prepared for an exec, and waits for its end. When ctx ends
// first the command's process group is killed and the error is ctx's.
func runCommand(ctx context.Context, stdin string, start func(*exec.Cmd) error) (Result, error) {
	stdout, stderr := &limitedBuffer{}, &limitedBuffer{}
	cmd := &exec.Cmd{
		Stdin: strings.NewReader(stdin), Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   straggling,
	}
	if err := start(cmd); err != nil {
		return Result{}, fmt.Errorf("start command: %w", err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-ended: // the process id may be another's by now
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails only if nothing is left
		}
	})
	err := cmd.Wait()
	close(ended)
	if !stop() {
		return Result{}, fmt.Errorf("run command: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return Result{}, fmt.Errorf("run command: %w", err)
	}
	status := exitOf(cmd.ProcessState)
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: status.Code, ExitSignal: int(status.Signal)}, nil
}

// limitedBuffer keeps the first maxOutput bytes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

package isolation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// runCommand lets start complete and start a command that is prepared for an exec, and waits for its end and for that of both its outputs,
// which its children may hold longer. When ctx ends first the command's process group is killed, if the command still runs, and the error is
// ctx's.
func runCommand(ctx context.Context, stdin string, start func(*exec.Cmd) error) (Result, error) {
	stdout, err := newOutput()
	if err != nil {
		return Result{}, err
	}
	defer stdout.close()
	stderr, err := newOutput()
	if err != nil {
		return Result{}, err
	}
	defer stderr.close()
	cmd := &exec.Cmd{
		Stdin: strings.NewReader(stdin), Stdout: stdout.w, Stderr: stderr.w,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := start(cmd); err != nil {
		return Result{}, fmt.Errorf("start command: %w", err)
	}
	stdout.read()
	stderr.read()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-ended: // the process id may be another's by now
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails only if nothing is left
		}
	})
	err = cmd.Wait()
	close(ended)
	stop()
	stdout.await(ctx)
	stderr.await(ctx)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("run command: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, fmt.Errorf("run command: %w", err)
	}
	status := exitOf(cmd.ProcessState)
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: status.Code, ExitSignal: int(status.Signal)}, nil
}

// output is what a command writes into a pipe.
type output struct {
	limitedBuffer
	r, w  *os.File
	ended chan struct{}
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	return &output{r: r, w: w, ended: make(chan struct{})}, nil
}

// read begins to read, once the command has the other end.
func (o *output) read() {
	_ = o.w.Close()
	go func() {
		defer close(o.ended)
		_, _ = io.Copy(&o.limitedBuffer, o.r)
	}()
}

// await waits until nobody can write any more, or ctx ends.
func (o *output) await(ctx context.Context) {
	select {
	case <-o.ended:
	case <-ctx.Done():
		_ = o.r.Close()
		<-o.ended
	}
}

func (o *output) close() {
	_ = o.w.Close()
	_ = o.r.Close()
}

// limitedBuffer keeps the first maxOutput bytes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

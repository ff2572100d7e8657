// Package command runs a program with everything that it starts, and passes on what it prints, line by line.
package command

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Run runs cmd, which must have been made with exec.CommandContext and ctx, and gives each line that it prints to line, cleaned and
// at most 4,096 bytes of it. It runs in a process group of its own: our interrupt reaches all of its children, and the terminal's
// ctrl-c reaches none. When ctx ends the group is interrupted, and killed after grace.
func Run(ctx context.Context, cmd *exec.Cmd, grace time.Duration, line func(string)) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace
	var emitting sync.Mutex
	stdout, stderr := &lines{emitting: &emitting, emit: line}, &lines{emitting: &emitting, emit: line}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it succeeded, but a process that it left in the background keeps its output open
	}
	if ctx.Err() != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // processes of the group that ignored the interrupt
	}
	stdout.flush()
	stderr.flush()
	return err
}

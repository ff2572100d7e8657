package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// groupsFolder is in a run's folder and holds an empty file for each process group, named by its id.
const groupsFolder = "groups"

// Groups is the path of that folder.
type Groups string

// Start starts a command as the leader of a recorded process group.
func (g Groups) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(g.path(cmd.Process.Pid), nil, 0o600); err != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return errors.Join(fmt.Errorf("record process group: %w", err), cmd.Wait())
	}
	return nil
}

// Forget drops the record of a process group that has ended.
func (g Groups) Forget(group int) {
	if err := os.Remove(g.path(group)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // the shepherd would signal a group that has ended, which does nothing
	}
}

func (g Groups) path(group int) string { return filepath.Join(string(g), strconv.Itoa(group)) }

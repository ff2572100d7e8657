package local

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

// shepherd is a shell that waits for the end of this process and then ends what a run left: process groups, processes
// with the run's mark, the run's folder. Close ends it before that.
type shepherd struct {
	cmd  *exec.Cmd
	hold *os.File
}

// The first line ends when the other end of the pipe is closed, or its owner dies. Then it goes on until nothing is
// left. /proc tells environments on Linux, ps on macOS.
const shepherdScript = `cat >/dev/null
for group in "$1"/` + groupsFolder + `/*; do kill -KILL -- "-${group##*/}" 2>/dev/null; done
mark="` + runMark + `=${1##*/}"
while :; do
	if [ -d /proc/self ]; then
		found=$(grep -als "$mark" /proc/[0-9]*/environ | cut -d/ -f3)
	else
		found=$(ps -axEww -o pid=,command= | grep -F "$mark" | grep -vF grep | awk '{print $1}')
	fi
	[ -n "$found" ] || break
	kill -KILL $found 2>/dev/null
done
chmod -R u+rwx "$1" 2>/dev/null
rm -rf "$1"`

func startShepherd(folder string) (*shepherd, error) {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := exec.Command("/bin/sh", "-c", shepherdScript, "flydeploy-shepherd", folder)
	cmd.Stdin, cmd.Dir = stdin, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's ctrl-c is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start shepherd: %w", err), hold.Close())
	}
	return &shepherd{cmd: cmd, hold: hold}, nil
}

func (s *shepherd) dismiss() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // with its cat
	_ = s.cmd.Wait()
	_ = s.hold.Close()
}

// groupsFolder is in a run's folder and holds an empty file for each process group, named by its id.
const groupsFolder = "groups"

// groupRecords is that folder.
type groupRecords string

// start starts a command as the leader of a recorded process group.
func (g groupRecords) start(cmd *exec.Cmd) error {
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

func (g groupRecords) forget(group int) {
	if err := os.Remove(g.path(group)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // the shepherd would signal a group that has ended, which does nothing
	}
}

func (g groupRecords) path(group int) string { return filepath.Join(string(g), strconv.Itoa(group)) }

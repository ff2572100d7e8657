package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Shepherd is a shell that waits for the end of this process and then removes what a run left: process groups, processes
// with the run's mark, the run's folder. A run that ends in order dismisses it first.
type Shepherd struct {
	cmd  *exec.Cmd
	hold *os.File
}

// The first line ends when the other end of the pipe is closed or the owner dies. The rest goes on until nothing is left.
// Environments are read from /proc on Linux, from ps on macOS.
const shepherdScript = `cat >/dev/null
for group in "$1"/` + groupsFolder + `/*; do kill -KILL -- "-${group##*/}" 2>/dev/null; done
mark="` + MarkName + `=${1##*/}"
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

// StartShepherd starts the shepherd of a run.
func StartShepherd(folder Folder) (*Shepherd, error) {
	stdin, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd := exec.Command("/bin/sh", "-c", shepherdScript, "flydeploy-shepherd", string(folder))
	cmd.Stdin, cmd.Dir = stdin, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a terminal's ctrl-c is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start shepherd: %w", err), hold.Close())
	}
	return &Shepherd{cmd: cmd, hold: hold}, nil
}

// PID is the shell's process id.
func (s *Shepherd) PID() int { return s.cmd.Process.Pid }

// Dismiss ends the shepherd before it has removed anything.
func (s *Shepherd) Dismiss() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // with its cat
	_ = s.cmd.Wait()
	_ = s.hold.Close()
}

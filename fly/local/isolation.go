package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Isolation is a way of running machines on this computer.
type Isolation string

const (
	// Auto is Namespaces where that works, else Processes.
	Auto Isolation = "auto"
	// Namespaces gives each machine processes, mounts and network of its own. Needs root on Linux.
	Namespaces Isolation = "namespaces"
	// Processes runs machines as plain processes side by side, each with folders and ports of its own.
	Processes Isolation = "processes"
)

// Works tells why machines cannot run in this way on this computer, nil if they can.
func (i Isolation) Works() error {
	folder, err := os.MkdirTemp("", "flydeploy-trial-")
	if err != nil {
		return err
	}
	_, err = newIsolation(i, folder, 1, nil)
	return errors.Join(err, removeTree(folder))
}

// isolation boots machines in one of the ways.
type isolation interface {
	kind() Isolation
	// boot starts a machine on a fresh disk made of the image.
	boot(ctx context.Context, order bootOrder) (vm, error)
}

// vm is one boot of a machine.
type vm interface {
	// exec runs a command as the machine's most powerful user, in the environment of the machine, and answers at its
	// end. When ctx ends the command is killed.
	exec(ctx context.Context, command []string, stdin string) (ExecResult, error)
	// signal goes to the entrypoint.
	signal(sig syscall.Signal) error
	// freeze stops every process of the machine where it is, or lets them all go on.
	freeze(frozen bool) error
	// dial connects to a port that something in the machine listens on, as it is numbered inside.
	dial(ctx context.Context, port int) (net.Conn, error)
	// exited delivers, once, how the entrypoint ended. Nothing of the boot is left then.
	exited() <-chan exitStatus
	// kill ends every process at once. exited delivers after that.
	kill()
}

// bootOrder is all that a boot needs to know.
type bootOrder struct {
	machine string
	folder  string   // of this boot alone, exists
	image   string   // folder with the image's files: read only, shared
	command []string // the entrypoint and its arguments
	workDir string
	env     map[string]string
	console *os.File // takes the entrypoint's output
}

// exitStatus is how an entrypoint ended: by exit or by signal.
type exitStatus struct {
	code   int // 128+signal where a signal ended it
	signal syscall.Signal
}

func exitStatusOf(state *os.ProcessState) exitStatus {
	if state == nil {
		return exitStatus{code: -1}
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return exitStatus{code: 128 + int(status.Signal()), signal: status.Signal()}
	}
	return exitStatus{code: state.ExitCode()}
}

// ExecResult is the wire format of an exec's answer.
type ExecResult struct {
	Stdout     string `json:"stdout,omitempty"`
	Stderr     string `json:"stderr,omitempty"`
	ExitCode   int    `json:"exit_code"`
	ExitSignal int    `json:"exit_signal,omitempty"`
}

// defaultPort is the port that a machine's application listens on, in PORT, unless its configuration says otherwise.
const defaultPort = "8080"

// newIsolation chooses a way. The services are reachable inside of machines as they are outside.
func newIsolation(wanted Isolation, folder string, diskMB int, services []*service) (isolation, error) {
	switch wanted {
	case Namespaces:
		return newNamespaces(folder, diskMB, services)
	case Processes:
		return newProcesses(folder)
	case Auto, "":
		n, err := newNamespaces(folder, diskMB, services)
		if err == nil {
			return n, nil
		}
		p, processesErr := newProcesses(folder)
		if processesErr != nil {
			return nil, errors.Join(err, processesErr)
		}
		return p, nil
	}
	return nil, fmt.Errorf("isolation %q: want %s, %s or %s", wanted, Auto, Namespaces, Processes)
}

// environ is a machine's environment as exec(2) takes it.
func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

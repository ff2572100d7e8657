// Package isolation runs machines on this computer: in namespaces of their own (Linux, as root) or as plain processes
// side by side (elsewhere). A machine boots from a folder with its image's files.
package isolation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"flydeploy/fly/local/run"
)

// Kind is a way of running machines on this computer.
type Kind string

const (
	// Auto is Namespaces where that works, else Processes.
	Auto Kind = "auto"
	// Namespaces gives each machine processes, mounts and network of its own. Needs root on Linux.
	Namespaces Kind = "namespaces"
	// Processes runs machines as plain processes side by side, each with folders and ports of its own.
	Processes Kind = "processes"
)

// Works tells why machines cannot run in this way on this computer; nil if they can.
func (k Kind) Works() error {
	folder, err := os.MkdirTemp("", "flydeploy-trial-")
	if err != nil {
		return err
	}
	_, err = New(k, run.Folder(folder), 1, nil)
	return errors.Join(err, run.RemoveTree(folder))
}

// Host boots machines in one of the ways.
type Host interface {
	// Kind is Namespaces or Processes.
	Kind() Kind
	// Boot starts a machine on a fresh disk made of the image.
	Boot(ctx context.Context, order Order) (VM, error)
}

// Service is a server outside of the machines that they reach at its own address.
type Service interface {
	// Address is the service's, as HOST:PORT on loopback.
	Address() string
	// ServeOn answers on another listener as well, until that listener or the service is closed. It returns at once.
	ServeOn(listener net.Listener)
}

// VM is one boot of a machine.
type VM interface {
	// Exec runs a command as the machine's most powerful user, in the environment of the machine, and returns at its
	// end. When ctx ends the command is killed.
	Exec(ctx context.Context, command []string, stdin string) (Result, error)
	// Signal goes to the entrypoint.
	Signal(sig syscall.Signal) error
	// Freeze stops every process of the machine where it is, or lets them all go on.
	Freeze(frozen bool) error
	// Dial connects to a port that something in the machine listens on, as it is numbered inside.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Exited delivers, once, how the entrypoint ended. Nothing of the boot is left then.
	Exited() <-chan Exit
	// Kill ends every process at once. Exited delivers after that.
	Kill()
}

// Order is all that a boot needs to know.
type Order struct {
	Machine string   // its id
	Folder  string   // of this boot alone, exists
	Image   string   // folder with the image's files: read only, shared
	Command []string // the entrypoint and its arguments
	WorkDir string
	Env     map[string]string
	Console *os.File // takes the entrypoint's output
}

// Exit is how an entrypoint ended: by itself or by a signal.
type Exit struct {
	Code   int // 128+signal where a signal ended it
	Signal syscall.Signal
}

func exitOf(state *os.ProcessState) Exit {
	if state == nil {
		return Exit{Code: -1}
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	return Exit{Code: state.ExitCode()}
}

// Result is what a command that has ended left: the beginning of its output, and how it ended.
type Result struct {
	Stdout     string
	Stderr     string
	ExitCode   int // 128+signal where a signal ended it
	ExitSignal int
}

// DefaultPort is the port that a machine's application listens on, in PORT, unless its configuration says otherwise.
const DefaultPort = "8080"

// User is the id of the user and group that run a machine's entrypoint in namespaces: "nobody" on Debian.
const User = 65534

// New chooses a way and tries it out. The services are reachable inside of machines as they are outside. diskMB is the
// size of a machine's disk in namespaces.
func New(wanted Kind, folder run.Folder, diskMB int, services []Service) (Host, error) {
	switch wanted {
	case Namespaces:
		return newNamespaces(folder, diskMB, services)
	case Processes:
		return newProcesses(folder), nil
	case Auto, "":
		if n, err := newNamespaces(folder, diskMB, services); err == nil {
			return n, nil
		}
		return newProcesses(folder), nil
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

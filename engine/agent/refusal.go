package agent

import (
	"errors"
	"fmt"
	"strings"
)

// Refusal is an error that asking again does not change. Its name tells the kind, for scripts and for remedies.
type Refusal struct{ Name, What string }

func (r *Refusal) Error() string { return r.What }

// NameOf gives the name of the kind of error that err is, "" where it has none.
func NameOf(err error) string {
	var refusal *Refusal
	var busy *BusyError
	switch {
	case errors.As(err, &refusal):
		return refusal.Name
	case errors.As(err, &busy):
		return "agent_busy"
	case errors.Is(err, ErrNoVM):
		return "no_vm"
	case errors.Is(err, ErrGone):
		return "vm_gone"
	}
	return ""
}

// commandFailed tells what a script or a release's own program printed instead of an answer.
func commandFailed(what string) error {
	name := "command_failed"
	for _, sign := range []string{"nodedown", "RPC failed", "noconnection", "not reachable"} {
		if strings.Contains(what, sign) {
			name = "vm_unreachable"
		}
	}
	return &Refusal{name, what}
}

func noProgram(doing string, vm VM) error {
	return &Refusal{"no_program", fmt.Sprintf("%s: %s/bin has no program named %s", doing, vm.Root, vm.Name)}
}

package agent

import (
	"fmt"
	"strings"
)

// Refusal is an error that asking again does not change. Its name tells the kind, for scripts and for remedies.
type Refusal struct{ Name, What string }

func (r *Refusal) Error() string { return r.What }

// ProblemName names the kind of error, for engine.AsProblem.
func (r *Refusal) ProblemName() string { return r.Name }

// ProblemName names the kind of error, for engine.AsProblem.
func (e *BusyError) ProblemName() string { return "agent_busy" }

// kind is an error that others compare with, and that has a name for engine.AsProblem.
type kind struct{ name, what string }

func (k *kind) Error() string       { return k.what }
func (k *kind) ProblemName() string { return k.name }

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

// notEntered is the error of a script that enters a VM and could not, or found no program there; nil otherwise.
func notEntered(doing string, vm VM, a answer) error {
	switch word, rest := a.word(); word {
	case "gone":
		return fmt.Errorf("%s: the VM is %w", doing, ErrGone)
	case "no_program":
		return &Refusal{"no_program", fmt.Sprintf("%s: %s/bin has no program named %s", doing, vm.Root, vm.Name)}
	case "no_user":
		return &Refusal{"no_user", fmt.Sprintf("%s: the machine has no program to become user %s, who runs the release or owns its files", doing, printable(rest, 20))}
	}
	return nil
}

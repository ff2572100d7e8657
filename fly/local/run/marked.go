package run

import (
	"bytes"
	"syscall"
)

// MarkName is the name of the variable that marks the processes of a run, with the run folder's name as its value.
const MarkName = "FLYDEPLOY_LOCAL_RUN"

// Marked finds the processes that have a variable, given as NAME=VALUE, in their environment, and their environments.
// It sees only this user's processes, or everybody's for root. (macOS hides the environments of its own programs:
// for them the records of process groups must do.)
func Marked(variable string) map[int][]byte {
	found := map[int][]byte{}
	for _, pid := range processIDs() {
		environment, err := processEnvironment(pid)
		if err != nil {
			continue // another user's, or just ended
		}
		for line := range bytes.SplitSeq(environment, []byte{0}) {
			if string(line) == variable {
				found[pid] = environment
				break
			}
		}
	}
	return found
}

// SignalMarked signals the processes with a variable until it finds none that it has not signalled: each pass may find
// children that were born during the one before.
func SignalMarked(variable string, sig syscall.Signal) {
	signalled := map[int]bool{}
	for {
		before := len(signalled)
		for pid := range Marked(variable) {
			if !signalled[pid] {
				signalled[pid] = true
				_ = syscall.Kill(pid, sig) // fails if it has ended
			}
		}
		if len(signalled) == before {
			return
		}
	}
}

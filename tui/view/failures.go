package view

import (
	"strings"

	"flydeploy/engine"
)

// FailureOn is a failure, with the machines that have it.
type FailureOn struct {
	engine.Failure
	Machines []string // IDs
}

// Failures gives what has failed on the machines of a deploy, each with its stack once, in the order of the machines. The process is the
// first machine's.
func Failures(machines []engine.MachineResult) []FailureOn {
	var found []FailureOn
	at := map[string]int{}
	for _, m := range machines {
		for _, f := range m.Failures {
			key := strings.Join(append([]string{f.Module, f.Reason, f.Exception, f.StateBefore, f.StateAfter}, f.Stack...), "\x00")
			i, known := at[key]
			if !known {
				at[key] = len(found)
				found = append(found, FailureOn{Failure: f, Machines: []string{m.ID}})
				continue
			}
			found[i].Count += f.Count
			found[i].Machines = append(found[i].Machines, m.ID)
		}
	}
	return found
}

package deploy

import (
	"fmt"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// What thousands of machines tell alike is held once: the list of modules of all, and of one machine what it has told before.
func TestMachinesShareWhatTheyTellAlike(t *testing.T) {
	t.Parallel()
	a := newAlike()
	told := func(machine, processes int) agent.Status { // as it comes from another machine, or at another time
		s := agent.Status{Findings: []agent.Finding{{Name: fmt.Sprint("kept_", 1), Detail: fmt.Sprint(processes, " processes")}}}
		s.Phases = []agent.Phase{{Name: strings.Clone("arm"), AtUS: int64(machine)}}
		s.Processes = []agent.Process{{Module: fmt.Sprint("Counter.Tally", 1), Kind: "gen_server", Count: processes}}
		s.Modules = []agent.Module{{Module: fmt.Sprint("Counter.Tally", 1), Functions: &engine.FunctionChanges{Added: []string{"plus/2"}}}}
		return s
	}
	first, second := told(1, 5), told(2, 6)
	a.share(&first, agent.Status{})
	a.share(&second, agent.Status{})
	if &first.Modules[0] != &second.Modules[0] {
		t.Error("two machines hold the same modules twice")
	}
	if first.Processes[0].Count != 5 || second.Processes[0].Count != 6 || second.Findings[0].Detail != "6 processes" {
		t.Errorf("they have %+v and %+v", first, second)
	}
	later := told(2, 6)
	a.share(&later, second)
	if &later.Processes[0] != &second.Processes[0] || &later.Findings[0] != &second.Findings[0] || &later.Phases[0] != &second.Phases[0] {
		t.Error("a machine that tells the same again holds it twice")
	}
	other := told(3, 5)
	other.Modules[0].Functions.Added[0] = "minus/2"
	if a.share(&other, agent.Status{}); other.Modules[0].Functions.Added[0] != "minus/2" || first.Modules[0].Functions.Added[0] != "plus/2" {
		t.Errorf("another list became %+v", other.Modules[0].Functions)
	}
	for i := range 100 {
		more := told(i, 1)
		more.Modules[0].App = fmt.Sprint(i)
		a.share(&more, agent.Status{})
	}
	if len(a.modules) != mostVariants {
		t.Errorf("it compares with %d lists", len(a.modules))
	}
}

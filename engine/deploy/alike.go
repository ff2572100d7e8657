package deploy

import (
	"slices"
	"sync"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// mostVariants is how many different lists of modules are kept to be shared: a large fleet has one, or few.
const mostVariants = 8

// alike has machines share what their agents tell alike: each tells up to 8 KB, time and again, most of which is what all others tell.
type alike struct {
	mu      sync.Mutex
	names   map[string]string // of modules, kinds of processes, phases
	modules [][]agent.Module
}

func newAlike() *alike { return &alike{names: map[string]string{}} }

// share replaces the names and lists of a new status by equal ones that are held already: by the machine's last status, or by another's.
// What is held is only read, since the plan has it, too.
func (a *alike) share(s *agent.Status, last agent.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range s.Phases {
		a.name(&s.Phases[i].Name, &s.Phases[i].Status)
	}
	for i := range s.Processes {
		a.name(&s.Processes[i].Module, &s.Processes[i].Kind)
	}
	for i := range s.Findings {
		a.name(&s.Findings[i].Name, &s.Findings[i].Severity, &s.Findings[i].Subject)
	}
	s.Modules = a.sameModules(s.Modules)
	s.Processes = orLast(s.Processes, last.Processes)
	s.Findings = orLast(s.Findings, last.Findings)
	s.Phases = orLast(s.Phases, last.Phases)
}

func orLast[T comparable](list, last []T) []T {
	if slices.Equal(list, last) {
		return last
	}
	return list
}

func (a *alike) sameModules(list []agent.Module) []agent.Module {
	for _, known := range a.modules {
		if slices.EqualFunc(list, known, sameModule) {
			return known
		}
	}
	if len(a.modules) < mostVariants {
		a.modules = append(a.modules, list)
	}
	return list
}

func sameModule(a, b agent.Module) bool {
	return a.Module == b.Module && a.App == b.App && a.Change == b.Change && sameFunctions(a.Functions, b.Functions)
}

func sameFunctions(a, b *engine.FunctionChanges) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.More == b.More && slices.Equal(a.Added, b.Added) && slices.Equal(a.Changed, b.Changed) && slices.Equal(a.Removed, b.Removed)
}

func (a *alike) name(texts ...*string) {
	for _, t := range texts {
		known, is := a.names[*t]
		if !is {
			known = *t
			a.names[known] = known
		}
		*t = known
	}
}

package target

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
)

// Scope is a fleet split into the machines that a deploy upgrades and those that it leaves out, each with its reason.
type Scope struct {
	In  []engine.Machine // by region and ID
	Out []engine.Machine // by region and ID, with LeftOut set
}

// maxNamed is how many machines a problem names at most.
const maxNamed = 20

// NoMachineProblem gives the problem that there is no machine for what was asked. Its remedy lists the machines of the app.
func NoMachineProblem(what string, all []engine.Machine) *engine.Problem {
	started, asleep := false, ""
	ids := make([]string, 0, len(all))
	for _, m := range all {
		if m.LeftOut == "" && m.Temporary == "" {
			id, why := m.ID, engine.WhyLeftOut(m)
			switch {
			case why == "":
				started = true
			case m.State == engine.StateStopped, m.State == engine.StateSuspended:
				asleep = id
			}
			about := slices.DeleteFunc([]string{m.Region, m.ProcessGroup, why}, func(s string) bool { return s == "" })
			if len(about) > 0 {
				id += " (" + strings.Join(about, ", ") + ")"
			}
			ids = append(ids, id)
		}
	}
	remedy := "The app has no machines: run `fly deploy` first."
	if more := len(ids) - maxNamed; more > 0 {
		ids = append(ids[:maxNamed], fmt.Sprintf("%d more", more))
	}
	if len(ids) > 0 {
		remedy = "The app's machines are " + strings.Join(ids, ", ") + "."
	}
	if asleep != "" && !started {
		remedy += " Start one: `fly machine start " + asleep + "`."
	}
	return engine.NewProblem("no_machine", what, nil, remedy)
}

// ScopeOf applies the selection. A machine that is selected by its ID but cannot take part is an error, since the operator asked for
// it; one that a wider selection includes is left out with its reason. It is also an error if no machine is left.
func ScopeOf(all []engine.Machine, sel engine.Selection) (Scope, error) {
	known := map[string]engine.Machine{}
	for _, m := range all {
		known[m.ID] = m
	}
	for _, id := range sel.Machines {
		if m, ok := known[id]; !ok {
			return Scope{}, NoMachineProblem(fmt.Sprintf("machine %s does not exist", id), all)
		} else if why := engine.WhyLeftOut(m); why != "" {
			return Scope{}, NoMachineProblem(fmt.Sprintf("machine %s cannot be upgraded now: %s", id, why), all)
		}
	}
	var s Scope
	for _, m := range all {
		if m.Temporary != "" {
			continue
		}
		m.LeftOut = engine.WhyLeftOut(m)
		if m.LeftOut == "" && !sel.Selects(m) {
			m.LeftOut = engine.LeftOutNotSelected
		}
		if m.LeftOut == "" {
			s.In = append(s.In, m)
		} else {
			s.Out = append(s.Out, m)
		}
	}
	byRegion := func(a, b engine.Machine) int { return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(s.In, byRegion)
	slices.SortFunc(s.Out, byRegion)
	if len(s.In) == 0 {
		return s, NoMachineProblem("no machine to upgrade: none is started and selected", all)
	}
	return s, nil
}

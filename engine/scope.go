package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fly's machine states that a deploy tells apart; see the Machines API's documentation.
const (
	StateStarted   = "started"
	StateStopped   = "stopped"
	StateSuspended = "suspended"
)

// scope splits the fleet into the machines that a deploy upgrades now and those that it leaves out, each with its reason.
type scope struct {
	in  []Machine
	out []Machine
}

// maxNamed is how many machines a problem names.
const maxNamed = 20

// errNoMachine says that the selection names something that is not there.
func errNoMachine(what string, all []Machine) *Problem {
	started, asleep := false, ""
	ids := make([]string, 0, len(all))
	for _, m := range all {
		if m.LeftOut == "" && m.Temporary == "" {
			id, why := m.ID, whyOut(m)
			switch {
			case why == "":
				started = true
			case m.State == StateStopped, m.State == StateSuspended:
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
	return NewProblem("no_machine", what, nil, remedy)
}

// inScope applies the selection. A machine that is named by its id and cannot take part is an error, since the
// operator asked for it; one that a wider selection happens to cover is left out with its reason.
func inScope(all []Machine, sel Selection) (scope, error) {
	known := map[string]Machine{}
	for _, m := range all {
		known[m.ID] = m
	}
	for _, id := range sel.Machines {
		if m, ok := known[id]; !ok {
			return scope{}, errNoMachine(fmt.Sprintf("machine %s does not exist", id), all)
		} else if why := whyOut(m); why != "" {
			return scope{}, errNoMachine(fmt.Sprintf("machine %s cannot be upgraded now: %s", id, why), all)
		}
	}
	var s scope
	for _, m := range all {
		if m.Temporary != "" {
			continue
		}
		m.LeftOut = whyOut(m)
		if m.LeftOut == "" && !sel.covers(m) {
			m.LeftOut = leftOutNotSelected
		}
		if m.LeftOut == "" {
			s.in = append(s.in, m)
		} else {
			s.out = append(s.out, m)
		}
	}
	byRegion := func(a, b Machine) int { return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(s.in, byRegion)
	slices.SortFunc(s.out, byRegion)
	if len(s.in) == 0 {
		return s, errNoMachine("no machine to upgrade: none is started and selected", all)
	}
	return s, nil
}

func whyOut(m Machine) string {
	switch {
	case m.LeftOut != "":
		return m.LeftOut
	case m.HostStatus == "unreachable":
		return "its host is unreachable"
	case m.State == StateStarted:
		return ""
	case m.State == StateStopped:
		return "stopped: it takes the upgrade at its next boot"
	case m.State == StateSuspended:
		return "suspended: it wakes in old code; start it and upgrade it, or stop it"
	default:
		return "its state is " + m.State
	}
}

func (s Selection) covers(m Machine) bool {
	names := func(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
	return names(s.Machines, m.ID) && names(s.Regions, m.Region) && names(s.ProcessGroups, m.ProcessGroup)
}

// baseImage is the image that most of the machines run; on a tie, the one of the machine that comes first.
func baseImage(machines []Machine) string {
	count := map[string]int{}
	best := ""
	for _, m := range machines {
		name, _ := splitDigest(m.Image)
		count[name]++
		if count[name] > count[best] {
			best = name
		}
	}
	for _, m := range machines {
		if name, _ := splitDigest(m.Image); name == best {
			return m.Image
		}
	}
	return ""
}

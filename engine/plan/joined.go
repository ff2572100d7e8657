package plan

import (
	"cmp"
	"regexp"
	"slices"

	"flydeploy/engine"
)

// findingSet joins what several machines say alike, with other processes or another number of them, so that it is read once.
type findingSet map[shape]*joined

// shape is a finding without what differs from VM to VM.
type shape struct {
	name     string
	severity engine.Severity
	what     string
}

// joined is a finding of all its machines, in the words of the one with the most processes.
type joined struct {
	engine.Finding
	from   string // the ID of that machine
	most   int    // its processes
	differ bool   // others say it with other numbers
}

// Pids, and counts: "303 running processes", "and 2 more", "(4 are running)".
var differing = []struct {
	is  *regexp.Regexp
	say string
}{
	{regexp.MustCompile(`#PID<[0-9.]+>`), "#PID"},
	{regexp.MustCompile(`\b[0-9]+ (?:running |open |more )*(process|page|kind)(?:es|s)?\b`), "# $1"},
	{regexp.MustCompile(`\band [0-9]+ more\b`), "and # more"},
	{regexp.MustCompile(`\([0-9]+(?: is running| are running)?\)`), "(#)"},
}

func shapeOf(f engine.Finding) shape {
	what := f.What
	for _, d := range differing {
		what = d.is.ReplaceAllString(what, d.say)
	}
	return shape{f.Name, f.Severity, what}
}

// add adds a finding of a machine, or with "" of the fleet.
func (s findingSet) add(f engine.Finding, machine string) {
	key := shapeOf(f)
	j := s[key]
	switch {
	case j == nil:
		j = &joined{Finding: f, from: machine, most: f.Processes}
		j.Machines, j.Processes = nil, 0
		s[key] = j
	case f.What != j.What:
		j.differ = true
		if f.Processes > j.most {
			j.What, j.from, j.most = f.What, machine, f.Processes
		}
	}
	j.Processes += f.Processes
	if n := len(j.Machines); machine != "" && (n == 0 || j.Machines[n-1] != machine) {
		j.Machines = append(j.Machines, machine)
	}
}

var severityOrder = []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn, engine.SeverityInfo}

// sorted gives all findings, the worst first, and of those the ones about most processes.
func (s findingSet) sorted() []engine.Finding {
	list := []engine.Finding{}
	for _, j := range s {
		switch {
		case j.differ && len(j.Machines) > 1:
			j.What += " (so on machine " + j.from + ", alike on the others)"
		case j.differ:
			j.What += " (and others alike)"
		}
		list = append(list, j.Finding)
	}
	slices.SortFunc(list, func(a, b engine.Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(severityOrder, a.Severity), slices.Index(severityOrder, b.Severity)),
			cmp.Compare(b.Processes, a.Processes), cmp.Compare(a.Name, b.Name), cmp.Compare(a.What, b.What))
	})
	return list
}

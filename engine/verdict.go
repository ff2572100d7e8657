package engine

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/text"
)

// VerdictWord is a verdict in a word, for programs.
type VerdictWord string

// The verdicts. Cold needs a cold deploy, or blockers accepted by name; what keeps NotNow from being deployed passes, or can be put
// right where it was found.
const (
	VerdictHot   VerdictWord = "hot"
	VerdictRisks VerdictWord = "hot_with_risks"
	VerdictCold  VerdictWord = "cold"
	VerdictNot   VerdictWord = "not_now"
)

// Verdict is what a plan comes to. It stands first, in every output in the same words.
type Verdict struct {
	Word VerdictWord `json:"word"`
	Text string      `json:"text"` // one sentence that begins with the verdict: "cold: children_changed on all 6 machines"
}

// passing are the blockers that no cold deploy is needed for.
var passing = map[string]bool{
	"already_suspended": true, "busy": true, "drift": true, "leased": true, "lingering": true, "low_disk": true, "low_memory": true, "mailbox": true,
	"module_in_use": true, "no_file": true, "staging_failed": true, "storage_differs": true, "taken_back": true, "traced": true, "vm_down": true,
}

// ofTheBoot are those of them that end with the VM.
var ofTheBoot = map[string]bool{
	"already_suspended": true, "busy": true, "drift": true, "lingering": true, "mailbox": true, "module_in_use": true, "traced": true,
}

// uncured are blockers that no cold deploy cures either, beside the passing ones: it would bring the code to machines as well that it was
// not made for, lose what is recorded for others, or not boot.
var uncured = map[string]bool{"clears_record": true, "config_fails": true, "other_base": true}

// NotCured gives the plan's blockers that keep it from going out cold as well, without those of the accepted names.
func (p *Plan) NotCured(accepted []string) []Finding {
	return slices.DeleteFunc(p.Blockers(), func(f Finding) bool {
		return (!passing[f.Name] || ofTheBoot[f.Name]) && !uncured[f.Name] || slices.Contains(accepted, f.Name)
	})
}

// NothingHot is the name of the finding about a release of which nothing can be applied to a running VM.
const NothingHot = "nothing_hot"

// Judge gives the verdict on a plan's findings.
func (p *Plan) Judge() Verdict {
	var risks, cold, wait []Finding
	for _, f := range p.Findings {
		switch {
		case f.Severity == SeverityWarn:
			risks = append(risks, f)
		case f.Severity == SeverityInfo:
		case f.Name == NothingHot:
			return Verdict{VerdictCold, "cold: nothing of it can be applied: deploy cold"}
		case passing[f.Name]:
			wait = append(wait, f)
		default:
			cold = append(cold, f)
		}
	}
	switch {
	case len(cold) > 0:
		return Verdict{VerdictCold, "cold: " + p.summed(cold)}
	case len(wait) > 0:
		return Verdict{VerdictNot, "not now: " + p.summed(wait)}
	case len(risks) > 0:
		return Verdict{VerdictRisks, "hot with risks: " + p.summed(risks)}
	case !slices.ContainsFunc(p.Machines, func(m MachinePlan) bool { return !m.UpToDate }):
		return Verdict{VerdictHot, "hot: nothing to do, every machine runs it already"}
	}
	return Verdict{VerdictHot, fmt.Sprintf("hot: %s and %s change while they run",
		text.Counted(len(p.Modules), "module"), text.Counted(p.Processes(), "process"))}
}

// summed names findings, each name once with its processes, and says on which machines they are.
func (p *Plan) summed(findings []Finding) string {
	const named = 4
	var names, machines []string
	processes := map[string]int{}
	for _, f := range findings {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
		processes[f.Name] += f.Processes
		machines = append(machines, f.Machines...)
	}
	parts := make([]string, 0, len(names))
	for _, name := range names[:min(len(names), named)] {
		if n := processes[name]; n > 0 {
			name += " (" + text.Counted(n, "process") + ")"
		}
		parts = append(parts, name)
	}
	if more := len(names) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ") + p.where(machines)
}

// where says on which machines something is; "" where it is of the fleet, or the plan has one machine.
func (p *Plan) where(machines []string) string {
	slices.Sort(machines)
	machines = slices.Compact(machines)
	all := !slices.ContainsFunc(p.Machines, func(m MachinePlan) bool {
		_, there := slices.BinarySearch(machines, m.Machine.ID)
		return !there
	})
	switch {
	case len(machines) == 0 || all && len(p.Machines) == 1 && len(machines) == 1:
		return ""
	case all && len(machines) == 2 && len(p.Machines) == 2:
		return " on both machines"
	case all && len(machines) == len(p.Machines):
		return " on all " + text.Counted(len(machines), "machine")
	case len(machines) == 1:
		return " on machine " + machines[0]
	}
	return " on " + text.Counted(len(machines), "machine")
}

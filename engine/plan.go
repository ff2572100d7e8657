package engine

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/text"
)

// Severity says how much a finding matters.
type Severity string

// The severities. A block must be accepted by name before anything is suspended; a refusal cannot be accepted.
const (
	SeverityInfo   Severity = "info"
	SeverityWarn   Severity = "warn"
	SeverityBlock  Severity = "block"
	SeverityRefuse Severity = "refuse"
)

// Plan says what a commit would do: the union over the machines, and each machine's own findings.
type Plan struct {
	Verdict  Verdict       `json:"verdict,omitzero"` // zero in plans of an older flydeploy
	Upgrade  Upgrade       `json:"upgrade"`
	Machines []MachinePlan `json:"machines"`
	// Modules lists the modules that change anywhere in the fleet, sorted by name.
	Modules  []ModuleChange `json:"modules"`
	Findings []Finding      `json:"findings"` // one for all machines that have the same one
	Strategy string         `json:"strategy"`
	// Waits: each wave but the last waits until somebody goes on (PauseForKey).
	Waits bool `json:"waits,omitempty"`
	// MayGoCold: the verdict is cold, and whoever confirms the plan may have the image deployed cold instead (WayCold).
	MayGoCold bool `json:"may_go_cold,omitempty"`
	// LeftOut lists the machines that the deploy does not touch, with their reasons.
	LeftOut []Machine `json:"left_out,omitempty"`
	// Part and Parts: in a stream the plan of a large fleet comes in parts, from 1, each with some of the lists' items. 0: it is whole.
	Part  int `json:"part,omitempty"`
	Parts int `json:"parts,omitempty"`
}

// MachinePlan is what staging found on one machine.
type MachinePlan struct {
	Machine Machine `json:"machine"`
	Runs    Code    `json:"runs,omitzero"`
	// UpToDate: everything in the upgrade is loaded already, so a commit would do nothing.
	UpToDate  bool            `json:"up_to_date,omitempty"`
	Report    MachineReport   `json:"report"`
	Processes []ProcessChange `json:"processes,omitempty"`
	Problem   *Problem        `json:"problem,omitempty"` // staging failed: this machine cannot take part
}

// ModuleChange is one module that the upgrade changes.
type ModuleChange struct {
	Module string `json:"module"`
	App    string `json:"app"`
	Change string `json:"change"` // changed, added, removed
	// Functions is nil where nobody has told them: those of a removed module, or of a release with very many changes.
	Functions *FunctionChanges `json:"functions,omitempty"`
}

// FunctionChanges are the functions of a module that differ, as name/arity, private ones too. Of an added module these are its exports.
type FunctionChanges struct {
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`
	More    int      `json:"more,omitempty"` // further ones, which are not named
}

// Total counts the functions, also those that are not named.
func (f *FunctionChanges) Total() int { return len(f.Added) + len(f.Changed) + len(f.Removed) + f.More }

// ProcessChange counts the processes of one callback module that would be suspended.
type ProcessChange struct {
	Module string `json:"module"`
	Kind   string `json:"kind"` // gen_server, gen_statem, gen_event, agent, other
	Count  int    `json:"count"`
}

// Finding is something that an operator should know before the commit: what was found, where, and what to do.
type Finding struct {
	Name     string   `json:"name"` // stable, for --accept
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Remedy   string   `json:"remedy,omitempty"`
	Machines []string `json:"machines,omitempty"`
	// Processes counts the running processes that it is about, on all of these machines; 0 where it is about none, or nobody counted.
	Processes int `json:"processes,omitempty"`
}

// Blockers gives the findings that keep the deploy from going on unless they are accepted, and the refusals.
func (p *Plan) Blockers() []Finding {
	var out []Finding
	for _, f := range p.Findings {
		if f.Severity == SeverityBlock || f.Severity == SeverityRefuse {
			out = append(out, f)
		}
	}
	return out
}

// NamesOf gives the names of findings, each once.
func NamesOf(findings []Finding) []string {
	var names []string
	for _, f := range findings {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Processes counts the processes that a commit would suspend on all machines.
func (p *Plan) Processes() int {
	n := 0
	for _, m := range p.Machines {
		n += m.Report.Processes
	}
	return n
}

// Migrating counts those of them that have a migration: a code_change that is asked for.
func (p *Plan) Migrating() int {
	n := 0
	for _, m := range p.Machines {
		n += m.Report.Migrating
	}
	return n
}

// String gives the whole plan as text, one fact per line: what is upgraded and how, each machine with its processes, what is
// left out, and each finding with its remedy. Equal plans give equal texts.
func (p *Plan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.Verdict.Text != "" {
		line("%s", p.Verdict.Text)
	}
	from := ""
	if now := p.From(); now != "" {
		from = "from " + now + " "
	}
	line("upgrade %s %sto %s, image %s over %s", p.Upgrade.OTPApp, from, p.Upgrade.Named(), Tag(p.Upgrade.SourceImage), Tag(p.Upgrade.BaseImage))
	line("strategy %s", p.Strategy)
	for _, m := range p.Modules {
		line("module %s of %s: %s", m.Module, m.App, m.Change)
		if f := m.Functions; f != nil {
			line("  added %v, changed %v, removed %v, %d more", f.Added, f.Changed, f.Removed, f.More)
		}
	}
	for _, m := range p.Machines {
		line("machine %s in %s: %s", m.Machine.ID, m.Machine.Region, m.standing())
		for _, c := range m.Processes {
			line("  %d × %s (%s)", c.Count, c.Module, c.Kind)
		}
	}
	for _, m := range p.LeftOut {
		line("left out %s: %s", m.ID, m.LeftOut)
	}
	for _, f := range p.Findings {
		where := ""
		if len(f.Machines) > 0 {
			where = " on " + strings.Join(f.Machines, ", ")
		}
		if f.Processes > 0 {
			where += " (" + text.Counted(f.Processes, "process") + ")"
		}
		line("%s %s%s: %s", f.Severity, f.Name, where, f.What)
		if f.Remedy != "" {
			line("  → %s", f.Remedy)
		}
	}
	return b.String()
}

func (m MachinePlan) standing() string {
	switch {
	case m.Problem != nil:
		return "cannot take part: " + m.Problem.What
	case m.UpToDate:
		return "up to date"
	}
	return text.Counted(m.Report.Processes, "process") + " suspended, " + text.Counted(m.Report.ModulesChanged+m.Report.ModulesAdded, "module") + " loaded"
}

package engine

// Severity of a finding.
type Severity string

// Severities. A block must be accepted by its name before anything is suspended; a refusal cannot be accepted.
const (
	SeverityInfo   Severity = "info"
	SeverityWarn   Severity = "warn"
	SeverityBlock  Severity = "block"
	SeverityRefuse Severity = "refuse"
)

// Plan says what a commit would do: the union over the machines, and each machine's own findings.
type Plan struct {
	Upgrade  Upgrade       `json:"upgrade"`
	Machines []MachinePlan `json:"machines"`
	// Modules that change anywhere in the fleet, sorted by name.
	Modules  []ModuleChange `json:"modules"`
	Findings []Finding      `json:"findings"` // the same finding on several machines is one, with its machines
	Strategy string         `json:"strategy"`
	// LeftOut lists machines that the deploy does not touch, with the reason.
	LeftOut []Machine `json:"left_out,omitempty"`
}

// MachinePlan is what staging found on one machine.
type MachinePlan struct {
	Machine Machine `json:"machine"`
	// UpToDate: everything that the upgrade brings is loaded already; a commit would do nothing.
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
}

// ProcessChange counts processes of one callback module that would be suspended.
type ProcessChange struct {
	Module string `json:"module"`
	Kind   string `json:"kind"` // gen_server, gen_statem, gen_event, agent, other
	Count  int    `json:"count"`
}

// Finding is something that an operator should know before the commit: what, its cause, and what to do.
type Finding struct {
	Name     string   `json:"name"` // stable, for --accept
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Remedy   string   `json:"remedy,omitempty"`
	Machines []string `json:"machines,omitempty"`
}

// Blockers gives the names of findings that must be accepted, refusals included.
func (p *Plan) Blockers() []Finding {
	var out []Finding
	for _, f := range p.Findings {
		if f.Severity == SeverityBlock || f.Severity == SeverityRefuse {
			out = append(out, f)
		}
	}
	return out
}

// Processes counts the processes that a commit would suspend on all machines.
func (p *Plan) Processes() int {
	n := 0
	for _, m := range p.Machines {
		n += m.Report.Processes
	}
	return n
}

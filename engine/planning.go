package engine

import (
	"cmp"
	"fmt"
	"slices"

	"flydeploy/engine/agent"
)

// makePlan joins what staging found on each machine.
func (p *pipeline) makePlan() *Plan {
	plan := &Plan{Upgrade: p.upgrade, Strategy: p.settings.Strategy.describe(len(p.machines)), LeftOut: p.scope.out}
	for _, r := range p.machines {
		plan.Machines = append(plan.Machines, machinePlan(r))
	}
	plan.Modules = p.moduleChanges()
	plan.Findings = p.findings()
	return plan
}

func machinePlan(r *rollout) MachinePlan {
	m := MachinePlan{Machine: r.machine, UpToDate: r.upToDate(), Report: reportOf(r.status), Problem: r.problem}
	for _, g := range r.status.Processes {
		m.Processes = append(m.Processes, ProcessChange(g))
	}
	return m
}

// moduleChanges is the union over the machines, sorted.
func (p *pipeline) moduleChanges() []ModuleChange {
	seen := map[ModuleChange]bool{}
	changes := []ModuleChange{}
	for _, r := range p.machines {
		for _, m := range r.status.Modules {
			if c := ModuleChange(m); !seen[c] {
				seen[c] = true
				changes = append(changes, c)
			}
		}
	}
	slices.SortFunc(changes, func(a, b ModuleChange) int { return cmp.Compare(a.Module, b.Module) })
	return changes
}

// findings joins the same finding of several machines, and adds what only the fleet shows. The worst come first.
func (p *pipeline) findings() []Finding {
	all := findingSet{}
	for _, r := range p.machines {
		p.machineFindings(r, all)
	}
	for _, m := range p.scope.out {
		if m.State == StateSuspended {
			all.add(m.ID, Finding{
				Name: "suspended", Severity: SeverityWarn, What: "it is suspended and will wake in old code",
				Remedy: fmt.Sprintf("Start it and deploy again (`fly machine start %s`), or stop it, so that it boots afresh.", m.ID),
			})
		}
	}
	for _, m := range p.forgotten() {
		all.add(m.ID, Finding{
			Name: "clears_record", Severity: SeverityBlock,
			What: fmt.Sprintf("current.json records an upgrade for image %s, which it runs: that is cleared for image %s, and its next start leads back to its image",
				Tag(p.before.ImageRef), Tag(p.upgrade.BaseImage)),
			Remedy: remedies["clears_record"],
		})
	}
	for _, f := range p.earlierFindings() {
		all[[2]string{f.Name, f.What}] = &f
	}
	if f, differs := p.target.Storage.finding(); differs {
		all[[2]string{f.Name, f.What}] = &f
	}
	return all.sorted()
}

// machineFindings are what staging one machine has found.
func (p *pipeline) machineFindings(r *rollout, all findingSet) {
	for _, f := range r.status.Findings {
		all.add(r.machine.ID, Finding{
			Name: f.Name, Severity: Severity(f.Severity), What: f.Subject + ": " + f.Detail, Remedy: remedies[f.Name],
		})
	}
	if r.problem != nil {
		all.add(r.machine.ID, Finding{Name: "staging_failed", Severity: SeverityRefuse, What: r.problem.What, Remedy: r.problem.Remedy})
	}
	if !SameImage(r.machine.Image, p.upgrade.BaseImage) {
		all.add(r.machine.ID, Finding{
			Name: "other_image", Severity: SeverityRefuse,
			What:   fmt.Sprintf("it runs image %s, the others %s", Tag(r.machine.Image), Tag(p.upgrade.BaseImage)),
			Remedy: "Bring all machines to one image by a cold deploy (`fly deploy`), or select only machines of one image.",
		})
	}
}

// forgotten gives the machines outside of the deploy whose upgrade would not be recorded any more: current.json tells of the
// machines of one image only.
func (p *pipeline) forgotten() []Machine {
	if SameImage(p.before.ImageRef, p.upgrade.BaseImage) {
		return nil
	}
	out := byID(p.scope.out)
	var machines []Machine
	for _, m := range p.target.Machines {
		why := out[m.ID].LeftOut
		if _, upgraded := p.before.upgradeOf(m); upgraded && m.LeftOut == "" && why != "" && why != leftOutNoVM {
			machines = append(machines, m)
		}
	}
	return machines
}

type findingSet map[[2]string]*Finding

func (s findingSet) add(machine string, f Finding) {
	key := [2]string{f.Name, f.What}
	if s[key] == nil {
		s[key] = &f
	}
	s[key].Machines = append(s[key].Machines, machine)
}

var severityOrder = []Severity{SeverityRefuse, SeverityBlock, SeverityWarn, SeverityInfo}

func (s findingSet) sorted() []Finding {
	list := []Finding{}
	for _, f := range s {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(severityOrder, a.Severity), slices.Index(severityOrder, b.Severity)),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.What, b.What))
	})
	return list
}

// reportOf is what an agent counted, in the words of events.
func reportOf(s agent.Status) MachineReport {
	report := MachineReport{
		ModulesChanged: s.Counts.ModulesChanged, ModulesAdded: s.Counts.ModulesAdded, ModulesRemoved: s.Counts.ModulesRemoved,
		Processes: s.Counts.Processes, SuspendedUS: s.SuspendedUS, SuspendedAtUS: s.SuspendedAtUS, ResumedAtUS: s.ResumedAtUS,
		UpToDate: s.UpToDate, Killed: s.Killed, FailuresTotal: s.FailuresTotal,
	}
	if s.State.Terminal() {
		report.Outcome = MachineState(s.State)
	}
	if s.Suspended > 0 {
		report.Processes = s.Suspended
	}
	if s.State == agent.Committed {
		report.Migrated = s.Migrated
	}
	for _, f := range s.Failures {
		report.Failures = append(report.Failures, Failure(f))
	}
	return report
}

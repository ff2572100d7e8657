package deploy

import (
	"cmp"
	"fmt"
	"slices"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// makePlan joins what staging found on each machine.
func (p *Pipeline) makePlan() *engine.Plan {
	plan := &engine.Plan{Upgrade: p.Upgrade, Strategy: p.settings.Strategy.Describe(len(p.machines)), LeftOut: p.Scope.Out}
	for _, r := range p.machines {
		plan.Machines = append(plan.Machines, machinePlan(r))
	}
	plan.Modules = p.moduleChanges()
	plan.Findings = p.Findings()
	return plan
}

func machinePlan(r *Rollout) engine.MachinePlan {
	m := engine.MachinePlan{Machine: r.Machine, UpToDate: r.upToDate(), Report: reportOf(r.status), Problem: r.problem}
	for _, g := range r.status.Processes {
		m.Processes = append(m.Processes, engine.ProcessChange(g))
	}
	return m
}

// moduleChanges is the union over the machines, sorted.
func (p *Pipeline) moduleChanges() []engine.ModuleChange {
	seen := map[engine.ModuleChange]bool{}
	changes := []engine.ModuleChange{}
	for _, r := range p.machines {
		for _, m := range r.status.Modules {
			if c := engine.ModuleChange(m); !seen[c] {
				seen[c] = true
				changes = append(changes, c)
			}
		}
	}
	slices.SortFunc(changes, func(a, b engine.ModuleChange) int { return cmp.Compare(a.Module, b.Module) })
	return changes
}

// findings joins the same finding of several machines, and adds what only the fleet shows. The worst come first.
func (p *Pipeline) Findings() []engine.Finding {
	all := findingSet{}
	for _, r := range p.machines {
		p.machineFindings(r, all)
	}
	for _, m := range p.Scope.Out {
		if m.State == engine.StateSuspended {
			all.add(m.ID, engine.Finding{
				Name: "suspended", Severity: engine.SeverityWarn, What: "it is suspended and will wake in old code",
				Remedy: fmt.Sprintf("Start it and deploy again (`fly machine start %s`), or stop it, so that it boots afresh.", m.ID),
			})
		}
	}
	for _, m := range p.forgotten() {
		all.add(m.ID, engine.Finding{
			Name: "clears_record", Severity: engine.SeverityBlock,
			What: fmt.Sprintf("current.json records an upgrade for image %s, which it runs: that is cleared for image %s, and its next start leads back to its image",
				engine.Tag(p.Before.ImageRef), engine.Tag(p.Upgrade.BaseImage)),
			Remedy: engine.Remedies["clears_record"],
		})
	}
	for _, f := range p.earlierFindings() {
		all[[2]string{f.Name, f.What}] = &f
	}
	if f, differs := p.Target.Storage.Finding(); differs {
		all[[2]string{f.Name, f.What}] = &f
	}
	return all.sorted()
}

// machineFindings are what staging one machine has found.
func (p *Pipeline) machineFindings(r *Rollout, all findingSet) {
	for _, f := range r.status.Findings {
		all.add(r.Machine.ID, engine.Finding{
			Name: f.Name, Severity: engine.Severity(f.Severity), What: f.Subject + ": " + f.Detail, Remedy: engine.Remedies[f.Name],
		})
	}
	if r.problem != nil {
		all.add(r.Machine.ID, engine.Finding{Name: "staging_failed", Severity: engine.SeverityRefuse, What: r.problem.What, Remedy: r.problem.Remedy})
	}
	if !engine.SameImage(r.Machine.Image, p.Upgrade.BaseImage) {
		all.add(r.Machine.ID, engine.Finding{
			Name: "other_image", Severity: engine.SeverityRefuse,
			What:   fmt.Sprintf("it runs image %s, the others %s", engine.Tag(r.Machine.Image), engine.Tag(p.Upgrade.BaseImage)),
			Remedy: "Bring all machines to one image by a cold deploy (`fly deploy`), or select only machines of one image.",
		})
	}
}

// forgotten gives the machines outside of the deploy whose upgrade would not be recorded any more: current.json tells of the
// machines of one image only.
func (p *Pipeline) forgotten() []engine.Machine {
	if engine.SameImage(p.Before.ImageRef, p.Upgrade.BaseImage) {
		return nil
	}
	out := engine.ByID(p.Scope.Out)
	var machines []engine.Machine
	for _, m := range p.Target.Machines {
		why := out[m.ID].LeftOut
		if _, upgraded := p.Before.UpgradeOf(m); upgraded && m.LeftOut == "" && why != "" && why != engine.LeftOutNoVM {
			machines = append(machines, m)
		}
	}
	return machines
}

type findingSet map[[2]string]*engine.Finding

func (s findingSet) add(machine string, f engine.Finding) {
	key := [2]string{f.Name, f.What}
	if s[key] == nil {
		s[key] = &f
	}
	s[key].Machines = append(s[key].Machines, machine)
}

var severityOrder = []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn, engine.SeverityInfo}

func (s findingSet) sorted() []engine.Finding {
	list := []engine.Finding{}
	for _, f := range s {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b engine.Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(severityOrder, a.Severity), slices.Index(severityOrder, b.Severity)),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.What, b.What))
	})
	return list
}

// reportOf is what an agent counted, in the words of events.
func reportOf(s agent.Status) engine.MachineReport {
	report := engine.MachineReport{
		ModulesChanged: s.Counts.ModulesChanged, ModulesAdded: s.Counts.ModulesAdded, ModulesRemoved: s.Counts.ModulesRemoved,
		Processes: s.Counts.Processes, SuspendedUS: s.SuspendedUS, SuspendedAtUS: s.SuspendedAtUS, ResumedAtUS: s.ResumedAtUS,
		UpToDate: s.UpToDate, Killed: s.Killed, FailuresTotal: s.FailuresTotal,
	}
	if s.State.Terminal() {
		report.Outcome = engine.MachineState(s.State)
	}
	if s.Suspended > 0 {
		report.Processes = s.Suspended
	}
	if s.State == agent.Committed {
		report.Migrated = s.Migrated
	}
	for _, f := range s.Failures {
		report.Failures = append(report.Failures, engine.Failure(f))
	}
	return report
}

package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
)

// planQuestion is the bar with the decision whether to do what the plan says. The focus is on Cancel.
func (d *deploy) planQuestion(w int) []line {
	p := d.progress.Plan
	ids := make([]string, 0, len(p.Machines))
	for _, m := range p.Machines {
		ids = append(ids, m.Machine.ID)
	}
	question := " Suspend " + counted(p.Processes(), "process") + " on " + counted(len(ids), "machine") + "?"
	buttons := line{buttonSpan("Cancel", !d.onDeploy), blank(1), buttonSpan("D Deploy", d.onDeploy)}
	if open := d.toRead(); open != "" {
		buttons = append(buttons, sp(toneWarn, "  "+open))
	}
	return []line{
		rule("", w), line{sp(toneStrong, question)}.fit(w), line{sp(toneMuted, " "+listed(ids, w-2))}.fit(w), buttons.fit(w),
	}
}

// toRead says what keeps the plan from being confirmed, or that there are warnings: on a low screen they are scrolled away.
func (d *deploy) toRead() string {
	var refused, open []string
	for _, f := range d.progress.Plan.Blockers() {
		switch {
		case f.Severity == engine.SeverityRefuse:
			refused = append(refused, f.Name)
		case !d.accepted[f.Name]:
			open = append(open, f.Name)
		}
	}
	switch {
	case len(refused) > 0:
		return "refused: " + strings.Join(refused, ", ")
	case len(open) > 0:
		return "to accept by name: " + strings.Join(open, ", ")
	}
	warnings := 0
	for _, f := range d.progress.Plan.Findings {
		if f.Severity == engine.SeverityWarn {
			warnings++
		}
	}
	if warnings == 0 {
		return ""
	}
	return "! " + counted(warnings, "warning") + " above"
}

// planLines is the plan in full: findings first, then machines with their processes, then modules.
func (d *deploy) planLines(p *engine.Plan, w int) []line {
	if w < wideWidth-2 {
		lines := append(planFacts(p, w), d.findingLines(p, w)...)
		lines = append(append(lines, nil), planModules(p, w)...)
		lines = append(append(lines, nil), planProcesses(p, w)...)
		return append(append(lines, nil), planMachines(p, w)...)
	}
	side := (w - 3) / 2
	left := append(planFacts(p, side), d.findingLines(p, side)...)
	left = append(append(left, nil), planMachines(p, side)...)
	right := append(planModules(p, w-3-side), nil)
	right = append(right, planProcesses(p, w-3-side)...)
	n := max(len(left), len(right))
	return beside(fill(left, side, n), fill(right, w-3-side, n))
}

func planFacts(p *engine.Plan, w int) []line {
	lines := []line{
		fact("upgrade", strings.TrimSpace(p.Upgrade.Version+"  "+p.Upgrade.ID), w),
		fact("modules", changesText(p.Modules), w),
		fact("processes", count(p.Processes())+" to suspend", w),
	}
	if p.Upgrade.Size > 0 {
		lines = append(lines, fact("tarball", bytes(p.Upgrade.Size), w))
	}
	if p.Strategy != "" {
		lines = append(lines, fact("strategy", p.Strategy, w))
	}
	return lines
}

func (d *deploy) findingLines(p *engine.Plan, w int) []line {
	var lines []line
	for _, s := range []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn, engine.SeverityInfo} {
		for _, f := range p.Findings {
			if f.Severity == s {
				lines = append(lines, d.findingLine(f, w)...)
			}
		}
	}
	if len(lines) > 0 {
		lines = append([]line{nil, {{text: "Findings", tone: toneStrong}}}, lines...)
	}
	return lines
}

// findingLine is one finding: a word for its weight, its cause, its remedy, where.
func (d *deploy) findingLine(f engine.Finding, w int) []line {
	word, t := "· note ", toneMuted
	switch f.Severity {
	case engine.SeverityRefuse:
		word, t = "✗ refuse ", toneFail
	case engine.SeverityBlock:
		word, t = "✗ block ", toneFail
		if d.accepted[f.Name] {
			word, t = "✓ accepted ", toneWarn
		}
	case engine.SeverityWarn:
		word, t = "! warn ", toneWarn
	}
	lines := []line{line{{text: word, tone: t}, sp(toneStrong, f.Name)}.fit(w)}
	in := func(ls []line) {
		for _, l := range ls {
			lines = append(lines, append(line{blank(2)}, l...))
		}
	}
	in(paragraph(toneText, f.What, w-2))
	if f.Remedy != "" {
		in(paragraph(toneMuted, "→ "+f.Remedy, w-2))
	}
	if len(f.Machines) > 0 {
		in([]line{{sp(toneMuted, "on "+named(f.Machines, w-5))}})
	}
	return lines
}

func planMachines(p *engine.Plan, w int) []line {
	lines := []line{{{text: "Machines", tone: toneStrong}, sp(toneMuted, "  "+count(len(p.Machines)))}}
	for _, m := range p.Machines {
		head := line{sp(toneText, m.Machine.ID), sp(toneMuted, "  "+m.Machine.Region+"  ")}
		switch {
		case m.Problem != nil:
			head = append(head, sp(toneFail, "✗ cannot take part: "+m.Problem.What))
		case m.UpToDate:
			head = append(head, sp(toneOK, "✓ up to date"))
		default:
			head = append(head, sp(toneText, counted(m.Report.Processes, "process")))
		}
		lines = append(lines, head.fit(w))
		for _, part := range wrap(processesText(m.Processes), w-2) {
			lines = append(lines, line{blank(2), {text: part, tone: toneMuted}})
		}
	}
	for _, m := range p.LeftOut {
		lines = append(lines, line{sp(toneMuted, m.ID+"  "+m.Region+"  – left out: "+m.LeftOut)}.fit(w))
	}
	return lines
}

func processesText(changes []engine.ProcessChange) string {
	parts := make([]string, 0, len(changes))
	for _, p := range changes {
		parts = append(parts, fmt.Sprintf("%s ×%s", moduleName(p.Module), count(p.Count)))
	}
	return strings.Join(parts, ", ")
}

// planModules lists the modules by application.
func planModules(p *engine.Plan, w int) []line {
	lines := []line{{{text: "Modules", tone: toneStrong}, sp(toneMuted, "  "+count(len(p.Modules)))}}
	byApp := map[string][]engine.ModuleChange{}
	for _, m := range p.Modules {
		byApp[m.App] = append(byApp[m.App], m)
	}
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		lines = append(lines, line{sp(toneText, app), sp(toneMuted, "  "+changesText(byApp[app]))}.fit(w))
		for _, m := range byApp[app] {
			lines = append(lines, line{blank(2), changeSign(m.Change), sp(toneText, moduleName(m.Module))}.fit(w))
		}
	}
	return lines
}

func changeSign(change string) span {
	switch change {
	case "added":
		return span{text: "+ added    ", tone: toneOK}
	case "removed":
		return span{text: "- removed  ", tone: toneWarn}
	}
	return span{text: "~ changed  ", tone: toneActive}
}

func changesText(modules []engine.ModuleChange) string {
	changes := map[string]int{}
	for _, m := range modules {
		changes[m.Change]++
	}
	return fmt.Sprintf("%d changed, %d added, %d removed", changes["changed"], changes["added"], changes["removed"])
}

// processSum is the processes of one module on all machines.
type processSum struct {
	engine.ProcessChange
	machines int
}

func processSums(p *engine.Plan) []*processSum {
	var order []*processSum
	sums := map[string]*processSum{}
	for _, m := range p.Machines {
		for _, change := range m.Processes {
			s := sums[change.Module]
			if s == nil {
				s = &processSum{ProcessChange: engine.ProcessChange{Module: change.Module, Kind: change.Kind}}
				sums[change.Module] = s
				order = append(order, s)
			}
			s.Count, s.machines = s.Count+change.Count, s.machines+1
		}
	}
	return order
}

func planProcesses(p *engine.Plan, w int) []line {
	lines := []line{{{text: "Processes", tone: toneStrong}, sp(toneMuted, "  "+count(p.Processes()))}}
	for _, s := range processSums(p) {
		lines = append(lines, line{
			sp(toneText, fmt.Sprintf("%9s  ", count(s.Count))), sp(toneText, moduleName(s.Module)), sp(toneMuted, "  "+s.Kind+" on "+counted(s.machines, "machine")),
		}.fit(w))
	}
	return lines
}

// moduleName is a module as Elixir writes it.
func moduleName(m string) string { return strings.TrimPrefix(m, "Elixir.") }

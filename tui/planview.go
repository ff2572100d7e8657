package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// planQuestion is the bar with the decision whether to do what the plan says. The focus is on Cancel.
func (d *deploy) planQuestion(w int) []cells.Line {
	p := d.progress.Plan
	ids := make([]string, 0, len(p.Machines))
	for _, m := range p.Machines {
		ids = append(ids, m.Machine.ID)
	}
	question := " Suspend " + text.Counted(p.Processes(), "process") + " on " + text.Counted(len(ids), "machine") + "?"
	buttons := cells.Line{cells.Button("Cancel", !d.onDeploy), cells.Blank(1), cells.Button("D Deploy", d.onDeploy)}
	if open := d.toRead(); open != "" {
		buttons = append(buttons, cells.New(cells.Warn, "  "+open))
	}
	return []cells.Line{
		cells.Rule("", w), cells.Line{cells.New(cells.Strong, question)}.Fit(w), cells.Line{cells.New(cells.Muted, " "+listed(ids, w-2))}.Fit(w), buttons.Fit(w),
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
	return "! " + text.Counted(warnings, "warning") + " above"
}

// planLines is the plan in full: findings first, then machines with their processes, then modules.
func (d *deploy) planLines(p *engine.Plan, w int) []cells.Line {
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
	return cells.Beside(cells.Fill(left, side, n), cells.Fill(right, w-3-side, n))
}

func planFacts(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{
		cells.Fact("upgrade", strings.TrimSpace(p.Upgrade.Version+"  "+p.Upgrade.ID), w),
		cells.Fact("modules", changesText(p.Modules), w),
		cells.Fact("processes", text.Count(p.Processes())+" to suspend", w),
	}
	if p.Upgrade.Size > 0 {
		lines = append(lines, cells.Fact("tarball", text.Bytes(p.Upgrade.Size), w))
	}
	if p.Strategy != "" {
		lines = append(lines, cells.Fact("strategy", p.Strategy, w))
	}
	return lines
}

func (d *deploy) findingLines(p *engine.Plan, w int) []cells.Line {
	var lines []cells.Line
	for _, s := range []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn, engine.SeverityInfo} {
		for _, f := range p.Findings {
			if f.Severity == s {
				lines = append(lines, d.findingLine(f, w)...)
			}
		}
	}
	if len(lines) > 0 {
		lines = append([]cells.Line{nil, {{Text: "Findings", Tone: cells.Strong}}}, lines...)
	}
	return lines
}

// findingLine is one finding: a word for its weight, its cause, its remedy, where.
func (d *deploy) findingLine(f engine.Finding, w int) []cells.Line {
	word, t := "· note ", cells.Muted
	switch f.Severity {
	case engine.SeverityRefuse:
		word, t = "✗ refuse ", cells.Fail
	case engine.SeverityBlock:
		word, t = "✗ block ", cells.Fail
		if d.accepted[f.Name] {
			word, t = "✓ accepted ", cells.Warn
		}
	case engine.SeverityWarn:
		word, t = "! warn ", cells.Warn
	}
	lines := []cells.Line{cells.Line{{Text: word, Tone: t}, cells.New(cells.Strong, f.Name)}.Fit(w)}
	in := func(ls []cells.Line) {
		for _, l := range ls {
			lines = append(lines, append(cells.Line{cells.Blank(2)}, l...))
		}
	}
	in(cells.Paragraph(cells.Normal, f.What, w-2))
	if f.Remedy != "" {
		in(cells.Paragraph(cells.Muted, "→ "+f.Remedy, w-2))
	}
	if len(f.Machines) > 0 {
		in([]cells.Line{{cells.New(cells.Muted, "on "+named(f.Machines, w-5))}})
	}
	return lines
}

func planMachines(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Machines", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(len(p.Machines)))}}
	for _, m := range p.Machines {
		head := cells.Line{cells.New(cells.Normal, m.Machine.ID), cells.New(cells.Muted, "  "+m.Machine.Region+"  ")}
		switch {
		case m.Problem != nil:
			head = append(head, cells.New(cells.Fail, "✗ cannot take part: "+m.Problem.What))
		case m.UpToDate:
			head = append(head, cells.New(cells.OK, "✓ up to date"))
		default:
			head = append(head, cells.New(cells.Normal, text.Counted(m.Report.Processes, "process")))
		}
		lines = append(lines, head.Fit(w))
		for _, part := range cells.Wrap(processesText(m.Processes), w-2) {
			lines = append(lines, cells.Line{cells.Blank(2), {Text: part, Tone: cells.Muted}})
		}
	}
	for _, m := range p.LeftOut {
		lines = append(lines, cells.Line{cells.New(cells.Muted, m.ID+"  "+m.Region+"  – left out: "+m.LeftOut)}.Fit(w))
	}
	return lines
}

func processesText(changes []engine.ProcessChange) string {
	parts := make([]string, 0, len(changes))
	for _, p := range changes {
		parts = append(parts, fmt.Sprintf("%s ×%s", moduleName(p.Module), text.Count(p.Count)))
	}
	return strings.Join(parts, ", ")
}

// planModules lists the modules by application.
func planModules(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Modules", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(len(p.Modules)))}}
	byApp := map[string][]engine.ModuleChange{}
	for _, m := range p.Modules {
		byApp[m.App] = append(byApp[m.App], m)
	}
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		lines = append(lines, cells.Line{cells.New(cells.Normal, app), cells.New(cells.Muted, "  "+changesText(byApp[app]))}.Fit(w))
		for _, m := range byApp[app] {
			lines = append(lines, cells.Line{cells.Blank(2), changeSign(m.Change), cells.New(cells.Normal, moduleName(m.Module))}.Fit(w))
		}
	}
	return lines
}

func changeSign(change string) cells.Span {
	switch change {
	case "added":
		return cells.Span{Text: "+ added    ", Tone: cells.OK}
	case "removed":
		return cells.Span{Text: "- removed  ", Tone: cells.Warn}
	}
	return cells.Span{Text: "~ changed  ", Tone: cells.Active}
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

func planProcesses(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Processes", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(p.Processes()))}}
	for _, s := range processSums(p) {
		lines = append(lines, cells.Line{
			cells.New(cells.Normal, fmt.Sprintf("%9s  ", text.Count(s.Count))), cells.New(cells.Normal, moduleName(s.Module)), cells.New(cells.Muted, "  "+s.Kind+" on "+text.Counted(s.machines, "machine")),
		}.Fit(w))
	}
	return lines
}

// moduleName is a module as Elixir writes it.
func moduleName(m string) string { return strings.TrimPrefix(m, "Elixir.") }

package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

const planTwoColumns = 118 // cells

// Plan is the plan in full: findings first, then machines with their processes, then modules.
// Of the blockers those accepted are told as such. From planTwoColumns on it has two.
func Plan(p *engine.Plan, accepted map[string]bool, w int) []cells.Line {
	if w < planTwoColumns {
		lines := append(planFacts(p, w), findingLines(p, accepted, w)...)
		lines = append(append(lines, nil), planModules(p, w)...)
		lines = append(append(lines, nil), planProcesses(p, w)...)
		return append(append(lines, nil), planMachines(p, w)...)
	}
	side := (w - 3) / 2
	left := append(planFacts(p, side), findingLines(p, accepted, side)...)
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

func findingLines(p *engine.Plan, accepted map[string]bool, w int) []cells.Line {
	var lines []cells.Line
	for _, s := range []engine.Severity{engine.SeverityRefuse, engine.SeverityBlock, engine.SeverityWarn, engine.SeverityInfo} {
		for _, f := range p.Findings {
			if f.Severity == s {
				lines = append(lines, findingLine(f, accepted[f.Name], w)...)
			}
		}
	}
	if len(lines) > 0 {
		lines = append([]cells.Line{nil, {{Text: "Findings", Tone: cells.Strong}}}, lines...)
	}
	return lines
}

// findingLine is one finding: a word for its weight, its cause, its remedy, where.
func findingLine(f engine.Finding, accepted bool, w int) []cells.Line {
	word, t := "· note ", cells.Muted
	switch f.Severity {
	case engine.SeverityRefuse:
		word, t = "✗ refuse ", cells.Fail
	case engine.SeverityBlock:
		word, t = "✗ block ", cells.Fail
		if accepted {
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
		in([]cells.Line{{cells.New(cells.Muted, "on "+Named(f.Machines, w-5))}})
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
		parts = append(parts, fmt.Sprintf("%s ×%s", Module(p.Module), text.Count(p.Count)))
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
			lines = append(lines, cells.Line{cells.Blank(2), changeSign(m.Change), cells.New(cells.Normal, Module(m.Module))}.Fit(w))
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

// ProcessSum is the processes of one module on all machines.
type ProcessSum struct {
	engine.ProcessChange
	Machines int
}

func ProcessSums(p *engine.Plan) []*ProcessSum {
	var order []*ProcessSum
	sums := map[string]*ProcessSum{}
	for _, m := range p.Machines {
		for _, change := range m.Processes {
			s := sums[change.Module]
			if s == nil {
				s = &ProcessSum{ProcessChange: engine.ProcessChange{Module: change.Module, Kind: change.Kind}}
				sums[change.Module] = s
				order = append(order, s)
			}
			s.Count, s.Machines = s.Count+change.Count, s.Machines+1
		}
	}
	return order
}

func planProcesses(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Processes", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(p.Processes()))}}
	for _, s := range ProcessSums(p) {
		lines = append(lines, cells.Line{
			cells.New(cells.Normal, fmt.Sprintf("%9s  ", text.Count(s.Count))), cells.New(cells.Normal, Module(s.Module)), cells.New(cells.Muted, "  "+s.Kind+" on "+text.Counted(s.Machines, "machine")),
		}.Fit(w))
	}
	return lines
}

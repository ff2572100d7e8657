package view

import (
	"fmt"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

const planTwoColumns = 118 // cells

// Plan is the plan in full: the verdict, findings, then machines with their processes, then modules.
// Of the blockers those accepted are told as such. From planTwoColumns on it has two.
func Plan(p *engine.Plan, accepted map[string]bool, w int) []cells.Line {
	return append(Verdict(p.Verdict, w), planParts(p, accepted, w)...)
}

// Verdict is the sentence that stands first, with a glyph.
func Verdict(v engine.Verdict, w int) []cells.Line {
	glyph, t := "✗ ", cells.Fail
	switch v.Word {
	case "":
		return nil // an older flydeploy's
	case engine.VerdictHot:
		glyph, t = "✓ ", cells.OK
	case engine.VerdictRisks:
		glyph, t = "! ", cells.Warn
	}
	return Hanging(t, glyph, v.Text, w)
}

func planParts(p *engine.Plan, accepted map[string]bool, w int) []cells.Line {
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
	from := p.From()
	if from != "" {
		from += " → "
	}
	processes := text.Count(p.Processes()) + " to suspend"
	if n := p.Migrating(); n > 0 {
		processes += ", " + text.Count(n) + " of them migrate"
	}
	lines := cells.FactLines("upgrade", from+p.Upgrade.Named(), w)
	lines = append(append(lines, cells.Fact("modules", changesText(p.Modules), w)), cells.FactLines("processes", processes, w)...)
	if p.Upgrade.Size > 0 {
		lines = append(lines, cells.Fact("tarball", text.Bytes(p.Upgrade.Size), w))
	}
	if p.Strategy != "" {
		lines = append(lines, cells.FactLines("strategy", p.Strategy, w)...)
	}
	if p.Upgrade.ID != "" {
		lines = append(lines, cells.Fact("deploy", p.Upgrade.ID, w))
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
	where := ""
	if f.Processes > 0 {
		where = text.Counted(f.Processes, "process") + " "
	}
	if len(f.Machines) > 0 {
		where += "on "
		where += Named(f.Machines, 2*(w-2)-16-cells.Width(where)) // on two rows, of which an ID may leave the end empty
	}
	if where != "" {
		in(cells.Paragraph(cells.Muted, where, w-2))
	}
	return lines
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

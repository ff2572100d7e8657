package view

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// machineGroup is machines of a plan that stand alike: the same findings, about processes of the same modules.
type machineGroup struct {
	machines []engine.MachinePlan
	findings []string // names of those that matter
}

// machineGroups puts together what is read once, in the order of the plan.
func machineGroups(p *engine.Plan) []*machineGroup {
	findings := map[string][]string{}
	for _, f := range p.Findings {
		for _, id := range f.Machines {
			if f.Severity != engine.SeverityInfo && !slices.Contains(findings[id], f.Name) {
				findings[id] = append(findings[id], f.Name)
			}
		}
	}
	var order []*machineGroup
	groups := map[string]*machineGroup{}
	for _, m := range p.Machines {
		kinds := make([]string, 0, len(m.Processes))
		for _, c := range m.Processes {
			kinds = append(kinds, c.Module)
		}
		slices.Sort(kinds)
		why := ""
		if m.Problem != nil {
			why = m.Problem.What
		}
		key := fmt.Sprintf("%q %t %v %q %q", why, m.UpToDate, m.Runs, kinds, findings[m.Machine.ID])
		if groups[key] == nil {
			groups[key] = &machineGroup{findings: findings[m.Machine.ID]}
			order = append(order, groups[key])
		}
		groups[key].machines = append(groups[key].machines, m)
	}
	return order
}

// planMachines lists the machines. Those that stand alike are one line, and one of their processes.
func planMachines(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Machines", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(len(p.Machines)))}}
	for _, g := range machineGroups(p) {
		lines = append(lines, g.lines(w)...)
	}
	return append(lines, leftOut(p.LeftOut, w)...)
}

func (g *machineGroup) lines(w int) []cells.Line {
	m, n := g.machines[0], 0
	ids := make([]string, 0, len(g.machines))
	for _, m := range g.machines {
		ids, n = append(ids, m.Machine.ID), n+m.Report.Processes
	}
	head := cells.Line{cells.New(cells.Normal, m.Machine.ID), cells.New(cells.Muted, "  "+m.Machine.Region+"  ")}
	if len(ids) > 1 {
		head = cells.Line{cells.New(cells.Normal, text.Counted(len(ids), "machine")+"  ")}
	}
	switch {
	case m.Problem != nil:
		head = append(head, cells.New(cells.Fail, "✗ cannot take part: "+m.Problem.What))
	case m.UpToDate:
		head = append(head, cells.New(cells.OK, "✓ up to date"))
	default:
		head = append(head, cells.New(cells.Normal, text.Counted(n, "process")))
	}
	lines := []cells.Line{head.Fit(w)}
	if found := strings.Join(g.findings, ", "); found != "" {
		if whole := append(head, cells.New(cells.Warn, "  "+found)); whole.Width() <= w {
			lines[0] = whole
		} else {
			for _, row := range cells.Wrap(found, w-2) {
				lines = append(lines, cells.Line{cells.Blank(2), {Text: row, Tone: cells.Warn}})
			}
		}
	}
	if len(ids) > 1 {
		lines = append(lines, cells.Line{cells.Blank(2), cells.New(cells.Muted, Listed(ids, w-2))})
	}
	for _, part := range cells.Wrap(processesText(g.machines), w-2) {
		lines = append(lines, cells.Line{cells.Blank(2), {Text: part, Tone: cells.Muted}})
	}
	return lines
}

// leftOut lists the machines that the deploy does not touch, by their reason.
func leftOut(machines []engine.Machine, w int) []cells.Line {
	var order []string
	ids := map[string][]string{}
	for _, m := range machines {
		if ids[m.LeftOut] == nil {
			order = append(order, m.LeftOut)
		}
		ids[m.LeftOut] = append(ids[m.LeftOut], m.ID)
	}
	var lines []cells.Line
	for _, why := range order {
		lines = append(lines, cells.Line{cells.New(cells.Muted, Listed(ids[why], w/2)+"  – left out: "+why)}.Fit(w))
	}
	return lines
}

func processesText(machines []engine.MachinePlan) string {
	sums := ProcessSums(&engine.Plan{Machines: machines})
	parts := make([]string, 0, len(sums))
	for _, p := range sums {
		parts = append(parts, fmt.Sprintf("%s ×%s", Module(p.Module), text.Count(p.Count)))
	}
	return strings.Join(parts, ", ")
}

package plain

import (
	"cmp"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

// planTexts is what a plan says: modules by change, processes by module, findings with cause and remedy, machines that
// are left out.
func planTexts(p *engine.Plan) []string {
	texts := moduleTexts(p.Modules)
	for _, s := range view.ProcessSums(p) {
		texts = append(texts, sprintf("suspends %s of %s (%s) on %s", text.Counted(s.Count, "process"), view.Module(s.Module), s.Kind, text.Counted(s.Machines, "machine")))
	}
	for _, f := range p.Findings {
		finding := sprintf("%s %s: %s", f.Severity, f.Name, f.What)
		if f.Remedy != "" {
			finding += sprintf(" -> %s", f.Remedy)
		}
		if len(f.Machines) > 0 {
			finding += " (" + view.Named(f.Machines, 120) + ")"
		}
		texts = append(texts, finding)
	}
	for _, m := range p.Machines {
		if m.UpToDate {
			texts = append(texts, sprintf("up to date %s", m.Machine.ID))
		}
	}
	for _, m := range p.LeftOut {
		texts = append(texts, sprintf("left out %s: %s", m.ID, m.LeftOut))
	}
	return texts
}

// moduleTexts lists the modules of each application by change.
func moduleTexts(modules []engine.ModuleChange) []string {
	type group struct{ change, app string }
	var order []group
	names := map[group][]string{}
	for _, m := range modules {
		g := group{m.Change, m.App}
		if names[g] == nil {
			order = append(order, g)
		}
		names[g] = append(names[g], view.Module(m.Module))
	}
	slices.SortStableFunc(order, func(a, b group) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.change, b.change)) })
	var texts []string
	for _, g := range order {
		texts = append(texts, sprintf("%s %s of %s: %s", g.change, text.Counted(len(names[g]), "module"), g.app, strings.Join(names[g], ", ")))
	}
	return texts
}

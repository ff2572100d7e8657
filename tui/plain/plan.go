package plain

import (
	"cmp"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/view"
)

// planTexts is what a plan says: the verdict, from where to where it leads, modules by change, processes by module, findings with cause and remedy, machines that
// are left out.
func planTexts(p *engine.Plan) []string {
	var texts []string
	if p.Verdict.Text != "" {
		texts = append(texts, sprintf("%s", p.Verdict.Text))
	}
	if from := p.From(); from != "" {
		texts = append(texts, sprintf("from %s to %s", from, p.Upgrade.Named()))
	}
	texts = append(texts, moduleTexts(p.Modules)...)
	for _, m := range p.Modules {
		if f := m.Functions; f != nil && f.Total() > 0 {
			texts = append(texts, functionsText(m))
		}
	}
	for _, s := range view.ProcessSums(p) {
		texts = append(texts, sprintf("suspends %s of %s (%s) on %s", text.Counted(s.Count, "process"), view.Module(s.Module), s.Kind, text.Counted(s.Machines, "machine")))
	}
	for _, f := range p.Findings {
		finding := sprintf("%s %s: %s", f.Severity, f.Name, f.What)
		if f.Remedy != "" {
			finding += sprintf(" -> %s", f.Remedy)
		}
		var where []string
		if f.Processes > 0 {
			where = append(where, text.Counted(f.Processes, "process"))
		}
		if len(f.Machines) > 0 {
			where = append(where, view.Named(f.Machines, 120))
		}
		if len(where) > 0 {
			finding += " (" + strings.Join(where, " on ") + ")"
		}
		texts = append(texts, finding)
	}
	var upToDate []string
	for _, m := range p.Machines {
		if m.UpToDate {
			upToDate = append(upToDate, m.Machine.ID)
		}
	}
	if len(upToDate) > 0 {
		texts = append(texts, "up to date "+view.Named(upToDate, 120))
	}
	for _, m := range p.LeftOut {
		texts = append(texts, sprintf("left out %s: %s", m.ID, m.LeftOut))
	}
	return texts
}

// functionsText names the functions of a module that differ.
func functionsText(m engine.ModuleChange) string {
	var parts []string
	for _, list := range []struct {
		does  string
		names []string
	}{{"adds", m.Functions.Added}, {"changes", m.Functions.Changed}, {"removes", m.Functions.Removed}} {
		if len(list.names) > 0 {
			parts = append(parts, list.does+" "+strings.Join(list.names, ", "))
		}
	}
	if n := m.Functions.More; n > 0 {
		parts = append(parts, "and "+text.Count(n)+" more")
	}
	return sprintf("%s %s", view.Module(m.Module), strings.Join(parts, "; "))
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

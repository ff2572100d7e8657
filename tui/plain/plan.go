package plain

import (
	"cmp"
	"fmt"
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
		texts = append(texts, fmt.Sprintf("suspends %s of %s (%s) on %s", text.Counted(s.Count, "process"), text.Line(view.Module(s.Module)), text.Line(s.Kind), text.Counted(s.Machines, "machine")))
	}
	for _, f := range p.Findings {
		finding := fmt.Sprintf("%s %s: %s", f.Severity, text.Line(f.Name), text.Line(f.What))
		if f.Remedy != "" {
			finding += " -> " + text.Line(f.Remedy)
		}
		if len(f.Machines) > 0 {
			finding += " (" + view.Named(f.Machines, 120) + ")"
		}
		texts = append(texts, finding)
	}
	for _, m := range p.Machines {
		if m.UpToDate {
			texts = append(texts, "up to date "+text.Line(m.Machine.ID))
		}
	}
	for _, m := range p.LeftOut {
		texts = append(texts, fmt.Sprintf("left out %s: %s", text.Line(m.ID), text.Line(m.LeftOut)))
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
		names[g] = append(names[g], text.Line(view.Module(m.Module)))
	}
	slices.SortStableFunc(order, func(a, b group) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.change, b.change)) })
	var texts []string
	for _, g := range order {
		texts = append(texts, fmt.Sprintf("%s %s of %s: %s", text.Line(g.change), text.Counted(len(names[g]), "module"), text.Line(g.app), strings.Join(names[g], ", ")))
	}
	return texts
}

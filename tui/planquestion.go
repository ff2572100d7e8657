package tui

import (
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// planQuestion is the bar that asks whether to carry out the plan. The focus is on Cancel.
func (d *deployScreen) planQuestion(w int) []cells.Line {
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
		cells.Rule("", w), cells.Line{cells.New(cells.Strong, question)}.Fit(w), cells.Line{cells.New(cells.Muted, " "+view.Listed(ids, w-2))}.Fit(w), buttons.Fit(w),
	}
}

// toRead says what keeps the plan from being confirmed, or that there are warnings, which a low screen may not show.
func (d *deployScreen) toRead() string {
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

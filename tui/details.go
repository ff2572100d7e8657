package tui

import (
	"fmt"
	"reflect"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// details tells everything about the machine under the cursor, failures first.
func (d *deployScreen) details(c *console, w int) []cells.Line {
	r := d.board.current()
	if r == nil {
		return nil
	}
	m := r.m
	lines := machineHead(c, m.ID, m.Facts.Region+"  "+m.Facts.ProcessGroup+"  "+m.Facts.Name, w)
	if m.Problem != nil {
		lines = append(append(lines, nil), view.Problem(m.Problem, w)...)
	}
	lines = append(lines, crashLines(m.Report, w)...)
	lines = append(lines, failureLines(m.Report, w)...)
	lines = append(lines, nil)
	for _, p := range engine.MachinePhases {
		at := m.Phases[p]
		if d.isOver() && (at.Status == "" || at.Status == engine.StatusPending) && p != engine.PhaseRollback { // it will not come any more
			at.Status = engine.StatusSkipped
		}
		if l, ok := phaseLine(c, p, at); ok {
			lines = append(lines, l.Fit(w))
		}
	}
	if m.Vitals != nil {
		lines = append(append(lines, nil), view.VitalsFacts(m, w)...)
	}
	if m.Phases[engine.PhaseDetection].Status == engine.StatusDone || !reflect.DeepEqual(m.Report, engine.MachineReport{}) { // before that nobody knows
		lines = append(append(lines, nil), reportLines(m.Report, w)...)
	}
	return lines
}

// machineHead names a machine: what is told beside its ID stands below it where it has no room there.
func machineHead(c *console, id, beside string, w int) []cells.Line {
	head, more := cells.Line{cells.New(cells.Strong, id).To(c.machineURL(id))}, cells.New(cells.Muted, beside)
	if whole := append(head, cells.Blank(2), more); whole.Width() <= w {
		return []cells.Line{whole}
	}
	return []cells.Line{head.Fit(w), cells.Line{more}.Fit(w)}
}

const phaseTitle = 13 // cells

// phaseLine is one phase with its time. A rollback appears only where there is one.
func phaseLine(c *console, p engine.Phase, s engine.PhaseState) (cells.Line, bool) {
	if p == engine.PhaseRollback && s.Status == "" {
		return nil, false
	}
	glyph, t := view.StatusLook(s.Status, c.spin())
	name := cells.Normal
	if s.Status == "" || s.Status == engine.StatusPending {
		name = cells.Muted
	}
	l := append(cells.Line{{Text: glyph + " ", Tone: t}}, cells.Line{{Text: p.Title(), Tone: name}}.Fit(phaseTitle)...)
	took := view.PhaseTook(s, c.now)
	if free := 9 - cells.Width(took); free > 0 {
		l = append(l, cells.Blank(free))
	}
	l = append(l, cells.Span{Text: took + "  "})
	total := s.Total
	if s.Status == engine.StatusDone {
		total = 0 // all of it
	}
	return append(l, cells.New(cells.Muted, strings.TrimSpace(view.Amount(s.Done, total, s.Unit)+" "+s.Text))), true
}

func reportLines(r engine.MachineReport, w int) []cells.Line {
	lines := cells.FactLines("modules", fmt.Sprintf("%d changed, %d added, %d removed", r.ModulesChanged, r.ModulesAdded, r.ModulesRemoved), w)
	lines = append(lines, cells.Fact("processes", text.Count(r.Processes), w))
	if r.Migrated > 0 {
		lines = append(lines, cells.Fact("migrated", text.Count(r.Migrated), w))
	}
	if r.SuspendedUS > 0 {
		lines = append(lines, cells.Fact("suspended", view.Micros(r.SuspendedUS), w))
	}
	if r.Skipped > 0 {
		lines = append(lines, cells.Fact("left out", text.Counted(r.Skipped, "busy process"), w))
	}
	for _, pid := range r.Killed {
		lines = append(lines, cells.Line{cells.New(cells.Fail, "lost "+pid)}.Fit(w))
	}
	return lines
}

// crashLines tells what has crashed since the commit.
func crashLines(r engine.MachineReport, w int) []cells.Line {
	var lines []cells.Line
	for _, c := range r.Crashes {
		lines = append(append(lines, nil), view.Hanging(cells.Fail, "", view.CrashText(c), w)...)
		for _, frame := range c.Stack {
			lines = append(lines, view.Hanging(cells.Muted, "  ", frame, w)...)
		}
	}
	return lines
}

// failureLines tells which processes failed, why, where, and the shape of their state.
func failureLines(r engine.MachineReport, w int) []cells.Line {
	var lines []cells.Line
	for _, f := range r.Failures {
		lines = append(lines, nil)
		lines = append(lines, view.Hanging(cells.Strong, "", view.FailedProcess(f)+": "+f.Reason, w)...)
		for part := range strings.SplitSeq(f.Exception, "\n") {
			lines = append(lines, view.Hanging(cells.Fail, "  ", part, w)...)
		}
		for _, frame := range f.Stack {
			lines = append(lines, view.Hanging(cells.Muted, "  ", frame, w)...)
		}
		if f.StateBefore != "" {
			lines = append(lines, cells.Fact("state was", f.StateBefore, w))
		}
		if f.StateAfter != "" {
			lines = append(lines, cells.Fact("became", f.StateAfter, w))
		}
	}
	return lines
}

package tui

import (
	"fmt"
	"strings"

	"flydeploy/engine"
)

// details tells everything about the machine under the cursor, failures before all else.
func (d *deploy) details(c *console, w int) []line {
	r := d.board.current()
	if r == nil {
		return nil
	}
	m := r.m
	head := line{sp(toneStrong, m.ID), sp(toneMuted, "  "+m.Facts.Region+"  "+m.Facts.ProcessGroup+"  "+m.Facts.Name)}
	lines := []line{head.fit(w)}
	if m.Problem != nil {
		lines = append(append(lines, nil), problemLines(m.Problem, w)...)
	}
	lines = append(lines, failureLines(m.Report, w)...)
	lines = append(lines, nil)
	for _, p := range engine.MachinePhases {
		if l, ok := phaseLine(c, p, m.Phases[p]); ok {
			lines = append(lines, l.fit(w))
		}
	}
	return append(append(lines, nil), reportLines(m.Report, w)...)
}

const phaseTitle = 13 // cells

// phaseLine is one phase with its time. A rollback appears only where there is one.
func phaseLine(c *console, p engine.Phase, s engine.PhaseState) (line, bool) {
	if p == engine.PhaseRollback && s.Status == "" {
		return nil, false
	}
	glyph, t := glyphOf(s.Status, c.spin())
	name := toneText
	if s.Status == "" || s.Status == engine.StatusPending {
		name = toneMuted
	}
	l := append(line{{text: glyph + " ", tone: t}}, line{{text: p.Title(), tone: name}}.fit(phaseTitle)...)
	took := phaseTook(s, c.now)
	if free := 9 - width(took); free > 0 {
		l = append(l, blank(free))
	}
	l = append(l, span{text: took + "  "})
	total := s.Total
	if s.Status == engine.StatusDone {
		total = 0 // all of it
	}
	return append(l, sp(toneMuted, strings.TrimSpace(amount(s.Done, total, s.Unit)+" "+s.Text))), true
}

func reportLines(r engine.MachineReport, w int) []line {
	lines := []line{
		fact("modules", fmt.Sprintf("%d changed, %d added, %d removed", r.ModulesChanged, r.ModulesAdded, r.ModulesRemoved), w),
		fact("processes", count(r.Processes), w),
	}
	if r.Migrated > 0 {
		lines = append(lines, fact("migrated", count(r.Migrated), w))
	}
	if r.SuspendedUS > 0 {
		lines = append(lines, fact("suspended", micros(r.SuspendedUS), w))
	}
	for _, pid := range r.Killed {
		lines = append(lines, line{sp(toneFail, "lost "+pid)}.fit(w))
	}
	return lines
}

// failureLines tells which processes failed, why, where, and the shape of their state.
func failureLines(r engine.MachineReport, w int) []line {
	var lines []line
	for _, f := range r.Failures {
		who := moduleName(f.Module) + " " + f.PID
		if f.Name != "" {
			who += " " + f.Name
		}
		if f.Count > 1 {
			who += fmt.Sprintf(" and %s more", count(f.Count-1))
		}
		lines = append(lines, nil)
		lines = append(lines, paragraph(toneStrong, who+": "+f.Reason, w)...)
		lines = append(lines, paragraph(toneFail, f.Exception, w)...)
		for _, frame := range f.Stack {
			lines = append(lines, paragraph(toneMuted, frame, w)...)
		}
		if f.StateBefore != "" {
			lines = append(lines, fact("state was", f.StateBefore, w))
		}
		if f.StateAfter != "" {
			lines = append(lines, fact("became", f.StateAfter, w))
		}
	}
	return lines
}

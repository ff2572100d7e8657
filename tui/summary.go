package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
)

// outcomeRows are the outcome on the screen.
func (d *deploy) outcomeRows(w int) []line {
	r := d.result
	glyph, t := outcomeLook(r.Outcome)
	lines := []line{line{blank(1), {text: glyph + " ", tone: t}, sp(t, headline(*r))}.fit(w)}
	if spread := distributionOf(r.Machines); len(spread.us) > 0 {
		l := line{{text: "   suspended ", tone: toneMuted}}
		if len(spread.us) >= minForClasses {
			l = append(l, span{text: spread.sparkline(16), tone: toneActive}, blank(1))
		}
		lines = append(lines, append(l, sp(toneText, spread.text())).fit(w))
	}
	if r.Problem != nil {
		for _, l := range problemLines(r.Problem, w-4) {
			lines = append(lines, append(line{blank(3)}, l...))
		}
	}
	if len(lines) > outcomeMost {
		lines = lines[:outcomeMost]
		lines[outcomeMost-1] = append(lines[outcomeMost-1], span{text: "…", tone: toneText})
	}
	return lines
}

// outcomeMost is how many rows the outcome has; the summary tells all of it.
const outcomeMost = 6

// headline is the outcome in one sentence.
func headline(r engine.Result) string {
	what := strings.TrimSpace(r.Upgrade.App + " " + r.Upgrade.Version)
	if what == "" {
		what = "deploy"
	}
	took := clock(time.Duration(r.DurationMS) * time.Millisecond)
	upgraded := 0
	for _, m := range r.Machines {
		if m.Outcome == "committed" || m.Outcome == "up_to_date" {
			upgraded++
		}
	}
	switch {
	case r.DryRun && r.Outcome == engine.OutcomeSucceeded:
		return what + ": planned in " + took + ", nothing was changed"
	case len(r.Machines) == 0:
		return what + ": " + string(r.Outcome) + " after " + took
	}
	verb := "run"
	if len(r.Machines) == 1 {
		verb = "runs"
	}
	return fmt.Sprintf("%s: %s, %s of %s %s it, after %s", what, r.Outcome, count(upgraded), counted(len(r.Machines), "machine"), verb, took)
}

// Summary is the end of a deploy as text for the scrollback, without escapes: the outcome, every machine, what failed
// and what to do. p may be nil.
func Summary(p *engine.Progress, r engine.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, headline(r))
	if r.Upgrade.ID != "" {
		fmt.Fprintln(&b, "  upgrade    "+r.Upgrade.ID)
	}
	if d := distributionOf(r.Machines); len(d.us) > 0 {
		fmt.Fprintln(&b, "  suspended  "+d.text()+"; "+counted(d.processes, "process")+" migrated")
		for _, row := range d.histogram() {
			fmt.Fprintln(&b, "  "+row)
		}
	}
	writeMachines(&b, r)
	for _, m := range r.Machines {
		writeFailures(&b, m)
	}
	if r.Problem != nil {
		fmt.Fprintln(&b, "  "+strings.ReplaceAll(clean(r.Problem.What), "\n", " "))
		for part := range strings.SplitSeq(r.Problem.Remedy, "\n") {
			if part = strings.TrimSpace(clean(part)); part != "" {
				fmt.Fprintln(&b, "  -> "+part)
			}
		}
	}
	return b.String()
}

// listMachines is up to how many machines a summary lists all; of more it lists those that were not upgraded.
const listMachines = 50

// writeMachines is a table of the machines' ends.
func writeMachines(b *strings.Builder, r engine.Result) {
	machines := r.Machines
	if len(machines) == 0 {
		return
	}
	rows := [][]string{{"machine", "region", "outcome", "modules", "processes", "suspended"}}
	fine := 0
	for _, m := range machines {
		if len(machines) > listMachines && m.Outcome == "committed" {
			fine++
			continue
		}
		suspended := "-"
		if m.SuspendedUS > 0 {
			suspended = micros(m.SuspendedUS)
		}
		rows = append(rows, []string{
			clean(m.ID), clean(m.Region), endWord(r, m.Outcome), count(m.Modules), count(m.Processes), suspended,
		})
	}
	if fine > 0 {
		fmt.Fprintf(b, "  %s upgraded, not listed here; the others:\n", counted(fine, "machine"))
	}
	if len(rows) == 1 {
		return
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		var l strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-width(cell))
			if i < 3 {
				cell += pad
			} else {
				cell = pad + cell
			}
			l.WriteString("  " + cell)
		}
		fmt.Fprintln(b, strings.TrimRight(l.String(), " "))
	}
}

func writeFailures(b *strings.Builder, m engine.MachineResult) {
	if m.Error == "" && len(m.Failures) == 0 {
		return
	}
	fmt.Fprintln(b, strings.TrimSuffix("  "+clean(m.ID)+": "+clean(m.Error), " "))
	for _, f := range m.Failures {
		who := strings.TrimSpace(moduleName(f.Module) + " " + f.PID + " " + f.Name)
		if f.Count > 1 {
			who += fmt.Sprintf(" and %s more", count(f.Count-1))
		}
		fmt.Fprintf(b, "    %s: %s\n", clean(who), clean(f.Reason))
		for _, l := range append([]string{f.Exception}, f.Stack...) {
			if l = strings.TrimSpace(clean(l)); l != "" {
				fmt.Fprintln(b, "      "+l)
			}
		}
		if f.StateBefore != "" {
			fmt.Fprintln(b, "      state was "+clean(f.StateBefore))
		}
		if f.StateAfter != "" {
			fmt.Fprintln(b, "      became    "+clean(f.StateAfter))
		}
	}
	if m.FullReport != "" {
		fmt.Fprintf(b, "    all %s: %s in the bucket\n", counted(m.FailuresTotal, "failure"), clean(m.FullReport))
	}
}

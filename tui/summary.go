package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// outcomeRows are the outcome on the screen.
func (d *deploy) outcomeRows(w int) []cells.Line {
	r := d.result
	glyph, t := outcomeLook(r.Outcome)
	lines := []cells.Line{cells.Line{cells.Blank(1), {Text: glyph + " ", Tone: t}, cells.New(t, headline(*r))}.Fit(w)}
	if spread := distributionOf(r.Machines); len(spread.us) > 0 {
		l := cells.Line{{Text: "   suspended ", Tone: cells.Muted}}
		if len(spread.us) >= minForClasses {
			l = append(l, cells.Span{Text: spread.sparkline(16), Tone: cells.Active}, cells.Blank(1))
		}
		lines = append(lines, append(l, cells.New(cells.Normal, spread.text())).Fit(w))
	}
	if r.Problem != nil {
		for _, l := range problemLines(r.Problem, w-4) {
			lines = append(lines, append(cells.Line{cells.Blank(3)}, l...))
		}
	}
	if len(lines) > outcomeMost {
		lines = lines[:outcomeMost]
		lines[outcomeMost-1] = append(lines[outcomeMost-1], cells.Span{Text: "…", Tone: cells.Normal})
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
	took := text.Seconds(time.Duration(r.DurationMS) * time.Millisecond)
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
	return fmt.Sprintf("%s: %s, %s of %s %s it, after %s", what, r.Outcome, text.Count(upgraded), text.Counted(len(r.Machines), "machine"), verb, took)
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
		fmt.Fprintln(&b, "  suspended  "+d.text()+"; "+text.Counted(d.processes, "process")+" migrated")
		for _, row := range d.histogram() {
			fmt.Fprintln(&b, "  "+row)
		}
	}
	writeMachines(&b, r)
	for _, m := range r.Machines {
		writeFailures(&b, m)
	}
	if r.Problem != nil {
		fmt.Fprintln(&b, "  "+strings.ReplaceAll(text.Line(r.Problem.What), "\n", " "))
		for part := range strings.SplitSeq(r.Problem.Remedy, "\n") {
			if part = strings.TrimSpace(text.Line(part)); part != "" {
				fmt.Fprintln(&b, "  -> "+part)
			}
		}
	}
	return b.String()
}

// listMachines is up to how many machines a summary lists all; of more it lists those that were not upgraded.
const listMachines = 50

var machineColumns = []cells.Column{
	{Title: "machine"}, {Title: "region"}, {Title: "outcome"}, {Title: "modules", Right: true}, {Title: "processes", Right: true},
	{Title: "suspended", Right: true},
}

// writeMachines is a table of the machines' ends.
func writeMachines(b *strings.Builder, r engine.Result) {
	machines := r.Machines
	if len(machines) == 0 {
		return
	}
	var rows [][]string
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
		rows = append(rows, []string{m.ID, m.Region, endWord(r, m.Outcome), text.Count(m.Modules), text.Count(m.Processes), suspended})
	}
	if fine > 0 {
		fmt.Fprintf(b, "  %s upgraded, not listed here; the others:\n", text.Counted(fine, "machine"))
	}
	if len(rows) == 0 {
		return
	}
	for _, row := range cells.Table(machineColumns, rows) {
		fmt.Fprintln(b, "  "+row)
	}
}

func writeFailures(b *strings.Builder, m engine.MachineResult) {
	if m.Error == "" && len(m.Failures) == 0 {
		return
	}
	fmt.Fprintln(b, strings.TrimSuffix("  "+text.Line(m.ID)+": "+text.Line(m.Error), " "))
	for _, f := range m.Failures {
		who := strings.TrimSpace(moduleName(f.Module) + " " + f.PID + " " + f.Name)
		if f.Count > 1 {
			who += fmt.Sprintf(" and %s more", text.Count(f.Count-1))
		}
		fmt.Fprintf(b, "    %s: %s\n", text.Line(who), text.Line(f.Reason))
		for _, l := range append([]string{f.Exception}, f.Stack...) {
			if l = strings.TrimSpace(text.Line(l)); l != "" {
				fmt.Fprintln(b, "      "+l)
			}
		}
		if f.StateBefore != "" {
			fmt.Fprintln(b, "      state was "+text.Line(f.StateBefore))
		}
		if f.StateAfter != "" {
			fmt.Fprintln(b, "      became    "+text.Line(f.StateAfter))
		}
	}
	if m.FullReport != "" {
		fmt.Fprintf(b, "    all %s: %s in the bucket\n", text.Counted(m.FailuresTotal, "failure"), text.Line(m.FullReport))
	}
}

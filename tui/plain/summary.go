package plain

import (
	"fmt"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// Summary is the end of a deploy as text for the scrollback, without escapes: the outcome, every machine, what failed
// and what to do. p may be nil.
func Summary(p *engine.Progress, r engine.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, view.Headline(r))
	if r.Upgrade.ID != "" {
		fmt.Fprintln(&b, "  upgrade    "+r.Upgrade.ID)
	}
	if d := view.DistributionOf(r.Machines); len(d.US) > 0 {
		fmt.Fprintln(&b, "  suspended  "+d.Text()+"; "+text.Counted(d.Processes, "process")+" migrated")
		for _, row := range d.Histogram() {
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
		if len(machines) > listMachines && m.Outcome.Upgraded() {
			fine++
			continue
		}
		suspended := "-"
		if m.SuspendedUS > 0 {
			suspended = view.Micros(m.SuspendedUS)
		}
		rows = append(rows, []string{m.ID, m.Region, view.EndOf(r, m.Outcome).Word, text.Count(m.Modules), text.Count(m.Processes), suspended})
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
		fmt.Fprintf(b, "    %s: %s\n", text.Line(view.FailedProcess(f)), text.Line(f.Reason))
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

package plain

import (
	"regexp"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// Summary is the end of a deploy as text for the scrollback, without escapes: the outcome, every machine, what failed
// and what to do.
func Summary(r engine.Result) string {
	var s summary
	s.line("%s", view.Headline(r))
	if r.Upgrade.ID != "" {
		s.line("  upgrade    %s", r.Upgrade.ID)
	}
	if d := view.DistributionOf(r.Machines); len(d.US) > 0 {
		s.line("  suspended  %s; %s migrated", d.Text(), text.Counted(d.Processes, "process"))
		for _, row := range d.Histogram() {
			s.line("  %s", row)
		}
	}
	s.machines(r)
	for _, c := range view.Crashes(r.Machines) {
		s.line("  %s, on %s", view.CrashText(c.Crash), view.Listed(c.Machines, machinesRoom))
		for _, frame := range c.Stack {
			s.line("    %s", frame)
		}
	}
	s.machineErrors(r.Machines)
	for _, f := range view.Failures(r.Machines) {
		s.failure(f)
	}
	if r.Trial != nil {
		for _, line := range view.TrialLines(r.Trial, time.Now()) {
			s.line("  %s", line)
		}
	}
	for _, left := range r.Left {
		s.line("  %s", view.LeftBehind(left, time.Now()))
	}
	if r.Problem != nil {
		s.line("  %s", r.Problem.What)
		for part := range strings.SplitSeq(r.Problem.Remedy, "\n") {
			if part = strings.TrimSpace(text.Line(part)); part != "" {
				s.line("  -> %s", part)
			}
		}
	}
	return s.String()
}

// Health is what watching has shown, in a word; "" where that is not recorded.
func Health(p engine.Past) string { return view.HealthWord(p) }

// PastWord is how a recorded deploy ended, or that it runs.
func PastWord(p engine.Past) string { return text.Line(view.PastWord(p)) }

// Headline is the outcome in one line.
func Headline(r engine.Result) string { return text.Line(view.Headline(r)) }

// Notice is the same, with why it has ended so.
func Notice(r engine.Result) string {
	says := view.Headline(r)
	if r.Problem != nil {
		says += ": " + r.Problem.What
	}
	return text.Line(says)
}

// machinesRoom is how many cells of a line the IDs of machines get.
const machinesRoom = 60

type summary struct{ strings.Builder }

func (s *summary) line(format string, args ...any) {
	s.WriteString(strings.TrimRight(sprintf(format, args...), " ") + "\n")
}

// listMachines is the largest fleet of which a summary lists every machine; of a larger one it lists those not upgraded.
const listMachines = 50

var machineColumns = []cells.Column{
	{Title: "machine"}, {Title: "region"}, {Title: "outcome"}, {Title: "modules", Right: true}, {Title: "processes", Right: true},
	{Title: "suspended", Right: true},
}

// machines is a table of the machines' ends.
func (s *summary) machines(r engine.Result) {
	var rows [][]string
	upgraded := 0
	for _, m := range r.Machines {
		if len(r.Machines) > listMachines && m.Outcome.Upgraded() {
			upgraded++
			continue
		}
		suspended := "-"
		if m.SuspendedUS > 0 {
			suspended = view.Micros(m.SuspendedUS)
		}
		rows = append(rows, []string{m.ID, m.Region, view.EndOf(r, m.Outcome).Word, text.Count(m.Modules), text.Count(m.Processes), suspended})
	}
	if upgraded > 0 {
		s.line("  %s upgraded, not listed here; the others:", text.Counted(upgraded, "machine"))
	}
	if len(rows) == 0 {
		return
	}
	for _, row := range cells.Table(machineColumns, rows) {
		s.line("  %s", row)
	}
}

// failure tells what has failed in the same way, once, with its machines.
func (s *summary) failure(f view.FailureOn) {
	s.line("  %s: %s, on %s", view.FailedProcess(f.Failure), f.Reason, view.Listed(f.Machines, machinesRoom))
	for _, l := range append([]string{f.Exception}, f.Stack...) {
		if l = strings.TrimSpace(text.Line(l)); l != "" {
			s.line("    %s", l)
		}
	}
	if f.StateBefore != "" {
		s.line("    state was %s", f.StateBefore)
	}
	if f.StateAfter != "" {
		s.line("    became    %s", f.StateAfter)
	}
}

// pid stands for a process in an error: another one on each machine.
var pid = regexp.MustCompile(`#PID<[0-9.]+>`)

// machineErrors tells what is wrong with machines, the same once, with the process of the first of them.
func (s *summary) machineErrors(machines []engine.MachineResult) {
	var order []string
	told, on := map[string]string{}, map[string][]string{}
	for _, m := range machines {
		says := m.Error
		if says == "" && m.Skipped > 0 && len(m.Failures) > 0 {
			says = text.Counted(m.Skipped, "busy process") + " left out"
		}
		if says == "" {
			continue
		}
		key := pid.ReplaceAllString(says, "")
		if on[key] == nil {
			order, told[key] = append(order, key), says
		}
		on[key] = append(on[key], m.ID)
	}
	for _, key := range order {
		s.line("  %s: %s", view.Listed(on[key], machinesRoom), told[key])
	}
	for _, m := range machines {
		if m.FullReport != "" && m.FailuresTotal > len(m.Failures) {
			s.line("  %s: all %s: %s in the bucket", m.ID, text.Counted(m.FailuresTotal, "failure"), m.FullReport)
		}
	}
}

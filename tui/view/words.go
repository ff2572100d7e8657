package view

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// Micros tells a duration in microseconds.
func Micros(us int64) string { return text.Duration(time.Duration(us) * time.Microsecond) }

// Amount tells how far a phase is, in its unit: "1.2 of 3.4 MB", "3 of 6 machines"; "" when it did not say.
func Amount(done, total int64, unit string) string {
	switch {
	case done == 0 && total == 0:
		return ""
	case unit == "bytes" && total > 0:
		return text.Bytes(done) + " of " + text.Bytes(total)
	case unit == "bytes":
		return text.Bytes(done)
	case total > 0:
		if total == 1 {
			unit = strings.TrimSuffix(unit, "s")
		}
		return strings.TrimSpace(text.Count(done) + " of " + text.Count(total) + " " + unit)
	}
	return strings.TrimSpace(text.Count(done) + " " + unit)
}

// When tells a time of day and how far it is from now: 12:01:07 (2m 05s ago), 12:06:07 (in 2m 55s).
func When(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	at, from := t.Local(), now.Sub(t)
	form := time.TimeOnly
	if from.Abs() >= 12*time.Hour {
		form = "2 Jan 15:04"
	}
	switch {
	case from < 0:
		return at.Format(form) + " (in " + text.Seconds(-from) + ")"
	case from >= 10*time.Minute: // what is long ago needs no seconds
		return at.Format(form) + " (" + Ago(from) + ")"
	}
	return at.Format(form) + " (" + text.Seconds(from) + " ago)"
}

// Until tells an end that may be days away: 18:00 (in 2h 05m), Wed 2 Dec 18:00 (in 51h 05m).
func Until(t, now time.Time) string {
	at, form := t.Local(), "15:04"
	if t.Sub(now) >= 12*time.Hour {
		form = "Mon 2 Jan 15:04"
	}
	if !t.After(now) {
		return at.Format(form) + ", over"
	}
	return at.Format(form) + " (in " + text.Seconds(t.Sub(now)) + ")"
}

// Ago tells roughly how long ago something was: 40s ago, 5m ago, 3h ago, 12d ago.
func Ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}

// Named counts machines and lists their ids: all of them, or as many as fit into room cells.
func Named(ids []string, room int) string {
	head := text.Counted(len(ids), "machine") + ": "
	return head + Listed(ids, room-cells.Width(head))
}

// Listed gives the ids, or as many as fit into room cells, at least one, and how many more there are.
func Listed(ids []string, room int) string {
	if all := text.Line(strings.Join(ids, ", ")); cells.Width(all) <= room {
		return all
	}
	names := ""
	for i, id := range ids {
		next := text.Line(id)
		if i > 0 {
			next = ", " + next
		}
		more := fmt.Sprintf(" and %s more", text.Count(len(ids)-i))
		if i > 0 && cells.Width(names)+cells.Width(next)+cells.Width(more) > room {
			return names + more
		}
		names += next
	}
	return names
}

// Problem tells what happened and what to do. Only the first row begins at the edge: what others wrote cannot look like one of
// our lines.
func Problem(p *engine.Problem, w int) []cells.Line {
	if p == nil {
		return nil
	}
	tone := cells.Fail
	if p.IsWilful() {
		tone = cells.Normal
	}
	lines := Hanging(tone, "", p.What, w)
	for part := range strings.SplitSeq(p.Remedy, "\n") {
		if part = strings.TrimSpace(part); part != "" {
			lines = append(lines, Hanging(cells.Normal, "→ ", part, w)...)
		}
	}
	return lines
}

// Hanging is a paragraph of what others wrote, whose first row begins with a bullet and whose further rows are indented by two
// cells.
func Hanging(t cells.Tone, bullet, s string, w int) []cells.Line {
	var lines []cells.Line
	for i, row := range cells.Wrap(s, w-2) {
		if i > 0 {
			bullet = "  "
		}
		lines = append(lines, cells.Line{{Text: bullet + row, Tone: t}})
	}
	return lines
}

// FailedProcess names a process that failed, and how many others failed in the same way.
func FailedProcess(f engine.Failure) string {
	process := strings.TrimSpace(Module(f.Module) + " " + f.PID + " " + f.Name)
	if f.Count > 1 {
		process += " and " + text.Count(f.Count-1) + " more"
	}
	return process
}

// Module is a module as Elixir writes it.
func Module(m string) string { return strings.TrimPrefix(m, "Elixir.") }

// Revision names the commit that a deploy builds.
func Revision(f engine.Sheet) string {
	short := f.Revision
	if len(short) > 10 {
		short = short[:10]
	}
	if f.Subject != "" {
		short += "  " + f.Subject
	}
	if f.Dirty {
		short += "  (with changes that are not committed)"
	}
	return short
}

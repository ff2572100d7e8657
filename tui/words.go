package tui

import (
	"fmt"
	"strings"
	"time"

	"flydeploy/text"
)

// The words of all renderers beside those of package text: console, plain output and summary say the same in the same
// way, in ASCII.

// micros tells a duration in microseconds.
func micros(us int64) string { return text.Duration(time.Duration(us) * time.Microsecond) }

// amount tells how far a phase is, in its unit: "1.2 of 3.4 MB", "3 of 6 machines"; "" when it did not say.
func amount(done, total int64, unit string) string {
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

// when tells a time of day and how far it is from now: 12:01:07 (2m 05s ago), 12:06:07 (in 2m 55s).
func when(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	at := t.Local().Format(time.TimeOnly)
	if t.After(now) {
		return at + " (in " + text.Seconds(t.Sub(now)) + ")"
	}
	return at + " (" + text.Seconds(now.Sub(t)) + " ago)"
}

// ago tells how long something is past, roughly: 40s ago, 5m ago, 3h ago, 12d ago.
func ago(d time.Duration) string {
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

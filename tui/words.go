package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
)

// The words of all renderers: console, plain output and summary say the same in the same way, in ASCII.

// micros tells a duration in microseconds in three significant digits or so: 0.4 ms, 12.3 ms, 812 ms, 3.2 s, 1m 41s.
func micros(us int64) string {
	switch ms := float64(us) / 1000; {
	case us <= 0:
		return "0 ms"
	case ms < 0.1:
		return "<0.1 ms"
	case ms < 99.95:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 999.5:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms < 59_950:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
	return clock(time.Duration(us) * time.Microsecond)
}

// clock tells a longer time in whole seconds: 7s, 1m 41s, 2h 05m.
func clock(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh %02dm", s/3600, s%3600/60)
}

// count writes a number with its thousands apart: 12,006.
func count[N int | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is a number with its noun: 1 machine, 6 machines, 2 processes.
func counted[N int | int64](n N, noun string) string {
	return count(n) + " " + engine.Noun(int64(n), noun)
}

// bytes tells a size: 512 B, 1.2 KB, 3.4 MB (powers of 1,000).
func bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 999.95 && unit < 4 {
		value, unit = value/1000, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + []string{"B", "KB", "MB", "GB", "TB"}[unit]
}

// amount tells how far a phase is, in its unit: "1.2 of 3.4 MB", "3 of 6 machines"; "" when it did not say.
func amount(done, total int64, unit string) string {
	switch {
	case done == 0 && total == 0:
		return ""
	case unit == "bytes" && total > 0:
		return bytes(done) + " of " + bytes(total)
	case unit == "bytes":
		return bytes(done)
	case total > 0:
		if total == 1 {
			unit = strings.TrimSuffix(unit, "s")
		}
		return strings.TrimSpace(count(done) + " of " + count(total) + " " + unit)
	}
	return strings.TrimSpace(count(done) + " " + unit)
}

// when tells a time of day and how far it is from now: 12:01:07 (2m 05s ago), 12:06:07 (in 2m 55s).
func when(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	at := t.Local().Format(time.TimeOnly)
	if t.After(now) {
		return at + " (in " + clock(t.Sub(now)) + ")"
	}
	return at + " (" + clock(now.Sub(t)) + " ago)"
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

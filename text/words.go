package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Count writes a number with its thousands apart: 12,006.
func Count[N int | int64](n N) string {
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

// Counted is a number with its noun: 1 machine, 6 machines, 12,006 processes.
func Counted[N int | int64](n N, noun string) string { return Count(n) + " " + Noun(n, noun) }

// Noun is the form of noun that goes with n: machine, machines; process, processes; crash, crashes.
func Noun[N int | int64](n N, noun string) string {
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "sh"):
		return noun + "es"
	}
	return noun + "s"
}

// Bytes tells a size in powers of 1,000: 512 B, 1.2 KB, 3.4 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 999.95 && unit < 4 {
		value, unit = value/1000, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + []string{"B", "KB", "MB", "GB", "TB"}[unit]
}

// Duration tells how long something took in about three significant digits: 0.4 ms, 12.3 ms, 812 ms, 3.2 s, 1m 41s.
func Duration(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d <= 0:
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
	return Seconds(d)
}

// Seconds tells a time that runs, or that nobody needs more exactly, in whole seconds: 7s, 1m 41s, 2h 05m.
func Seconds(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh %02dm", s/3600, s%3600/60)
}

// Time words a time that somebody has given, without parts that are zero: "10m", "1h30m", "90ms".
func Time(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

package cells

import "strings"

var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

// Gauge is a bar of at most that many cells, in steps of an eighth; anything above zero shows at least the smallest step.
func Gauge(value, most int64, cells int) string {
	if value <= 0 || most <= 0 {
		return ""
	}
	steps := min(max(value*int64(cells)*8/most, 1), int64(cells)*8)
	return strings.Repeat("█", int(steps/8)) + eighths[steps%8]
}

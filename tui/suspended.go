package tui

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// barCells is the width of a machine's bar of suspended time.
const barCells = 4

// suspendedCell is a machine's suspended time with its bar beside it, against the longest of the fleet.
func suspendedCell(us, worst int64) cells.Span {
	if us <= 0 {
		return cells.Span{Text: fmt.Sprintf("%9s%*s", "–", barCells+1, ""), Tone: cells.Muted}
	}
	bar := cells.Gauge(us, worst, barCells)
	return cells.Span{Text: fmt.Sprintf("%9s %s%*s", micros(us), bar, barCells-cells.Width(bar), "")}
}

// distribution sums up the suspended times of the machines that had a window.
type distribution struct {
	us        []int64 // sorted
	processes int
}

func distributionOf(machines []engine.MachineResult) distribution {
	var d distribution
	for _, m := range machines {
		if m.SuspendedUS > 0 {
			d.us = append(d.us, m.SuspendedUS)
			d.processes += m.Processes
		}
	}
	slices.Sort(d.us)
	return d
}

// text is the range, the median, and where there are enough machines for it to mean something, the slowest twentieth.
func (d distribution) text() string {
	if len(d.us) == 0 {
		return ""
	}
	n := len(d.us)
	median := (d.us[(n-1)/2] + d.us[n/2]) / 2
	text := fmt.Sprintf("%s to %s, median %s", micros(d.us[0]), micros(d.us[n-1]), micros(median))
	if n >= 20 {
		text += ", p95 " + micros(d.us[(n*95+99)/100-1])
	}
	return text
}

// class is a range of suspended times and how many machines fall into it.
type class struct {
	from, to int64 // microseconds, to not included
	count    int
}

// classes divides the times into ranges of a round width, at most so many.
func (d distribution) classes(most int) []class {
	if len(d.us) == 0 {
		return nil
	}
	first, last := d.us[0], d.us[len(d.us)-1]
	width := roundUp(max((last-first)/int64(most)+1, 100))
	start := first / width * width
	for (last-start)/width >= int64(most) {
		width = roundUp(width + 1)
		start = first / width * width
	}
	out := make([]class, (last-start)/width+1)
	for i := range out {
		out[i] = class{from: start + int64(i)*width, to: start + int64(i+1)*width}
	}
	for _, us := range d.us {
		out[(us-start)/width].count++
	}
	return out
}

// roundUp gives the next of 1, 2, 5 × a power of ten.
func roundUp(n int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, step := range []int64{1, 2, 5} {
			if step*unit >= n {
				return step * unit
			}
		}
	}
}

var levels = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the classes in one row; an empty class is a blank.
func (d distribution) sparkline(most int) string {
	all := d.classes(most)
	top := 0
	for _, c := range all {
		top = max(top, c.count)
	}
	var b strings.Builder
	for _, c := range all {
		if c.count == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(levels[(c.count*len(levels)-1)/top])
	}
	return b.String()
}

// minForClasses: fewer machines stand in the table one by one.
const minForClasses = 4

// histogram is the distribution as text, a row for each class.
func (d distribution) histogram() []string {
	if len(d.us) < minForClasses {
		return nil
	}
	all := d.classes(8)
	top := 0
	for _, c := range all {
		top = max(top, c.count)
	}
	rows := make([]string, len(all))
	for i, c := range all {
		bar := strings.Repeat("#", (c.count*24+top-1)/top)
		rows[i] = strings.TrimRight(fmt.Sprintf("%10s to %-8s  %-24s  %s", micros(c.from), micros(c.to), bar, text.Counted(c.count, "machine")), " ")
	}
	return rows
}

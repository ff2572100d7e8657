package view

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// BarCells is the width of a machine's bar of suspended time.
const BarCells = 4

// SuspendedCell is a machine's suspended time with its bar beside it, against the longest of the fleet.
func SuspendedCell(us, worst int64) cells.Span {
	if us <= 0 {
		return cells.Span{Text: fmt.Sprintf("%9s%*s", "–", BarCells+1, ""), Tone: cells.Muted}
	}
	bar := cells.Gauge(us, worst, BarCells)
	return cells.Span{Text: fmt.Sprintf("%9s %s%*s", Micros(us), bar, BarCells-cells.Width(bar), "")}
}

// Distribution sums up the suspended times of the machines that had a window.
type Distribution struct {
	US        []int64 // sorted
	Processes int
}

func DistributionOf(machines []engine.MachineResult) Distribution {
	var d Distribution
	for _, m := range machines {
		if m.SuspendedUS > 0 {
			d.US = append(d.US, m.SuspendedUS)
			d.Processes += m.Processes
		}
	}
	slices.Sort(d.US)
	return d
}

// Scale draws the classes as a scale with its ends, then the median and, as Text, the slowest twentieth.
func (d Distribution) Scale(most int) cells.Line {
	n := len(d.US)
	median := (d.US[(n-1)/2] + d.US[n/2]) / 2
	rest := " · median " + Micros(median)
	if n >= 20 {
		rest += ", p95 " + Micros(d.US[(n*95+99)/100-1])
	}
	return cells.Line{
		cells.New(cells.Normal, Micros(d.US[0])+" "), {Text: "├", Tone: cells.Border}, {Text: d.Sparkline(most), Tone: cells.Active}, {Text: "┤", Tone: cells.Border},
		cells.New(cells.Normal, " "+Micros(d.US[n-1])), cells.New(cells.Muted, rest),
	}
}

// Text is the range, the median, and where there are enough machines for it to mean something, the slowest twentieth.
func (d Distribution) Text() string {
	if len(d.US) == 0 {
		return ""
	}
	n := len(d.US)
	if n == 1 {
		return Micros(d.US[0])
	}
	median := (d.US[(n-1)/2] + d.US[n/2]) / 2
	text := fmt.Sprintf("%s to %s, median %s", Micros(d.US[0]), Micros(d.US[n-1]), Micros(median))
	if n >= 20 {
		text += ", p95 " + Micros(d.US[(n*95+99)/100-1])
	}
	return text
}

// class is a range of suspended times and how many machines fall into it.
type class struct {
	from, to int64 // microseconds, to not included
	count    int
}

// classes divides the times into at most that many ranges of a round width.
func (d Distribution) classes(most int) []class {
	if len(d.US) == 0 {
		return nil
	}
	first, last := d.US[0], d.US[len(d.US)-1]
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
	for _, us := range d.US {
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

// Sparkline draws the classes in one row; an empty class is a blank.
func (d Distribution) Sparkline(most int) string {
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

// MinForClasses is the least number of machines for a histogram; fewer are read one by one in the table.
const MinForClasses = 4

// Histogram is the distribution as text, a row for each class.
func (d Distribution) Histogram() []string {
	if len(d.US) < MinForClasses {
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
		rows[i] = strings.TrimRight(fmt.Sprintf("%10s to %-8s  %-24s  %s", Micros(c.from), Micros(c.to), bar, text.Counted(c.count, "machine")), " ")
	}
	return rows
}

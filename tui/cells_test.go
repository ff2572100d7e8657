package tui

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestRule13WideNamesDoNotBreakColumns(t *testing.T) {
	b := newBench(t, size{200, 60}, Options{})
	b.sees(6)
	var columns []int
	for row := range strings.SplitSeq(b.text(), "\n") {
		if i := strings.Index(row, " app "); i >= 0 && strings.Contains(row[:i], "148e") {
			columns = append(columns, ansi.StringWidth(row[:i]))
		}
	}
	if len(columns) != 6 {
		t.Fatalf("%d rows with a process group", len(columns))
	}
	for _, c := range columns {
		if c != columns[0] {
			t.Fatalf("the process group stands in columns %v", columns)
		}
	}
}

package tui

import (
	"strings"
	"testing"
	"time"

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

func TestWords(t *testing.T) {
	for us, want := range map[int64]string{
		0: "0 ms", 40: "<0.1 ms", 840: "0.8 ms", 12_340: "12.3 ms", 99_960: "100 ms", 812_000: "812 ms", 999_600: "1.0 s", 3_210_000: "3.2 s",
		59_960_000: "1m 00s", 101_000_000: "1m 41s",
	} {
		if got := micros(us); got != want {
			t.Errorf("micros(%d) = %q, want %q", us, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 7 * time.Second: "7s", 59_600 * time.Millisecond: "1m 00s", 125 * time.Minute: "2h 05m",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%s) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12006: "12,006", 1234567: "1,234,567", -1500: "-1,500"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 999_960: "1.0 MB", 1_204_331: "1.2 MB"} {
		if got := bytes(n); got != want {
			t.Errorf("bytes(%d) = %q, want %q", n, got, want)
		}
	}
	if got := counted(1, "process") + counted(2, "process") + counted(6, "machine"); got != "1 process2 processes6 machines" {
		t.Errorf("counted: %q", got)
	}
}

func TestListedNamesWhatFits(t *testing.T) {
	ids := []string{"aaaa", "bbbb", "cccc", "dddd"}
	for cells, want := range map[int]string{
		30: "aaaa, bbbb, cccc, dddd", 22: "aaaa, bbbb, cccc, dddd", 21: "aaaa, bbbb and 2 more", 1: "aaaa and 3 more",
	} {
		if got := listed(ids, cells); got != want {
			t.Errorf("listed in %d cells: %q, want %q", cells, got, want)
		}
	}
	if got := named(ids[:1], 5); got != "1 machine: aaaa" {
		t.Errorf("one machine: %q", got)
	}
}

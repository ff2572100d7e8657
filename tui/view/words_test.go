package view

import (
	"testing"
	"time"
)

func TestListedNamesWhatFits(t *testing.T) {
	ids := []string{"aaaa", "bbbb", "cccc", "dddd"}
	for cells, want := range map[int]string{
		30: "aaaa, bbbb, cccc, dddd", 22: "aaaa, bbbb, cccc, dddd", 21: "aaaa, bbbb and 2 more", 1: "aaaa and 3 more",
	} {
		if got := Listed(ids, cells); got != want {
			t.Errorf("listed in %d cells: %q, want %q", cells, got, want)
		}
	}
	if got := Named(ids[:1], 5); got != "1 machine: aaaa" {
		t.Errorf("one machine: %q", got)
	}
}

func TestWhenSaysTheDayOfWhatIsLongAgo(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 0, 0, 0, time.Local)
	for since, want := range map[time.Duration]string{
		40 * time.Second: "11:00:00 (40s ago)", 9*time.Minute + 59*time.Second: "11:00:00 (9m 59s ago)", 11 * time.Minute: "11:00:00 (11m ago)",
		170 * time.Hour: "23 Nov 11:00 (7d ago)", -5 * time.Minute: "11:00:00 (in 5m 00s)", -13 * time.Hour: "23 Nov 11:00 (in 13h 00m)",
	} {
		if got := When(at, at.Add(since)); got != want {
			t.Errorf("%s: %q, want %q", since, got, want)
		}
	}
}

func TestTookTellsWaitingApart(t *testing.T) {
	for _, want := range []struct {
		took, waited time.Duration
		says         string
	}{
		{17 * time.Second, 0, "17s"}, {17 * time.Second, 400 * time.Millisecond, "17s"}, {17 * time.Second, 41 * time.Second, "17s and 41s of waiting for answers"},
	} {
		if got := Took(want.took, want.waited); got != want.says {
			t.Errorf("%q, want %q", got, want.says)
		}
	}
}

package view

import "testing"

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

package cells

import (
	"slices"
	"strings"
	"testing"
)

func TestTableDropsColumnsInOrder(t *testing.T) {
	cols := []Column{{Title: "A", Width: 10}, {Title: "B", Width: 10, Drop: 2}, {Title: "C", Width: 10, Drop: 1}, {Title: "D", Width: 4, Grows: true}}
	for w, want := range map[int][4]int{60: {10, 10, 10, 24}, 39: {10, 10, 0, 15}, 28: {10, 10, 0, 4}, 27: {10, 0, 0, 15}, 5: {10, 0, 0, 1}} {
		got := FitColumns(cols, w)
		for i := range want {
			if got[i].Width != want[i] {
				t.Errorf("for %d cells column %s is %d wide, want %d", w, got[i].Title, got[i].Width, want[i])
			}
		}
	}
}

func TestTableCountsCells(t *testing.T) {
	columns := []Column{{Title: "name"}, {Title: "count", Right: true}, {Title: "note"}}
	got := Table(columns, [][]string{{"東京", "12", "\x1b[31mred\nrow"}, {"a longer name", "1,234,567"}, nil})
	want := []string{
		"name               count  note",
		"東京                  12  red row",
		"a longer name  1,234,567",
		"",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

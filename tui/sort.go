package tui

import (
	"cmp"
	"strings"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

// ordering is a way to sort a table, by a shift-letter. Its key, pressed again, reverses it.
type ordering[T any] struct {
	key, name string
	compare   func(a, b T) int
}

// sorting is the ordering that a table has.
type sorting struct {
	key  string // "": the table's own order
	down bool
}

// press takes a shift-letter; own is the letter of the table's own order.
func (s *sorting) press(key, own string) {
	switch {
	case key == s.key, key == own && s.key == "":
		s.down = !s.down
	case key == own:
		*s = sorting{}
	default:
		*s = sorting{key: key}
	}
}

// arrow marks the heading of the column that a table is sorted by.
func (s sorting) arrow(key string) string {
	switch {
	case key == "" || key != s.key:
		return ""
	case s.down:
		return "↓"
	}
	return "↑"
}

func orderingOf[T any](all []ordering[T], key string) *ordering[T] {
	for i := range all {
		if all[i].key == key {
			return &all[i]
		}
	}
	return nil
}

const (
	byRegion = "R" // the fleet's own order, with a heading for each region
	byStatus = "S" // the board's own order: failures first
)

var fleetSorts = []ordering[engine.Machine]{
	{byRegion, "region", view.ByRegionAndName},
	{"N", "name", view.ByName},
	{"M", "machine", func(a, b engine.Machine) int { return strings.Compare(a.ID, b.ID) }},
	{"S", "state", func(a, b engine.Machine) int { return cmp.Or(cmp.Compare(a.State, b.State), view.ByName(a, b)) }},
	{"C", "checks", func(a, b engine.Machine) int {
		return cmp.Or(cmp.Compare(b.ChecksTotal-b.ChecksPassed, a.ChecksTotal-a.ChecksPassed), view.ByName(a, b))
	}},
	{"I", "image", func(a, b engine.Machine) int { return cmp.Or(strings.Compare(a.Image, b.Image), view.ByName(a, b)) }},
}

var boardSorts = []ordering[*boardRow]{
	{byStatus, "status", func(a, b *boardRow) int { return cmp.Compare(a.s.Rank, b.s.Rank) }},
	{"M", "machine", func(a, b *boardRow) int { return strings.Compare(a.m.ID, b.m.ID) }},
	{"R", "region", func(a, b *boardRow) int { return strings.Compare(a.m.Facts.Region, b.m.Facts.Region) }},
	{"T", "time suspended", func(a, b *boardRow) int { return cmp.Compare(b.m.Report.SuspendedUS, a.m.Report.SuspendedUS) }},
	{"P", "processes", func(a, b *boardRow) int { return cmp.Compare(b.m.Report.Migrated, a.m.Report.Migrated) }},
}

package tui

import (
	"fmt"
	"slices"
	"strings"

	"flydeploy/tui/cells"
	"flydeploy/tui/view"
)

// Columns are those of the fleet's table that the operator wants, in their order, by name; none: the console's own.
type Columns []string

// columnNames are all of them, in the order in which fleet.cells gives them after the mark.
var columnNames = []string{
	"state", "machine", "name", "region", "group", "checks", "runs", "image", "host", "memory", "busy", "processes", "crashes", "told", "drift",
}

// Check tells why there can be no such table, "" if there can.
func (c Columns) Check() string {
	for i, name := range c {
		switch {
		case !slices.Contains(columnNames, name):
			return fmt.Sprintf("there is no column %s; the columns are %s", name, strings.Join(columnNames, ", "))
		case slices.Contains(c[:i], name):
			return "the column " + name + " is there twice"
		}
	}
	if len(c) > 0 && !slices.Contains(c, "machine") {
		return "the column machine is missing: it says what is marked, and what a click means"
	}
	return ""
}

// columnOf is the place of a column among a machine's cells.
func columnOf(name string) int { return 1 + slices.Index(columnNames, name) }

// shownColumns are the places of the columns that are shown. Without a wish of the operator's the region has one only where it has
// no headings, and vitals have theirs once somebody has told any.
func (f *fleet) shownColumns(known, told bool) []int {
	shown := []int{0} // the mark
	if len(f.wanted) > 0 {
		for _, name := range f.wanted {
			shown = append(shown, columnOf(name))
		}
		return shown
	}
	for _, name := range columnNames {
		switch name {
		case "region":
			if f.sorting.key == "" {
				continue
			}
		case "busy", "crashes":
			if !told {
				continue
			}
		case "memory", "processes", "told":
			if !known {
				continue
			}
		}
		shown = append(shown, columnOf(name))
	}
	return shown
}

// fleetName is what a name gets at least, in cells, and fleetDrift what it leaves the last column at most, where that has so much to say.
const (
	fleetName  = 16
	fleetDrift = 26
)

// measure gives the columns their widths over all machines, so that scrolling does not shift them.
func (f *fleet) measure() {
	arrow := func(title, key string) string { return title + f.sorting.arrow(key) }
	cols := []cells.Column{
		{Title: " "}, {Title: arrow("STATE", "S")}, {Title: arrow("MACHINE", "M")}, {Title: arrow("NAME", "N"), Drop: 7},
		{Title: "RGN", Drop: 11}, {Title: "GROUP", Drop: 5}, {Title: arrow("CHECKS", "C"), Drop: 10}, {Title: "RUNS"},
		{Title: arrow("IMAGE", "I"), Drop: 1}, {Title: "HOST", Drop: 3},
	}
	cols = append(append(cols, view.LastVitalsColumns()...), cells.Column{Title: "DRIFT", Width: 10, Grows: true})
	known, told := f.knownVitals()
	f.withVitals, f.shown = known || len(f.wanted) > 0, f.shownColumns(known, told)
	f.notes = cells.Width("DRIFT")
	row := make([]cells.Span, 0, len(cols))
	for _, m := range f.Overview.Machines {
		for i, cell := range f.cells(row, m, f.lookedAt) {
			if cols[i].Grows {
				f.notes = max(f.notes, cells.Width(cell.Text))
			} else {
				cols[i].Width = min(max(cols[i].Width, cells.Width(cell.Text)), 26)
			}
		}
	}
	cols[len(cols)-1].Width = min(f.notes, cols[len(cols)-1].Width)
	name := &cols[columnOf("name")]
	f.name, name.Width = name.Width, min(name.Width, fleetName)
	for i := range cols {
		if strings.ContainsAny(cols[i].Title, "↑↓") {
			cols[i].Drop = 0 // what a table is sorted by stays visible
		}
	}
	f.columns = picked(cols, f.shown)
}

// picked are some of a row's cells, or of the columns.
func picked[T any](all []T, places []int) []T {
	out := make([]T, len(places))
	for i, place := range places {
		out[i] = all[place]
	}
	return out
}

// fitted are the columns in w cells. Names are whole where columns that say less can make room for them; else they get what is left, or
// what the last column does not need.
func (f *fleet) fitted(w int) []cells.Column {
	name := slices.Index(f.shown, columnOf("name"))
	if name >= 0 {
		whole := slices.Clone(f.columns)
		whole[name].Width = f.name
		if cols := cells.FitColumns(whole, w); cols[name].Width > 0 && cells.TotalWidth(cols) <= w {
			return cols
		}
	}
	cols := cells.FitColumns(f.columns, w)
	grows := slices.IndexFunc(cols, func(c cells.Column) bool { return c.Grows })
	if name < 0 || cols[name].Width == 0 {
		return cols
	}
	spare := w - cells.TotalWidth(cols)
	if grows >= 0 {
		spare = cols[grows].Width - min(f.notes, fleetDrift)
	}
	if more := min(f.name-cols[name].Width, spare); more > 0 {
		cols[name].Width += more
		if grows >= 0 {
			cols[grows].Width -= more
		}
	}
	return cols
}

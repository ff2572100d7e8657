package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
	"flydeploy/tui/cells"
)

// planModules lists the modules by application.
func planModules(p *engine.Plan, w int) []cells.Line {
	lines := []cells.Line{{{Text: "Modules", Tone: cells.Strong}, cells.New(cells.Muted, "  "+text.Count(len(p.Modules)))}}
	byApp := map[string][]engine.ModuleChange{}
	for _, m := range p.Modules {
		byApp[m.App] = append(byApp[m.App], m)
	}
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		lines = append(lines, cells.Line{cells.New(cells.Normal, app), cells.New(cells.Muted, "  "+changesText(byApp[app]))}.Fit(w))
		for _, m := range byApp[app] {
			lines = append(lines, append(cells.Line{cells.Blank(2)}, ModuleRow(m, w-2)...))
		}
	}
	return lines
}

func changeSign(change string) cells.Span {
	switch change {
	case "added":
		return cells.Span{Text: "+ added    ", Tone: cells.OK}
	case "removed":
		return cells.Span{Text: "- removed  ", Tone: cells.Warn}
	}
	return cells.Span{Text: "~ changed  ", Tone: cells.Active}
}

func changesText(modules []engine.ModuleChange) string {
	changes := map[string]int{}
	for _, m := range modules {
		changes[m.Change]++
	}
	return fmt.Sprintf("%d changed, %d added, %d removed", changes["changed"], changes["added"], changes["removed"])
}

// FunctionsText says of a module how many functions differ, or why it cannot be said.
func FunctionsText(m engine.ModuleChange) string {
	f := m.Functions
	switch {
	case f == nil && m.Change == "removed":
		return "stays loaded until the next restart"
	case f == nil:
		return "functions not listed"
	case f.Total() == 0 && m.Change == "changed":
		return "no function differs"
	}
	var parts []string
	for _, list := range functionLists(f) {
		if len(list.names) > 0 {
			parts = append(parts, text.Count(len(list.names))+" "+list.change)
		}
	}
	if f.More > 0 {
		parts = append(parts, text.Count(f.More)+" more")
	}
	return strings.Join(parts, ", ")
}

type functionList struct {
	change string // added, changed, removed
	names  []string
}

func functionLists(f *engine.FunctionChanges) []functionList {
	return []functionList{{"added", f.Added}, {"changed", f.Changed}, {"removed", f.Removed}}
}

// FunctionLines lists the functions of a module that differ, by what happens to them.
func FunctionLines(m engine.ModuleChange, w int) []cells.Line {
	f := m.Functions
	if f == nil || f.Total() == 0 {
		return []cells.Line{cells.Line{cells.New(cells.Muted, FunctionsText(m))}.Fit(w)}
	}
	var lines []cells.Line
	for _, list := range functionLists(f) {
		if len(list.names) == 0 {
			continue
		}
		sign := changeSign(list.change)
		for _, part := range cells.Wrap(strings.Join(list.names, ", "), w-cells.Width(sign.Text)) {
			lines = append(lines, cells.Line{sign, cells.New(cells.Normal, part)})
			sign.Text = strings.Repeat(" ", cells.Width(sign.Text))
		}
	}
	if f.More > 0 {
		lines = append(lines, cells.Line{cells.New(cells.Muted, "and "+text.Count(f.More)+" more, which are not named")}.Fit(w))
	}
	return lines
}

// ModuleRow is one module: what happens to it, and to how many functions.
func ModuleRow(m engine.ModuleChange, w int) cells.Line {
	return cells.Line{changeSign(m.Change), cells.New(cells.Normal, Module(m.Module)), cells.New(cells.Muted, "  "+FunctionsText(m))}.Fit(w)
}

// Functions lists all modules with their functions, opened.
func Functions(p *engine.Plan, w int) []cells.Line {
	var lines []cells.Line
	for _, m := range p.Modules {
		lines = append(lines, ModuleRow(m, w))
		for _, l := range FunctionLines(m, w-2) {
			lines = append(lines, append(cells.Line{cells.Blank(2)}, l...))
		}
	}
	return lines
}

package tui

import (
	"fmt"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

func TestModulesScreen(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	everySize(t, Options{}, func(b *bench) {
		b.deploys(before, nil)
		b.keys("m", "enter", "down", "enter")
		b.golden()
	})
}

// Reading what changes neither confirms the plan nor ends the deploy, and leads back to where it began.
func TestModulesOpenFromThePlan(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	p := b.deploys(before, nil)
	b.keys("m")
	b.hides("[ D Deploy ]", "step/1")
	b.shows("what changes: 4 modules", "2 added, 2 changed, 1 removed")
	b.keys("enter")
	b.shows("+ added    code_change/3, step/1", "- removed  reset/1")
	b.keys("down", "right", "down", "down")
	b.shows("and 12 more, which are not named", "functions not listed")
	b.keys("D", "up", "up", "left") // closes it, then leaves
	b.hides("and 12 more, which")
	b.keys("left")
	b.shows("[ D Deploy ]")
	if len(p.Given()) != 0 || tuitest.Stopped(p) {
		t.Fatalf("answers %+v", p.Given())
	}
	b.keys("D")
	b.hears(after[:1], nil)
	b.keys("p", "m")
	b.shows("what changes: 4 modules")
	b.keys("esc")
	b.shows("the plan")
	b.keys("esc", "m", "m")
	b.hides("what changes:")
}

// However many modules there are, the one under the cursor is on the screen.
func TestModulesScroll(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	p := before[len(before)-1].Plan
	p.Modules = nil
	for i := range 200 {
		p.Modules = append(p.Modules, engine.ModuleChange{
			Module: fmt.Sprintf("Elixir.Shop.M%03d", i), App: "shop", Change: "changed", Functions: &engine.FunctionChanges{Changed: []string{fmt.Sprintf("f%03d/1", i)}},
		})
	}
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(before, nil)
	b.keys("m", "G", "enter")
	b.shows("Shop.M199", "f199/1")
	b.keys("g")
	b.shows("▸ ~ changed  Shop.M000")
	for range 60 {
		b.keys("down")
	}
	b.shows("Shop.M060")
}

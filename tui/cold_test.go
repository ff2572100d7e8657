package tui

import (
	"slices"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// coldPlan are the events of a deploy whose plan blocks, and may go out cold or not.
func coldPlan(may bool) []engine.Event {
	events := tuitest.Blocked(6, engine.SeverityBlock)
	for i, e := range events {
		if e.Plan != nil {
			p := *e.Plan
			p.MayGoCold = may
			p.Findings = append(slices.Clone(p.Findings), engine.Finding{Name: "taken_back", Severity: engine.SeverityBlock, What: "2.0.0 crashed"})
			events[i].Plan = &p
		}
	}
	return events
}

// It restarts all machines: the app's name is typed first. What it does not cure is named, and accepted with it.
func TestAPlanGoesOutCold(t *testing.T) {
	for _, s := range sizes {
		b := newBench(t, s, offering(Options{App: "counter"}))
		p := b.deploys(coldPlan(true), nil)
		b.keys("C")
		if b.dialog == nil {
			t.Fatalf("%s: nothing is asked", s)
		}
		b.fits()
		b.shows("A cold deploy does not cure taken_back")
		b.types("count")
		b.keys("tab", "enter")
		if b.dialog == nil || len(p.Given()) > 0 {
			t.Fatalf("%s: another name has confirmed it: %+v", s, p.Given())
		}
		b.types("er")
		b.keys("enter")
		if got := p.Given(); len(got) != 1 || got[0].To != engine.QuestionPlan || got[0].Way != engine.WayCold || got[0].Proceed || !slices.Equal(got[0].Accept, []string{"taken_back"}) {
			t.Errorf("%s: answers %+v", s, got)
		}
	}
}

func TestAPlanThatMayNotGoOutColdOffersNoKey(t *testing.T) {
	for may, options := range map[bool]Options{false: {App: "counter"}, true: {App: "counter", ReadOnly: true}} {
		b := newBench(t, size{140, 40}, offering(options))
		b.deploys(coldPlan(may), nil)
		b.hides("C deploy cold")
		b.keys("C")
		if b.dialog != nil {
			t.Errorf("offered, and may %t: a dialog opens", may)
		}
	}
	b := newBench(t, size{140, 40}, offering(Options{App: "counter"}))
	b.deploys(coldPlan(true), nil)
	b.shows("C deploy cold")
}

package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
)

// What a machine, a bucket, a build or another operator wrote reaches neither the screen nor what is copied or saved as it is.
func TestNothingHostileReachesTheScreen(t *testing.T) {
	for name, named := range map[string]bool{"texts": false, "named types": true} {
		for _, s := range sizes {
			walkHostile(t, name, named, s)
		}
	}
}

func walkHostile(t *testing.T, name string, named bool, s size) {
	t.Helper()
	before, after, end := tuitest.PoisonedDeploy(named)
	o := offering(Options{App: "counter" + tuitest.Hostile, Org: tuitest.Hostile, Dir: t.TempDir()})
	backendOf(o).OnHistory = func(context.Context) ([]engine.Past, error) { return tuitest.PoisonedPast(named), nil }
	backendOf(o).OnEvents = func(context.Context, string) ([]engine.Event, *engine.Result, error) {
		return append(before, after...), &end, nil
	}
	b := newBench(t, s, o)
	check := func(where string) {
		t.Helper()
		b.settle()
		tuitest.CheckHarmless(t, name+", "+where+" at "+s.String(), cells.String(b.screen()))
	}
	b.send(overviewMsg{overview: tuitest.PoisonedOverview(named)}, inspectedMsg{overview: tuitest.PoisonedOverview(named)})
	check("the fleet")
	_, copied := b.fleet.copied()
	tuitest.CheckHarmless(t, name+", the copied id", copied)
	b.keys("enter")
	check("a machine")
	b.keys("esc", "v")
	check("the fleet's lock")
	b.keys("esc", "d")
	b.send(sheetMsg{of: b.sheet, facts: engine.Sheet{Source: tuitest.Hostile, Revision: tuitest.Hostile, Subject: tuitest.Hostile}, err: errors.New(tuitest.Hostile)})
	check("the sheet")
	b.keys("enter")
	b.send(startedMsg{of: b.deploy.session, err: engine.NewProblem("x", tuitest.Hostile, errors.New(tuitest.Hostile), tuitest.Hostile)})
	check("an error")
	b.keys("esc")
	b.send(inspectedMsg{err: errors.New(tuitest.Hostile)})
	check("a notice")

	b.pass(time.Minute)
	b.records()
	check("the record")
	b.keys("down")
	_, copied = b.past.copied()
	tuitest.CheckHarmless(t, name+", the copied deploy", copied)
	b.send(b.do("enter"))
	b.send(recordMsg{of: b.watched, events: append(before, after...), ended: &end})
	for range 40 {
		b.pass(time.Minute)
	}
	check("a replay")
	b.keys("esc", "esc")

	b.deploys(tuitest.PoisonedLock(), nil)
	check("the lock")
	b.keys("o")
	check("overriding the lock")
	b.keys("esc")
	b.hears(before, nil)
	check("the plan")
	b.keys("D")
	check("accepting a blocker")
	b.keys("esc", "L")
	check("the log")
	tuitest.CheckHarmless(t, name+", the saved log", cells.String(rendered(b.deploy.log.lines(b.deploy), 0)))
	b.keys("esc", "ctrl+c")
	check("leaving")
	b.keys("esc")
	b.hears(after, nil)
	check("the commit")
	b.hears(nil, &end)
	check("the end")
	b.keys("enter")
	check("a failure")
	if named {
		return // without a plan that is asked for, nothing is copied but the machine's details
	}
	_, copied = b.deploy.copied(b.console)
	tuitest.CheckHarmless(t, name+", the copied machine", copied)
	tuitest.CheckHarmless(t, name+", the summary", b.ended().Summary)
}

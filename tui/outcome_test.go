package tui

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// What the screen has no room for opens in full: how a deploy has ended, what stayed behind, what to do.
func TestTheOutcomeOpensInFull(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	end.Left = []engine.Left{{What: engine.LeftLock, EndsAt: tuitest.Start.Add(5 * time.Minute), EndNow: "flydeploy lock release"}}
	b := newBench(t, size{60, 16}, Options{})
	b.deploys(before, nil)
	b.keys("!")
	b.hides("How it has ended")
	b.hears(after, &end)
	b.shows("! in full")
	b.hides("cold: fly deploy")
	b.keys("!")
	b.fits()
	b.shows("How it has ended", "flydeploy lock release", "deploy cold: fly deploy")
	b.keys("o")
	b.hides("How it has ended")
	b.send(b.do("?"))
	b.keys("esc")

	b = newBench(t, size{200, 60}, Options{})
	b.deploys(before, nil)
	b.hears(after, &end)
	b.hides("! in full")
	b.keys("!")
	b.shows("How it has ended", "partial, 5 of 6 machines run it")
}

// The command that ends what stayed behind is on the screen of 80 cells, too.
func TestWhatStayedBehindIsWrapped(t *testing.T) {
	before, after, end := tuitest.RolledBack(6)
	end.Problem, end.Left = nil, []engine.Left{{What: engine.LeftLock, EndsAt: tuitest.Start.Add(5 * time.Minute), EndNow: "flydeploy lock release"}}
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(before, nil)
	b.hears(after, &end)
	b.shows("! the deploy lock was not released", "lock release`")
}

// A phase that has failed while the deploy still cleans up says why in full.
func TestAFailedPhaseOpensInFull(t *testing.T) {
	before, _, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(before[:13], nil)
	b.keys("!")
	b.shows("There is no error to show")
	b.hears([]engine.Event{{Seq: 500, At: tuitest.Start.Add(time.Minute), Phase: engine.PhaseBuild, Status: engine.StatusFailed,
		Problem: engine.NewProblem("build", "the image was not built: "+strings.Repeat("and so on ", 20), nil, "Read what the builder says.")}}, nil)
	b.keys("!")
	b.shows("The error in full", "→ Read what the builder says.")
}

// The terminal would break a summary's lines inside of words.
func TestSummariesAreWrappedAtSpaces(t *testing.T) {
	long := "  a machine: " + strings.Repeat("it went wrong ", 8) + "in the end\nshort\n"
	got := wrapped(long, 60)
	if want := "  a machine: it went wrong it went wrong it went wrong it\n    went wrong it went wrong it went wrong it went wrong it\n    went wrong in the end\nshort\n"; got != want {
		t.Errorf("%q", got)
	}
	if got := wrapped(long, 20); got != long {
		t.Errorf("%q", got)
	}
}

// What a machine's modules and processes are is not told before it is known.
func TestDetailsBeforeTheDetection(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 40}, Options{})
	b.deploys(before[:len(before)*3/5], nil)
	b.keys("enter")
	b.shows("Detection")
	b.hides("0 changed", "processes")
	b.hears(append(before[len(before)*3/5:], after[:20]...), nil)
	b.shows("3 changed, 1 added, 0 removed", "processes")
}

// A deploy that stops says how it is left, for as long as it stops.
func TestAStoppingDeploySaysHowItIsLeft(t *testing.T) {
	before, after, _ := tuitest.Upgraded(6)
	b := newBench(t, size{80, 24}, Options{})
	p := b.deploys(append(before, after[:20]...), nil)
	b.keys("esc", "x")
	b.pass(2 * noticeStays)
	b.shows("stopping", "esc leave once it is settled")
	b.keys("esc")
	b.shows("Your deploy is stopping", "Leave once it is settled")
	b.hides("Stop your deploy", "detach")
	b.keys("x")
	b.pass(2 * noticeStays)
	b.shows("ctrl-c leave within 8 s")
	if !tuitest.Stopped(p) || !b.deploy.quitting {
		t.Error("it does not stop, or does not leave")
	}
}

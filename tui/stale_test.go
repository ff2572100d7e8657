package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"flydeploy/engine"
	"flydeploy/tui/cells"
	"flydeploy/tui/tuitest"
	"flydeploy/tui/view"
)

func TestWhatIsShownTellsItsAge(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.shows("no deploy under way")
	b.pass(staleAfter)
	b.shows("no deploy under way")
	b.pass(time.Second)
	b.shows("! 11s old, no answer yet")
	for _, l := range b.fleet.table(100, 10)[2:3] {
		for _, s := range l {
			if s.Tone != cells.Muted && s.Tone != cells.Active && s.Text != "" && s.Text != "▸ " {
				t.Errorf("%q is not dimmed", s.Text)
			}
		}
	}
	b.sees(6)
	b.shows("no deploy under way")
}

func TestAnErrorIsShownInFullAndAskedAgainByAKey(t *testing.T) {
	looks := 0
	o := offering(Options{App: "counter"})
	backendOf(o).OnOverview = func(context.Context) (engine.Overview, error) {
		looks++
		return tuitest.OverviewOf(6), nil
	}
	b := newBench(t, size{80, 24}, o)
	b.sees(6)
	b.keys("!")
	b.shows("There is no error to show")
	b.pass(noticeStays + time.Second)
	_, cmd := b.Update(overviewMsg{err: engine.NewProblem("api", "list machines of counter: 502 bad gateway", errors.New("request 01M"), "Wait until the API answers.")})
	if cmd == nil {
		t.Fatal("nothing is asked again")
	}
	b.pass(2 * time.Second)
	b.shows("! 8s old, again in 8s", "! the error", "ctrl-r look again")
	b.keys("!")
	b.shows("The error in full", "502 bad gateway", "Wait until the API answers.")
	b.keys("enter")
	_, cmd = b.Update(tea.KeyPressMsg{Code: 'r', Mod: tea.ModCtrl})
	if cmd == nil {
		t.Fatal("the key asks nothing")
	}
	seen, is := cmd().(overviewMsg)
	if !is || looks != 1 {
		t.Fatalf("%d looks", looks)
	}
	late := overviewMsg{err: errors.New("the one before"), look: seen.look - 1}
	b.send(seen, late)
	b.shows("no deploy under way")
}

func TestALockTellsWhetherItsOwnerLives(t *testing.T) {
	now := tuitest.Start
	for _, test := range []struct {
		left time.Duration
		tone cells.Tone
		text string
	}{
		{116 * time.Second, cells.OK, "alive, renewed 4s ago"},
		{30 * time.Second, cells.Warn, "no sign of life for 1m 30s: its console may be dead"},
	} {
		got := view.LifeSign(engine.LockInfo{LifetimeMS: 120_000, ExpiresAt: now.Add(test.left)}, now)
		if got.Tone != test.tone || got.Text != test.text {
			t.Errorf("%q in tone %v, want %q", got.Text, got.Tone, test.text)
		}
	}
}

func TestTheLockDialogClaimsNothingThatIsNotKnown(t *testing.T) {
	held := tuitest.OverviewOf(6)
	b := newBench(t, size{80, 24}, Options{})
	b.keys("v")
	b.shows("It is not known who is deploying")
	b.keys("esc")
	held.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LifetimeMS: 120_000, LockedAt: b.now, ExpiresAt: b.now.Add(118 * time.Second)}
	b.send(overviewMsg{overview: held})
	b.keys("v")
	b.shows("alive, renewed 2s ago")
	b.send(overviewMsg{err: errors.New("connection refused")})
	b.pass(time.Minute)
	b.shows("alive, renewed 2s ago", "As of ")
	b.sees(6)
	b.shows("The lock of bob@ci-7 has been released since.")
}

// The list of a large fleet is asked for seldomer, but before what is shown counts as old.
func TestLargeFleetsAreListedSeldomer(t *testing.T) {
	for n, want := range map[int]time.Duration{6: pollEvery + 7*pollMachine, 1000: pollMost, 5000: pollMost} {
		b := newBench(t, size{80, 24}, Options{})
		if b.sees(n); b.looks.at.Sub(b.now) != want || want >= staleAfter {
			t.Errorf("%d machines are listed again after %v", n, b.looks.at.Sub(b.now))
		}
	}
}

// A look that brings nothing new leaves the screen as it is; how long ago things were is told anew after a while, and what differs at once.
func TestALookThatBringsNothingNew(t *testing.T) {
	b := newBench(t, size{120, 40}, Options{})
	b.sees(6)
	b.View()
	b.sees(6)
	if b.stale {
		t.Error("it is painted again")
	}
	b.pass(agesEvery)
	if b.sees(6); !b.stale {
		t.Error("times stand still")
	}
	b.View()
	for what, change := range []func(*engine.Overview){
		func(o *engine.Overview) { o.Machines[2].ChecksPassed = 0 },
		func(o *engine.Overview) { o.Lock = &engine.LockInfo{LockedBy: "bob"} },
		func(*engine.Overview) {}, // as it was before
	} {
		o := tuitest.OverviewOf(6)
		change(&o)
		if b.send(overviewMsg{overview: o}); !b.stale {
			t.Errorf("change %d is not painted", what)
		}
		b.View()
	}
	b.send(overviewMsg{err: errors.New("502")})
	b.shows("502")
	b.sees(6)
	b.hides("502")
	b.fleet.tell(b.fleet.Overview.Machines[0].ID, view.LastVitals{Instance: b.fleet.Overview.Machines[0].InstanceID})
	b.sees(6)
	b.shows("MEMORY")
}

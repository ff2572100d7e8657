package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/tuitest"
)

// The record of the deploy that holds the lock is read while a dialog tells of it, and only then.
func TestTheHolderOfTheLockIsLookedUp(t *testing.T) {
	read := 0
	before, _, _ := tuitest.Upgraded(6)
	fails := false
	backend := &tuitest.Backend{OnEvents: func(_ context.Context, id string) ([]engine.Event, *engine.Result, error) {
		if read++; id != tuitest.UpgradeID {
			t.Errorf("asked for %s", id)
		}
		if fails {
			return nil, nil, errors.New("503")
		}
		return before[:len(before)-1], nil, nil
	}}
	b := newBench(t, size{120, 40}, Options{Backend: backend, Me: func(context.Context) string { return "bob@ci-7" }})
	o := tuitest.OverviewOf(6)
	o.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LockedAt: tuitest.Start, ExpiresAt: tuitest.Start.Add(5 * time.Minute), DeploymentID: tuitest.UpgradeID}
	b.send(overviewMsg{overview: o})
	if b.askHolder() != nil {
		t.Error("it is looked up though no dialog tells of it")
	}
	b.keys("v")
	b.hides("now ")
	look := b.askHolder()
	if b.askHolder() != nil {
		t.Error("it is looked up twice at once")
	}
	b.send(look())
	b.shows("bob@ci-7, which is you", "version    0.2.0")
	if b.askHolder() != nil {
		t.Error("it is looked up again at once")
	}
	b.pass(askHolderEvery)
	b.holder.asking, b.holder.asked, fails = false, time.Time{}, true
	b.send(b.askHolder()())
	b.shows("version    0.2.0")
	if read != 2 {
		t.Errorf("read %d times", read)
	}
	b.keys("esc")
	b.holder.asked = time.Time{}
	if b.askHolder() != nil {
		t.Error("it is looked up though the dialog is closed")
	}
}

// What the operator took to answer does not count as the deploy's time.
func TestTheTimeOfAHumanIsCountedApart(t *testing.T) {
	before, after, end := tuitest.Upgraded(6)
	b := newBench(t, size{120, 40}, Options{})
	b.pass(-20 * time.Second)
	b.deploys(before, nil)
	asked := before[len(before)-1].At
	b.pass(asked.Add(10 * time.Minute).Sub(b.now))
	b.shows("to confirm 10m 00s")
	for i := range after {
		after[i].At = after[i].At.Add(10 * time.Minute)
	}
	b.hears(after[:26], nil)
	b.shows("deploying 17s")
	b.hides("Plan 10m")
	end.DurationMS, end.WaitedMS = 617_000, 600_000
	b.hears(after[26:], &end)
	b.shows("6 of 6 machines run it, after 17s and 10m 00s of waiting for answers")
}

// Whoever waits for somebody's lock ends only their own deploy.
func TestLeavingWhileSomebodyElseDeploys(t *testing.T) {
	b := newBench(t, size{80, 24}, Options{})
	b.deploys(tuitest.Locked(), nil)
	b.keys("w", "esc")
	b.shows("Your deploy waits, and has not begun", "Stopping ends only yours: the lock of bob@ci-7 stays", "Stop your deploy")
}

// The title says whether the lock is mine, and whether its owner has fallen silent, and when it ends then.
func TestTheTitleTellsADeadLockAndOnesOwn(t *testing.T) {
	asked := 0
	b := newBench(t, size{120, 40}, Options{Me: func(context.Context) string { asked++; return "bob@ci-7" }})
	b.sees(6)
	if b.askMe() != nil {
		t.Error("it is asked who deploys from here, though nobody does")
	}
	o := tuitest.OverviewOf(6)
	o.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LockedAt: tuitest.Start, ExpiresAt: tuitest.Start.Add(5 * time.Minute), LifetimeMS: 300_000, DeploymentID: tuitest.UpgradeID}
	b.send(overviewMsg{overview: o})
	b.shows("! locked by bob@ci-7 since 12:00:00")
	b.pass(time.Minute)
	b.send(overviewMsg{overview: o})
	b.shows("! locked by bob@ci-7 with no sign of life for 1m 20s, expires in 3m 40s")
	b.askedMe = false
	b.send(b.askMe()())
	b.shows("! locked by bob@ci-7, which is you, with no sign of life")
	b.send(overviewMsg{overview: o})
	b.shows("which is you")
	if b.askMe() != nil || asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

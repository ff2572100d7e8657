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

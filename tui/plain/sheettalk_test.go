package plain_test

import (
	"context"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// asking is a conversation whose deploys are noted down and end at once, the first of them as end says.
func asking(t *testing.T, o plain.Options, end engine.Result) (w *talk, chooses func(string), asked *[]engine.Request) {
	asked = &[]engine.Request{}
	b := o.Backend.(*tuitest.Backend)
	if b.OnOverview == nil {
		b.OnOverview = func(context.Context) (engine.Overview, error) { return fleetOf(6), nil }
	}
	b.OnDeploy = func(r engine.Request) (plain.Deployment, error) {
		*asked = append(*asked, r)
		return tuitest.Confirmed(nil, nil, end), nil
	}
	w = talkTo(t.Context(), t, o)
	menus := 0
	return w, func(word string) {
		t.Helper()
		menus++
		w.hears(menus, "Choice (1 to ")
		w.says(word)
	}, asked
}

// Nothing begins before what it would be was told, and somebody begins it; strategy, watch and message are chosen there.
func TestAccessibleSheet(t *testing.T) {
	w, chooses, asked := asking(t, talkative(), engine.Result{Outcome: engine.OutcomeSucceeded})
	chooses("2")
	w.hears(1, "A deploy. Nothing has begun yet.\nRuns now: hot 0.1.1\nMachines: all 6 machines: 148e00026c1eef, ")
	w.hears(1, "Revision: 4f2c91a7d2  The new counter, 新しい  (with changes that are not committed)\nCode: a build of counter/fly.toml\nStrategy: all: all at once, watched for 10s\nMessage: none\n")
	chooses("back")
	chooses("2")
	chooses("strategy")
	w.hears(1, "3. canary: canary, then 5 machines, each watched for 30s\n")
	chooses("canary")
	w.hears(1, "\nStrategy: canary: canary, then 5 machines, each watched for 30s\n")
	chooses("watch")
	w.hears(1, "Enter alone leaves it:")
	w.says("soon")
	w.hears(1, "That is no time: soon.")
	chooses("watch")
	w.hears(2, "Enter alone leaves it:")
	w.says("5m")
	w.hears(1, "each watched for 5m\n")
	chooses("message")
	w.hears(1, "gives no reason:")
	w.says("  the new counter ")
	w.hears(1, "Message: the new counter\n")
	if len(*asked) > 0 {
		t.Fatalf("begun before anybody said so: %+v", *asked)
	}
	chooses("begin")
	chooses("quit")
	w.over()
	if got := *asked; len(got) != 1 || !got[0].Select.Empty() || got[0].Chosen.Kind != engine.StrategyCanary || *got[0].Chosen.Bake != 5*time.Minute || got[0].Chosen.Message != "the new counter" {
		t.Errorf("asked for %+v", got)
	}
}

// What is not finished is finished with what it has built, and what the record holds is deployed again.
func TestAccessibleFinishesAndDeploysAgain(t *testing.T) {
	end := tuitest.NewScript(6).Result(engine.OutcomePartial)
	w, chooses, asked := asking(t, talkative(), end)
	chooses("2")
	chooses("begin")
	w.hears(1, "2. Finish the deploy "+tuitest.UpgradeID+"\n")
	chooses("finish")
	w.hears(1, "Machines: those of that deploy\nCode: what deploy "+tuitest.UpgradeID+" has built\nStrategy: as that deploy\n")
	chooses("begin")
	chooses("record")
	w.hears(1, "again and a number to deploy its code again")
	w.says("again 1")
	w.hears(1, "Deploy 1 has no code that could be deployed again.")
	chooses("record")
	w.hears(2, "again and a number")
	w.says("again 9")
	w.hears(1, "There is no deploy number 9.")
	chooses("record")
	w.hears(3, "again and a number")
	w.says("again 3")
	w.hears(1, "Code: the code of deploy 01K93QAB5Z7M4W2T8XCVDFGH1H, 0.2.0-rc.1\n")
	chooses("begin")
	chooses("quit")
	w.over()
	got := *asked
	if len(got) != 3 || !got[1].Resume || got[1].Meant != tuitest.UpgradeID || got[2].To != "01K93QAB5Z7M4W2T8XCVDFGH1H" || got[2].Resume {
		t.Errorf("asked for %+v", got)
	}
}

// silent is a deploy of which nothing comes.
type silent struct{}

func (silent) Next(ctx context.Context) ([]engine.Event, error) { <-ctx.Done(); return nil, ctx.Err() }

// Somebody else's deploy is told until it ends, or until a line is typed.
func TestAccessibleWatches(t *testing.T) {
	o := talkative()
	o.Backend.(*tuitest.Backend).OnOverview = func(context.Context) (engine.Overview, error) {
		seen := fleetOf(6)
		seen.Lock = &engine.LockInfo{LockedBy: "bob@ci-7", LockedAt: time.Now(), ExpiresAt: time.Now().Add(5 * time.Minute), LifetimeMS: 300_000, DeploymentID: "01K93P"}
		return seen, nil
	}
	quiet := true
	o.Watch = func(id string) engine.Source {
		if id != "01K93P" {
			t.Errorf("watches %s", id)
		}
		if quiet {
			return silent{}
		}
		return tuitest.PlayRecorded(tuitest.Recorded(tuitest.Upgraded(6)))
	}
	w, chooses, _ := asking(t, o, engine.Result{})
	chooses("watch")
	w.hears(1, "Deploy 01K93P. Its owner: alive, renewed ")
	w.says("")
	w.hears(2, "Watch the deploy of bob@ci-7")
	quiet = false
	chooses("watch")
	w.hears(1, "] 148e00016c0000 Migration done in 4.0 ms")
	w.hears(1, "That deploy has ended.")
	chooses("quit")
	w.over()
}

package tui

import (
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
	"flydeploy/tui/tuitest"
)

// trialAt is one of 0.2.0 on two machines, until ten minutes after now.
func trialAt(now time.Time) *engine.Trial {
	until := engine.MachineTrial{ID: "01K", Until: now.Add(10 * time.Minute)}
	return &engine.Trial{ID: "01K", Version: "0.2.0", SHA256: "abc", Machines: map[string]engine.MachineTrial{"148e00016c0000": until, "148e00026c1eef": until}}
}

// A deploy that has ended on trial, and the fleet, offer to confirm it, and to take it back.
func TestATrialIsEndedByKeys(t *testing.T) {
	for key, how := range map[string]engine.TrialEnd{"K": engine.TrialConfirmed, "B": engine.TrialTakenBack} {
		for _, where := range []string{"deploy", "fleet"} {
			for _, s := range sizes {
				var asked []engine.Request
				b := newBench(t, s, Options{Backend: &tuitest.Backend{OnDeploy: func(r engine.Request) (plain.Deployment, error) {
					asked = append(asked, r)
					return tuitest.Play(nil, nil, engine.Result{}), nil
				}}})
				b.onTrial(where)
				b.fits()
				if s.w >= 80 && s.h >= 20 {
					b.shows("until "+trialAt(b.now).Until().Local().Format("15:04"), "K confirm", "B take it back")
				}
				b.do(key)
				b.do("enter") // the focus is on Cancel
				if len(asked) != 0 || b.dialog != nil {
					t.Fatalf("enter alone must cancel: %v", asked)
				}
				b.do(key)
				b.do("y")
				if len(asked) != 1 || asked[0].EndTrial != how || asked[0].Meant != "01K" {
					t.Errorf("%s on the %s at %s: %v, want %s", key, where, s, asked, how)
				}
			}
		}
	}
}

func (b *bench) onTrial(where string) {
	if where == "fleet" {
		o := tuitest.OverviewOf(2)
		o.Trial = trialAt(b.now)
		b.send(overviewMsg{overview: o})
		return
	}
	_, after, end := tuitest.Upgraded(2)
	end.Trial = trialAt(b.now)
	b.deploys(after, &end)
}

// Who may change nothing, or has no trial, is not offered anything.
func TestATrialIsNotEndedByChance(t *testing.T) {
	called := &tuitest.Backend{OnDeploy: func(engine.Request) (plain.Deployment, error) {
		t.Error("it was ended")
		return nil, nil
	}}
	readOnly := newBench(t, size{120, 40}, Options{ReadOnly: true, Backend: called})
	readOnly.onTrial("fleet")
	readOnly.hides("confirm the trial")
	readOnly.keys("K", "B")
	without := newBench(t, size{120, 40}, Options{Backend: called})
	without.sees(2)
	without.hides("confirm the trial")
	without.keys("K", "B")
}

func TestTrialScreens(t *testing.T) {
	for _, where := range []string{"fleet", "deploy"} {
		for _, s := range []size{{80, 24}, {120, 30}} {
			t.Run(where+"_"+s.String(), func(t *testing.T) {
				b := newBench(t, s, Options{})
				b.onTrial(where)
				b.golden()
			})
		}
	}
}

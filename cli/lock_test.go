package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func TestTheEndOfAFreeze(t *testing.T) {
	now := time.Date(2026, 11, 27, 17, 30, 0, 0, time.FixedZone("EST", -5*3600))
	for until, want := range map[string]time.Duration{
		"":                     time.Hour,
		"18:00":                30 * time.Minute,
		"17:30":                24 * time.Hour,
		"2026-11-28 08:00":     14*time.Hour + 30*time.Minute,
		"2026-11-28T08:00":     14*time.Hour + 30*time.Minute,
		"2026-11-28T08:00:00Z": 9*time.Hour + 30*time.Minute,
	} {
		f := freeze{why: " Black\nFriday ", d: freezesFor, until: until}
		if err := f.check(now); err != nil || f.d != want || f.why != "Black Friday" {
			t.Errorf("until %q: %+v, %v", until, f, err)
		}
	}
	for _, f := range []freeze{
		{d: time.Hour}, {why: " \t", d: time.Hour}, {why: strings.Repeat("a", 201), d: time.Hour}, {why: "a"}, {why: "a", d: -time.Minute}, {why: "a", d: 31 * 24 * time.Hour},
		{why: "a", until: "tomorrow"}, {why: "a", until: "25:00"}, {why: "a", until: "2026-11-27 17:00"},
	} {
		if err := f.check(now); !errors.As(err, new(usageError)) {
			t.Errorf("%+v is taken: %v", f, err)
		}
	}
}

func TestAFreezeIsTold(t *testing.T) {
	l := engine.LockInfo{LockedBy: "ann", Host: "laptop", DeploymentID: "01F", Freeze: "Black Friday", LifetimeMS: 7_200_000, Age: time.Minute}
	told := lockText(true, l)
	if !strings.HasPrefix(told, "deploys are frozen by ann on laptop until ") || !strings.HasSuffix(told, "(in 1h 59m): Black Friday") {
		t.Error(told)
	}
	for _, text := range []string{releaseQuestion(l), releasedText(l)} {
		if !strings.Contains(text, "Black Friday") || strings.Contains(text, "01F") || strings.Contains(text, "ten seconds") {
			t.Error(text)
		}
	}
	var status strings.Builder
	if err := printStatus(&status, engine.Overview{App: "shop", Lock: &l}); err != nil || !strings.Contains(status.String(), "deploy lock: deploys are frozen by ann on laptop") {
		t.Errorf("%v\n%s", err, status.String())
	}
}

// A trial must be able to end: nobody could confirm it in a freeze.
func TestNoFreezeDuringATrial(t *testing.T) {
	now := time.Date(2026, 11, 28, 14, 0, 0, 0, time.UTC)
	trial := &engine.Trial{Version: "2.1.0", Machines: map[string]engine.MachineTrial{"148e": {ID: "01A", Until: now.Add(10 * time.Minute)}}}
	if err := duringTrial(trial, now); engine.AsProblem(err).Name != "on_trial" || !strings.Contains(err.Error(), "2.1.0 is on trial on 1 machine until") {
		t.Errorf("%v", err)
	}
	for _, over := range []*engine.Trial{nil, trial} {
		if err := duringTrial(over, now.Add(time.Hour)); err != nil {
			t.Error(err)
		}
	}
}

// The console has one field for the end of a freeze, which takes what both options take; its question names end and reason.
func TestAFreezeIsTyped(t *testing.T) {
	now := time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC)
	for end, want := range map[string]time.Duration{"": time.Hour, " 2h ": 2 * time.Hour, "90": 90 * time.Second, "18:00": 30 * time.Minute, "2026-11-28 08:00": 14*time.Hour + 30*time.Minute} {
		f, err := typedFreeze("Black Friday", end, now)
		if err != nil || f.d != want {
			t.Errorf("%q: %v, %v", end, f.d, err)
		}
		if q := f.question("shop", now.Add(f.d)); !strings.Contains(q, "deploying shop with flydeploy, you included, until ") || !strings.Contains(q, "\nBlack Friday\n") {
			t.Error(q)
		}
	}
	for _, f := range [][2]string{{"", "2h"}, {"why", "tomorrow"}, {"why", "-2h"}, {"why", "60d"}, {"why", "800h"}} {
		if _, err := typedFreeze(f[0], f[1], now); engine.AsProblem(err).Name != "freeze" {
			t.Errorf("%q is taken: %v", f, err)
		}
	}
}

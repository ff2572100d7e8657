package doctor

import (
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

func TestABootLoopFailsTheDoctorsCheck(t *testing.T) {
	var checks []engine.Check
	d := &doctor{report: func(c engine.Check) { checks = append(checks, c) }}
	for outcome, want := range map[agent.HookOutcome]engine.CheckStatus{agent.HookGaveUp: engine.CheckFail, agent.HookFailed: engine.CheckWarn, agent.HookReapplied: engine.CheckOK} {
		d.hook(engine.Machine{ID: "m1"}, agent.Hook{State: agent.HookCalled, Calls: []agent.HookCall{{App: "shop", Outcome: outcome, Text: "two boots"}}}, "shop")
		c := checks[len(checks)-1]
		if c.Status != want || want != engine.CheckOK && (!strings.Contains(c.Text, "two boots") || c.Remedy == "") {
			t.Errorf("%s: %+v", outcome, c)
		}
	}
}

func TestDoctorWarnsOfPackagesThatDoNotCatchUpInAFreeze(t *testing.T) {
	after := &engine.CatchUp{Mode: engine.CatchUpAfterSuspension, Outcome: "watching"}
	for name, test := range map[string]struct {
		hook   agent.Hook
		status engine.CheckStatus
	}{
		"an older package":     {agent.Hook{State: agent.HookCalled, CatchUp: after}, engine.CheckWarn},
		"this package":         {agent.Hook{State: agent.HookCalled, CatchUp: after, ReadsNames: true}, engine.CheckOK},
		"does not catch up":    {agent.Hook{State: agent.HookCalled}, engine.CheckOK},
		"the hook is uncalled": {agent.Hook{State: agent.HookUncalled, CatchUp: after}, engine.CheckOK},
	} {
		var got engine.Check
		d := &doctor{report: func(c engine.Check) { got = c }}
		d.catchUp(engine.Machine{ID: "m1"}, test.hook)
		if got.Name != "catch_up" || got.Machine != "m1" || got.Status != test.status || (got.Status == engine.CheckWarn) != (got.Remedy != "" && strings.Contains(got.Text, "freeze")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What upgrades have left undone is named with what to do, each kind once.
func TestDoctorTellsWhatUpgradesHaveLeftUndone(t *testing.T) {
	problems := undoneIn(agent.Hook{Undone: []agent.Undone{
		{Name: "config_not_taken", Text: ":shop (:rates)"}, {Name: "child_not_started", Text: "Shop.Cache of Shop.Application (:eaddrinuse)"}, {Name: "child_not_started", Text: "2 more"},
		{Name: "unheard_of", Text: "x"},
	}})
	if len(problems) != 2 {
		t.Fatalf("got %v", problems)
	}
	for i, says := range []string{"children of the upgrade do not run: Shop.Cache of Shop.Application (:eaddrinuse), 2 more", "applications have not taken their new settings: :shop (:rates)"} {
		if p := problems[i]; p.What != says || p.Remedy == "" || p.Remedy != engine.Remedies[p.Name] {
			t.Errorf("got %+v, want %q", p, says)
		}
	}
}

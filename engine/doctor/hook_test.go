package doctor

import (
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

func TestABootLoopFailsTheDoctorsCheck(t *testing.T) {
	var checks []Check
	d := &doctor{report: func(c Check) { checks = append(checks, c) }}
	for outcome, want := range map[string]CheckStatus{"gave_up": CheckFail, "failed": CheckWarn, "reapplied": CheckOK} {
		d.hook(engine.Machine{ID: "m1"}, agent.Hook{State: agent.HookCalled, Calls: []agent.HookCall{{App: "shop", Outcome: outcome, Text: "two boots"}}}, "shop")
		c := checks[len(checks)-1]
		if c.Status != want || want != CheckOK && (!strings.Contains(c.Text, "two boots") || c.Remedy == "") {
			t.Errorf("%s: %+v", outcome, c)
		}
	}
}

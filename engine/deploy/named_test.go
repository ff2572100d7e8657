package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// While only some machines of a fleet run an upgrade, current.json has it once, and each machine that boots finds it all the same: one
// whose hook is older has it as a whole.
func TestAnUpgradeIsRecordedOnceForManyMachines(t *testing.T) {
	for _, signed := range []bool{false, true} {
		test := func(t *testing.T, s *stage) {
			s.SetOldHook("m04")
			s.Restart("m04", agenttest.Boot{})
			settings := playedSettings()
			settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 20, Bake: 5 * time.Second}
			d := s.start(settings)
			d.until("the second wave", func(e engine.Event) bool { return strings.Contains(e.Text, "wave 2 of 3") })
			body := string(s.Object("releases/" + agenttest.App + "-current.json"))
			if n := strings.Count(body, `"tarball_url"`); n != 2 || len(body) > 9_000 {
				t.Errorf("the upgrade of 20 machines is written %d times, in %d bytes:\n%s", n, len(body), body)
			}
			recorded := s.Current()
			for id, u := range recorded.MachineUpgrades {
				if u.ByName == (id == "m04") {
					t.Errorf("machine %s has it by name: %t", id, u.ByName)
				}
				if signed {
					s.isSigned(&u, id)
				}
			}
			var booted []string
			for id := range recorded.MachineUpgrades {
				if booted = append(booted, id); len(booted) == 2 {
					break
				}
			}
			for _, id := range append(booted, "m04") {
				s.Restart(id, agenttest.Boot{})
				if code := s.State(id).Code; code.Version != "2.0.0" {
					t.Errorf("machine %s boots %s", id, code.Version)
				}
			}
			d.end()
		}
		t.Run(fmt.Sprintf("signed %t", signed), func(t *testing.T) {
			if signed {
				signedOn(t, 60, test)
			} else {
				played(t, 60, test)
			}
		})
	}
}

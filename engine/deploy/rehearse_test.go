package deploy_test

import (
	"slices"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

func TestOneMachineOfEachProcessGroupRehearses(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Add(engine.Machine{ID: "worker1", Region: "ams", ProcessGroup: "worker"})
		s.Add(engine.Machine{ID: "worker2", Region: "ams", ProcessGroup: "worker"})
		s.Behave("", func(b *agenttest.Behaviour) {
			b.Rehearsed = []agent.Finding{{Name: "migration_fails", Severity: "block", Subject: "Counter.Tally", Detail: "its code_change fails", Processes: 303}}
		})
		settings := playedSettings()
		for rehearse, want := range map[engine.Rehearse][]string{
			engine.RehearseOne: {"m00", "worker1"}, engine.RehearseAll: {"m00", "m01", "worker1", "worker2"}, engine.RehearseNone: nil,
		} {
			settings.Rehearse, settings.DryRun = rehearse, true
			p, _ := s.deploy(settings)
			var got []string
			for _, f := range p.Plan.Findings {
				if f.Name == "migration_fails" {
					got = append(got, f.Machines...)
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%q: %v rehearse, want %v", rehearse, got, want)
			}
		}
	})
}

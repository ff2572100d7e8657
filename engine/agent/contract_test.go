package agent_test

import (
	"testing"

	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest/contract"
)

var _ contract.Machine = (*agent.RealMachine)(nil)

func TestRealMachinesKeepTheContract(t *testing.T) {
	t.Parallel()
	for _, group := range contract.Groups() {
		t.Run(group.Name, func(t *testing.T) {
			t.Parallel()
			m := agent.StartReal(t)
			for _, s := range group.Scenarios {
				if !t.Run(s.Name, func(t *testing.T) { s.Run(t, m) }) {
					return // it may have left its agent behind
				}
			}
		})
	}
}

func TestRealTemporaryMachinesKeepTheContract(t *testing.T) {
	t.Parallel()
	for _, s := range contract.TemporaryScenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.Run(t, agent.NewRealTemporary(t))
		})
	}
}

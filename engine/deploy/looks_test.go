package deploy_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// The first look at a committed VM fails, the second one succeeds: the machine is verified, recorded, and counted.
func TestVerifiedAtTheSecondLook(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m00", Times: 1}, agenttest.NodeDown)
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		if st := p.Machine("m00").Phases[engine.PhaseCheck].Status; st != engine.StatusDone {
			t.Errorf("the check of m00 is shown as %s", st)
		}
		if st := p.Machine("m00").State; st != engine.MachineRecorded {
			t.Errorf("m00 is %s", st)
		}
		s.nothingLeft()
	})
}

// A machine whose VM could not be asked is neither counted nor recorded.
func TestAMachineThatCannotBeLookedAt(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m00"}, agenttest.NodeDown)
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 unverified, m01 committed")
		if fleet, single := s.recorded(); fleet != "" || len(single) != 1 || single["m01"] != "2.0.0" {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
	})
}

// If the machines cannot be listed while a canary is watched, that says nothing about the canary.
func TestAListThatFailsWhileACanaryIsWatched(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: 30 * time.Second}
		r := s.start(settings)
		r.until("the canary was watched", func(e engine.Event) bool {
			return e.Phase == engine.PhaseCommit && e.Done == 1
		})
		s.On(agenttest.Match{Kind: agenttest.ListMachines, Times: 1}, agenttest.LoseRequest)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
	})
}

// A fleet that can never be listed ends the watch: after the bake time and the time of one machine.
func TestAFleetThatCannotBeListedEndsTheWatch(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: 10 * time.Second}
		r := s.start(settings)
		r.until("the canary was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseCommit && e.Done == 1 })
		begun := time.Now()
		s.On(agenttest.Match{Kind: agenttest.ListMachines}, agenttest.LoseRequest)
		_, result := r.end()
		if result.Outcome == engine.OutcomeSucceeded || result.Machines[1].Outcome.Upgraded() || time.Since(begun) < 10*time.Second {
			t.Errorf("it ended %s (%s) after %s: %v", result.Outcome, outcomes(result), time.Since(begun), result.Problem)
		}
	})
}

// A VM that dies between armed and commit has booted again: its end is proven, and the lock is not kept for it.
func TestAVMThatDiesBeforeItsCommit(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00", Times: 1}, agenttest.Before(func() { s.Restart("m00", agenttest.Boot{}) }))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 restarted, m01 committed")
		if r.LockLeft {
			t.Error("the lock stayed")
		}
		s.nothingLeft()
	})
}

// If it is not known how a machine ended, the lock stays until it expires, and the result says so.
func TestTheLockStaysForAMachineOfUnknownEnd(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00", Times: 1}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			s.On(agenttest.Match{Machine: "m00", Kinds: agenttest.Kind.IsExec}, agenttest.LoseRequest)
			return agenttest.LoseAnswer(ctx, c, carryOut)
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 unknown, m01 committed")
		if !r.LockLeft {
			t.Error("the result does not say that the lock stays")
		}
		if !slices.ContainsFunc(r.Left, func(l engine.Left) bool { return l.What == engine.LeftLock }) {
			t.Errorf("what stays behind: %+v", r.Left)
		}
		if _, err := s.Storage.Current(t.Context()); err != nil {
			t.Errorf("the lock: %v", err)
		}
	})
}

package deploy_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// waited gives for how long each machine's agent was armed before its commit arrived, by machine.
func (s *stage) waited(id string) map[string]time.Duration {
	armed, longest := map[string]time.Time{}, map[string]time.Duration{}
	for _, e := range s.recordedEvents(id) {
		switch e.State {
		case engine.MachineArmed:
			armed[e.Machine] = e.At
		case engine.MachineCommitting:
			if at, ok := armed[e.Machine]; ok {
				longest[e.Machine] = e.At.Sub(at)
				delete(armed, e.Machine)
			}
		}
	}
	return longest
}

// A machine that never answers while it is armed holds nobody up for longer than 20 seconds, and the others commit.
func TestNothingArmedWaitsForASilentMachine(t *testing.T) {
	played(t, 6, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Arm, Machine: "m03"}, agenttest.Hang)
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m02 committed, m04 committed, m01 committed, m03 failed, m05 committed")
		if waited := s.waited(r.Upgrade.ID); len(waited) != 5 {
			t.Errorf("armed machines waited %v", waited)
		} else {
			for id, took := range waited {
				if took > 21*time.Second {
					t.Errorf("machine %s was armed for %s", id, took)
				}
			}
		}
		s.nothingLeft()
	})
}

// One that fails to be armed before the others may commit keeps its wave from committing; of a large fleet those that were before it have
// committed, and nothing more starts.
func TestAMachineThatCannotBeArmed(t *testing.T) {
	for _, machines := range []int{6, 60} {
		t.Run(fmt.Sprint(machines), func(t *testing.T) {
			played(t, machines, func(t *testing.T, s *stage) {
				s.Behave("", func(b *agenttest.Behaviour) { b.Arms, b.Commits = 5*time.Second, time.Second })
				s.Behave("m02", func(b *agenttest.Behaviour) {
					b.Arms, b.ArmError = time.Second, &agent.Error{Name: "disk_full", What: "the disk is full"}
				})
				settings := playedSettings()
				settings.MaxConcurrency = 10
				p, r := s.deploy(settings)
				committed := len(s.Calls(agenttest.Match{Kind: agenttest.Commit}))
				switch {
				case machines == 6 && (committed > 0 || r.Outcome != engine.OutcomeFailed):
					t.Errorf("%d machines committed beside one that could not be armed: %s\n%s", committed, r.Outcome, logOf(p))
				case machines == 60 && (committed != 11 || !strings.Contains(r.Problem.What, "nothing was started on 48 other machines")):
					t.Errorf("%d machines committed: %v\n%s", committed, r.Problem, logOf(p))
				}
				s.nothingLeft()
			})
		})
	}
}

// --max-failed lets the others go on.
func TestSoManyMayFail(t *testing.T) {
	for may, outcome := range []engine.Outcome{engine.OutcomeBlocked, engine.OutcomePartial, engine.OutcomePartial} {
		t.Run(fmt.Sprint(may), func(t *testing.T) {
			played(t, 30, func(t *testing.T, s *stage) {
				s.Behave("m02", func(b *agenttest.Behaviour) { b.StageError = &agent.Error{Name: "disk_full", What: "the disk is full"} })
				s.Behave("m20", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
				settings := playedSettings()
				settings.MaxFailed, settings.Strategy = may, engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 10}
				p, r := s.deploy(settings)
				upgraded := strings.Count(outcomes(r), "committed")
				if r.Outcome != outcome || upgraded != []int{0, 9, 28}[may] { // m20 is in the first of three waves
					t.Errorf("it ended %s, %d upgraded: %v\n%s", r.Outcome, upgraded, r.Problem, logOf(p))
				}
			})
		})
	}
}

// Whoever asks for so many at once gets no more, in large waves of a list either.
func TestNoMoreAtOnceThanAskedFor(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		s.Behave("", func(b *agenttest.Behaviour) { b.Arms, b.Commits = 5*time.Second, time.Second })
		settings := playedSettings()
		settings.MaxConcurrency, settings.Strategy = 2, engine.Strategy{Kind: "50%,100%", WaveSize: 2}
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		under, most := map[string]bool{}, 0
		for _, e := range s.recordedEvents(r.Upgrade.ID) {
			switch e.State {
			case engine.MachineArming, engine.MachineArmed, engine.MachineCommitting:
				under[e.Machine] = true
			case engine.MachineCommitted, engine.MachineVerified, engine.MachineRecorded:
				delete(under, e.Machine)
			}
			most = max(most, len(under))
		}
		if most != 2 {
			t.Errorf("%d machines were armed or in their window at once", most)
		}
	})
}

// In a small fleet a slow machine is waited for, whatever may fail.
func TestASlowMachineOfASmallFleet(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) {
			b.Stages, b.Arms, b.Commits = 30*time.Second, 15*time.Second, 15*time.Second
		})
		settings := playedSettings()
		settings.MaxFailed = 1
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
	})
}

// What has failed in one large wave, and may, is counted once: the next wave starts all the same.
func TestALargeWaveAfterOneInWhichAMachineHasFailed(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		s.Behave("m02", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		settings := playedSettings()
		settings.MaxFailed, settings.Strategy = 1, engine.Strategy{Kind: "30,100%"}
		p, r := s.deploy(settings)
		if upgraded := strings.Count(outcomes(r), "committed"); r.Outcome != engine.OutcomePartial || upgraded != 59 {
			t.Errorf("it ended %s, %d upgraded: %v\n%s", r.Outcome, upgraded, r.Problem, logOf(p))
		}
	})
}

// An agent that has expired is armed again, and one that expires again says what happened.
func TestWhatExpiresSaysSo(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m01"}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			arms := s.Calls(agenttest.Match{Kind: agenttest.Arm, Machine: "m01"})
			if time.Since(arms[len(arms)-1].At) < 70*time.Second {
				return agenttest.LoseRequest(ctx, c, carryOut)
			}
			return carryOut()
		})
		settings := playedSettings()
		settings.Timeout = 3 * time.Minute
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m01 expired")
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.Arm, Machine: "m01"})); n != 2 {
			t.Errorf("it was armed %d times", n)
		}
		if !strings.Contains(r.Problem.What, "its commit did not arrive within a minute after it was armed") {
			t.Errorf("problem: %v", r.Problem)
		}
	})
}

// A machine of a large fleet that falls silent keeps the others waiting once, and not again in each of the steps that follow: it has
// committed, so that it counts as unverified.
func TestASilentMachineIsWaitedForOnce(t *testing.T) {
	played(t, 60, func(t *testing.T, s *stage) {
		var silent atomic.Bool
		s.Hook(func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if c.Machine == "m07" && c.Kind == agenttest.LoadedCode {
				silent.Store(true)
			}
			if c.Machine == "m07" && c.Kind.IsExec() && silent.Load() {
				return agenttest.Hang(ctx, c, carryOut)
			}
			return carryOut()
		})
		settings := playedSettings()
		settings.MaxFailed, settings.Strategy.Bake = 2, 10*time.Second
		d := s.start(settings)
		d.until("the commit", func(e engine.Event) bool { return e.Phase == engine.PhaseCommit })
		began := time.Now()
		p, r := d.end()
		if took := time.Since(began); took > 50*time.Second {
			t.Errorf("it took %s from the commit on\n%s", took, logOf(p))
		}
		if n := strings.Count(outcomes(r), "committed"); r.Outcome != engine.OutcomePartial || n != 59 || !strings.Contains(outcomes(r), "m07 unverified") {
			t.Errorf("it ended %s: %s: %v", r.Outcome, outcomes(r), r.Problem)
		}
	})
}

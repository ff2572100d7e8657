package deploy_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// takeAway overrides the lock as a colleague's --force does.
func (s *stage) takeAway() {
	bob := s.NewConsole("desk")
	for {
		held, err := bob.Storage.Current(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		_, err = bob.Storage.Acquire(s.t.Context(), "bob@desk", "01K9000000000000000000BBBB", 2*time.Minute, held.ETag)
		if err == nil {
			return
		}
		if now, again := bob.Storage.Current(s.t.Context()); again != nil || now.ETag == held.ETag { // not renewed meanwhile
			s.t.Fatal(err)
		}
	}
}

// A commit that did not arrive is not sent again once the lock is lost.
func TestACommitIsNotSentAgainUnderALostLock(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		var taken time.Time
		s.On(agenttest.Match{Kind: agenttest.Commit}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if taken.IsZero() {
				s.takeAway()
				taken = time.Now()
			}
			return agenttest.LoseRequest(ctx, c, carryOut)
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeFailed, "m00 aborted")
		if r.Problem.Name != "lock_lost" || r.Problem.Remedy == "" {
			t.Errorf("problem: %v", r.Problem)
		}
		commits := s.Calls(agenttest.Match{Kind: agenttest.Commit})
		if last := commits[len(commits)-1].At; last.Sub(taken) > 11*time.Second {
			t.Errorf("a commit was sent %s after the lock was lost", last.Sub(taken))
		}
		if s.State("m00").Code.Version != "1.0.0" {
			t.Errorf("m00 runs %s", s.State("m00").Code.Version)
		}
	})
}

// The owner of a lock that cannot be renewed gives up before others may take it, whether renewals fail or hang.
func TestALockThatCannotBeRenewed(t *testing.T) {
	for name, hook := range map[string]agenttest.Hook{
		"hangs": agenttest.Hang, "fails": agenttest.Fail(errors.New("503 SlowDown")),
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				r := s.start(asking())
				r.asks(engine.QuestionPlan)
				begun := time.Now()
				s.On(agenttest.Match{Kind: agenttest.RenewLock}, hook)
				_, result := r.end()
				if took := time.Since(begun); took < 80*time.Second || took > 2*time.Minute {
					t.Errorf("its owner noticed after %s", took)
				}
				if result.Problem.Name != "lock_lost" || result.Outcome != engine.OutcomeFailed {
					t.Errorf("it ended %s: %v", result.Outcome, result.Problem)
				}
			})
		})
	}
}

// A storage that is unreachable for three seconds does not end a deploy whose lock is good for minutes.
func TestAShortOutageOfTheStorage(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(asking())
		r.asks(engine.QuestionPlan)
		s.On(agenttest.Match{Kinds: func(k agenttest.Kind) bool { return k == agenttest.RenewLock }}, agenttest.Outage(3*time.Second))
		r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
	})
}

// Hurry ends within eight seconds, whatever hangs: here the renewal of the lock, for which arming waits, be it arming's own or the
// one on the lock's beat.
func TestHurryWhileTheStorageHangs(t *testing.T) {
	for name, hangsFor := range map[string]time.Duration{"a renewal of its own": 0, "the one on the beat": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				r := s.start(asking())
				r.asks(engine.QuestionPlan)
				s.On(agenttest.Match{Kinds: agenttest.Kind.IsStorage}, agenttest.Hang)
				time.Sleep(hangsFor) // in virtual time: the lock is renewed every ten seconds
				r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				time.Sleep(5 * time.Second) // by now machines wait for the lock before they are armed
				begun := time.Now()
				r.Hurry()
				p, result := r.end()
				if took := time.Since(begun); took > 8*time.Second {
					t.Errorf("it took %s\n%s", took, logOf(p))
				}
				if result.Outcome != engine.OutcomeCancelled || !result.LockLeft {
					t.Errorf("it ended %s, the lock left %t: %v", result.Outcome, result.LockLeft, result.Problem)
				}
			})
		})
	}
}

// A stop at the moment at which the last machine is armed comes before any commit.
func TestAStopBetweenArmAndCommit(t *testing.T) {
	const machines = 20
	played(t, machines, func(t *testing.T, s *stage) {
		var armed atomic.Int32
		var r *run
		s.On(agenttest.Match{Kind: agenttest.Arm}, agenttest.After(func() {
			if armed.Add(1) == machines {
				r.Stop()
			}
		}))
		r = s.start(playedSettings())
		p, result := r.end()
		if result.Outcome != engine.OutcomeCancelled || len(s.Calls(agenttest.Match{Kind: agenttest.Commit})) > 0 {
			t.Errorf("it ended %s (%s) after %d commits: %v\n%s", result.Outcome, outcomes(result), len(s.Calls(agenttest.Match{Kind: agenttest.Commit})), result.Problem, logOf(p))
		}
		s.nothingLeft()
	})
}

// A deploy of what all machines run already is stopped: they still run it.
func TestACancelledDeployOfWhatRunsAlready(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		r := s.start(asking())
		r.asks(engine.QuestionPlan)
		r.Stop()
		p, result := r.end()
		wants(t, p, result, engine.OutcomeCancelled, "m00 up_to_date, m02 up_to_date, m01 up_to_date")
		s.nothingLeft()
	})
}

// The platform's errors, and a lost lock, are in the problem that ends a deploy.
func TestTheCauseIsInTheProblem(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Arm}, agenttest.Outage(5*time.Minute))
		_, r := s.deploy(playedSettings())
		if !strings.Contains(r.Problem.What, "did not finish within 1m0s") || !strings.Contains(r.Problem.What, "500") {
			t.Errorf("problem: %v", r.Problem)
		}
	})
}

func TestALostLockIsTheProblemOfACanary(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: time.Minute}
		r := s.start(settings)
		r.until("the canary was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseCommit && e.Done == 1 })
		s.takeAway()
		_, result := r.end()
		if result.Problem.Name != "lock_lost" || strings.Contains(result.Problem.What, "context") || result.Machines[1].Outcome.Upgraded() {
			t.Errorf("it ended %s (%s): %v", result.Outcome, outcomes(result), result.Problem)
		}
	})
}

// A machine that is only slow to compile the agent is not reported as silent.
func TestASlowMachineIsToldSo(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Inject}, agenttest.Hang)
		_, r := s.deploy(playedSettings())
		if !strings.Contains(r.Problem.Remedy, "slow") || strings.Contains(r.Problem.Remedy, "fly logs") {
			t.Errorf("problem: %v", r.Problem)
		}
	})
	t.Run("it has more time than --timeout", func(t *testing.T) {
		played(t, 1, func(t *testing.T, s *stage) {
			s.On(agenttest.Match{Kind: agenttest.Inject}, agenttest.Delay(30*time.Second))
			p, r := s.deploy(playedSettings())
			wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		})
	})
}

// A hurried deploy ends within eight seconds, whatever its phase; nothing is left behind, and what it says is true.
func TestHurryInEveryPhase(t *testing.T) {
	for _, phase := range engine.FleetPhases {
		if phase == engine.PhaseUnlock {
			continue // the end is there
		}
		t.Run(string(phase), func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				s.Behave("", func(b *agenttest.Behaviour) { b.Stages, b.Arms, b.Commits = 20*time.Second, 5*time.Second, time.Second })
				r := s.start(playedSettings())
				r.until("the phase began", func(e engine.Event) bool { return e.Phase == phase && e.Machine == "" })
				begun := time.Now()
				r.Hurry()
				p, result := r.end()
				if took := time.Since(begun); took > 8*time.Second {
					t.Errorf("it took %s\n%s", took, logOf(p))
				}
				if runs := result.Outcome == engine.OutcomeSucceeded || result.Outcome == engine.OutcomePartial; !runs && result.Outcome != engine.OutcomeCancelled {
					t.Errorf("it ended %s: %v", result.Outcome, result.Problem)
				}
				s.isTrue(p, result)
			})
		})
	}
}

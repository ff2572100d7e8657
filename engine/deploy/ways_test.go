package deploy_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
)

func TestASubsetStaysASubset(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Select.Machines = []string{"m01"}
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m01 committed")
		if got := s.State("m00").Code.Version; got != "1.0.0" {
			t.Errorf("the machine that was not selected runs %s", got)
		}
		if fleet, single := s.recorded(); fleet != "" || len(single) != 1 || single["m01"] != "2.0.0" {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
	})
}

func TestADryRunLeavesNothing(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.DryRun = true
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded || r.Plan == nil || r.Plan.Processes() != 606 || len(r.Plan.Modules) != 2 {
			t.Fatalf("it ended %s with the plan %v: %v\n%s", r.Outcome, r.Plan, r.Problem, logOf(p))
		}
		for _, m := range []string{"m00", "m01"} {
			if got := s.State(m); got.Code.Version != "1.0.0" || len(got.Ordered) > 0 && got.Ordered[0] != "abort" {
				t.Errorf("machine %s runs %s, its agent was told to %v", m, got.Code.Version, got.Ordered)
			}
		}
		if left := s.Objects(""); len(left) > 0 {
			t.Errorf("the bucket holds %v", left)
		}
		s.nothingLeft()
	})
}

// A plan that is stopped while its tarball is on the way leaves none in the bucket.
func TestADryRunThatIsStoppedWhileItUploadsLeavesNothing(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.DryRun = true
		var r *run
		s.On(agenttest.Match{Kind: agenttest.PollJob, Arg: "upload"}, agenttest.After(func() { r.Stop() }))
		r = s.start(settings)
		if _, result := r.end(); result.Outcome != engine.OutcomeCancelled {
			t.Errorf("it ended %s: %v", result.Outcome, result.Problem)
		}
		if left := s.Objects(""); len(left) > 0 {
			t.Errorf("the bucket holds %v", left)
		}
		s.nothingLeft()
	})
}

// Nothing is suspended before the plan is confirmed: not without a terminal, not after a no, not after ten minutes without an answer.
func TestNothingIsSuspendedWithoutAConfirmation(t *testing.T) {
	for name, test := range map[string]struct {
		ask     bool
		answer  func(*run)
		outcome engine.Outcome
		problem string
	}{
		"no terminal": {false, func(*run) {}, engine.OutcomeFailed, "unconfirmed"},
		"a no":        {true, func(r *run) { r.Answer(engine.Answer{To: engine.QuestionPlan}) }, engine.OutcomeCancelled, ""},
		"no answer":   {true, func(*run) {}, engine.OutcomeFailed, "unconfirmed"},
		"an answer to another question": {true, func(r *run) {
			r.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true})
		}, engine.OutcomeFailed, "unconfirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := playedSettings()
				settings.Yes, settings.Ask = false, test.ask
				r := s.start(settings)
				if test.ask {
					r.asks(engine.QuestionPlan)
				}
				begun := time.Now()
				test.answer(r)
				p, result := r.end()
				if result.Outcome != test.outcome || test.problem != "" && result.Problem.Name != test.problem {
					t.Errorf("it ended %s: %v\n%s", result.Outcome, result.Problem, logOf(p))
				}
				if took := time.Since(begun); took > 11*time.Minute {
					t.Errorf("it waited %s", took)
				}
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.Arm})) + len(s.Calls(agenttest.Match{Kind: agenttest.Commit})); n > 0 {
					t.Errorf("agents were told %d times to arm or commit", n)
				}
				s.nothingLeft()
			})
		})
	}
}

// Somebody else's lock: respected, waited for, overridden by an answer that names it or by --force.
func TestSomebodyElsesLock(t *testing.T) {
	for name, test := range map[string]struct {
		settings func(*engine.Settings)
		answer   func(*run)
		outcome  engine.Outcome
		text     string
	}{
		"respected":  {func(*engine.Settings) {}, nil, engine.OutcomeLocked, ""},
		"waited for": {func(s *engine.Settings) { s.LockWait = 30 * time.Minute }, nil, engine.OutcomeSucceeded, "held by ann@laptop"},
		"forced":     {func(s *engine.Settings) { s.Force = true }, nil, engine.OutcomeSucceeded, "ann@laptop took it from bob@desk"},
		"overridden": {func(s *engine.Settings) { s.Yes, s.Ask = false, true }, func(r *run) {
			r.asks(engine.QuestionLock)
			r.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true, OverrideETag: r.p.Held.ETag})
			r.asks(engine.QuestionPlan)
			r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		}, engine.OutcomeSucceeded, "ann@laptop took it from bob@desk"},
		"not overridden": {func(s *engine.Settings) { s.Yes, s.Ask = false, true }, func(r *run) {
			r.asks(engine.QuestionLock)
			r.Answer(engine.Answer{To: engine.QuestionLock})
		}, engine.OutcomeLocked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				if _, err := s.NewConsole("desk").Storage.Acquire(t.Context(), "bob@desk", "01K9000000000000000000BBBB", 3*time.Minute, ""); err != nil {
					t.Fatal(err)
				}
				settings := playedSettings()
				test.settings(&settings)
				r := s.start(settings)
				if test.answer != nil {
					test.answer(r)
				}
				p, result := r.end()
				if result.Outcome != test.outcome || !strings.Contains(p.Fleet[engine.PhaseLock].Text, test.text) {
					t.Errorf("it ended %s with the lock %q: %v", result.Outcome, p.Fleet[engine.PhaseLock].Text, result.Problem)
				}
				if test.outcome == engine.OutcomeLocked && (!strings.Contains(result.Problem.What, "bob@desk") || !strings.Contains(result.Problem.Remedy, "--lock-wait")) {
					t.Errorf("problem: %v", result.Problem)
				}
			})
		})
	}
}

// Bob overrides Ann while her plan waits. He types for so long that she renews her lock meanwhile: his answer holds for her deploy all
// the same. She notices within a heartbeat, starts nothing and says who took the lock; he ends her agents, and deploys.
func TestAnOwnerWhoIsOverriddenStops(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		ann := s.start(asking())
		ann.asks(engine.QuestionPlan)
		bobs := asking()
		bobs.Owner = "bob@desk"
		bob := s.startOn(s.NewConsole("desk"), bobs)
		bob.asks(engine.QuestionLock)
		first := bob.p.Held.ETag
		bob.until("the lock was renewed", func(engine.Event) bool { return bob.p.Held != nil && bob.p.Held.ETag != first })
		bob.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true, OverrideETag: first})
		bob.until("it had the lock", func(engine.Event) bool { return bob.p.Fleet[engine.PhaseLock].Status == engine.StatusDone })
		overridden := time.Now()
		p, hers := ann.end()
		if hers.Outcome != engine.OutcomeFailed || hers.Problem.Name != "lock_lost" || !strings.Contains(hers.Problem.Error(), "bob@desk") {
			t.Errorf("Ann's deploy ended %s: %v", hers.Outcome, hers.Problem)
		}
		if took := p.LastAt.Sub(overridden); took > 20*time.Second || p.Fleet[engine.PhaseCommit].Status != "" {
			t.Errorf("Ann stopped %s after the override, her commit is %q", took, p.Fleet[engine.PhaseCommit].Status)
		}
		bob.asks(engine.QuestionPlan)
		bob.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, his := bob.end()
		wants(t, p, his, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		s.nothingLeft()
	})
}

// An agent inside its window tells nothing of itself, so that it cannot be taken over: it is asked again until it does.
func TestAnAgentInsideALongWindowIsWaitedFor(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Behave("", func(b *agenttest.Behaviour) { b.Commits = 6 * time.Minute })
		if p, r := s.deploy(playedSettings()); r.Outcome == engine.OutcomeSucceeded {
			t.Fatalf("nothing is left to be waited for:\n%s", logOf(p))
		}
		settings := playedSettings()
		settings.LockWait = 10 * time.Minute
		p, r := s.startOn(s.NewConsole("desk"), settings).end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date")
		if asked := len(s.Calls(agenttest.Match{Kind: agenttest.Kind(agent.ScriptOrder), Console: "desk"})); asked < 3 {
			t.Errorf("the window was over after %d injections: nothing was waited for", asked)
		}
		s.nothingLeft()
	})
}

// A console that was killed has left its agents: the owner of the lock ends them, and deploys.
func TestAgentsOfAKilledConsoleAreTakenOver(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		laptop := s.NewConsole("laptop")
		killed := s.startOn(laptop, asking())
		killed.asks(engine.QuestionPlan)
		s.On(agenttest.Match{Console: "laptop"}, agenttest.LoseRequest) // its network is gone, and so it cannot settle
		killed.Hurry()
		killed.end()
		if s.State("m00").Agent == "" {
			t.Fatal("no agent is left")
		}
		settings := playedSettings()
		settings.LockWait = 10 * time.Minute
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		s.nothingLeft()
	})
}

// One machine is upgraded and watched; only then the others follow, wave by wave.
func TestWaves(t *testing.T) {
	for name, test := range map[string]struct {
		strategy engine.Strategy
		text     string
		waves    []int
	}{
		"canary":          {engine.Strategy{Kind: engine.StrategyCanary, Bake: 40 * time.Second}, "canary, then 4 machines, each watched for 40s", []int{1, 4}},
		"canary in waves": {engine.Strategy{Kind: engine.StrategyCanary, WaveSize: 2, Bake: 40 * time.Second}, "canary, then 4 machines in 2 waves, each watched for 40s", []int{1, 2, 2}},
		"rolling":         {engine.Strategy{Kind: engine.StrategyRolling, Bake: 40 * time.Second}, "3 waves of up to 2 machines, each watched for 40s", []int{2, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 5, func(t *testing.T, s *stage) {
				settings := playedSettings()
				settings.Strategy = test.strategy
				p, r := s.deploy(settings)
				if r.Outcome != engine.OutcomeSucceeded || p.Plan.Strategy != test.text {
					t.Fatalf("it ended %s of %q: %v", r.Outcome, p.Plan.Strategy, r.Problem)
				}
				commits := s.Calls(agenttest.Match{Kind: agenttest.Commit})
				at := 0
				for i, size := range test.waves {
					if at > 0 {
						if after := commits[at].At.Sub(commits[at-1].At); after < test.strategy.Bake {
							t.Errorf("wave %d began %s after the one before it", i+1, after)
						}
					}
					if spread := commits[at+size-1].At.Sub(commits[at].At); spread > 10*time.Second {
						t.Errorf("wave %d took %s to commit", i+1, spread)
					}
					at += size
				}
			})
		})
	}
}

// A canary on which processes crash ends the deploy at once.
func TestACanaryThatCrashes(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: deploy.MaxBake}
		r := s.start(settings)
		r.until("the canary was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseCommit && e.Done == 1 })
		s.Crash("m00", 7)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 unhealthy, m02 aborted, m01 aborted")
		const says = "2.0.0 runs on 1 of 3 machines, and is not well: 7 crashes of Counter.Tally in 2 s: KeyError :step at tally.ex:41"
		if result.Problem.What != says || result.Problem.Remedy == "" || result.Health != engine.HealthUnhealthy {
			t.Errorf("problem: %v", result.Problem)
		}
		s.nothingLeft()
	})
}

// While a deploy verifies, one of its machines is stopped, another destroyed, and a third comes up: none of them counts as upgraded,
// each is named, and the record says what is true.
func TestAFleetThatChangesAfterTheCommitIsToldAsItIs(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, After: 2, Times: 1}, agenttest.After(func() {
			s.Stop("m01")
			s.Remove("m02")
			s.Add(engine.Machine{ID: "new", Region: "ams"})
		}))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m02 gone, m01 stopped")
		if m := p.Machine("new"); m == nil || m.Phases[engine.PhaseCheck].Status != engine.StatusSkipped {
			t.Errorf("the machine that came is not named:\n%s", logOf(p))
		}
		if fleet, single := s.recorded(); fleet != "" || single["m00"] != "2.0.0" || single["m02"] != "" {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.Start("m01")
		if got := s.State("m01").Code.Version; got != "2.0.0" {
			t.Errorf("the machine that was stopped boots %s", got)
		}
		s.nothingLeft()
	})
}

// A machine that never answers keeps nobody from deploying to the others.
func TestASilentMachineThatIsNotSelected(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kinds: agenttest.Kind.IsExec, Machine: "m00"}, agenttest.LoseRequest)
		settings := playedSettings()
		settings.Select.Machines = []string{"m01"}
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m01 committed")
	})
}

// A deploy that is stopped while an agent starts takes it back.
func TestAStopWhileAnAgentStarts(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		var r *run
		s.On(agenttest.Match{Kind: agenttest.Inject, Times: 1}, agenttest.After(func() { r.Stop() }))
		r = s.start(playedSettings())
		p, result := r.end()
		wants(t, p, result, engine.OutcomeCancelled, "m00 aborted")
		s.nothingLeft()
	})
}

// A machine that answers nothing for longer than --timeout is shown as unknown, and found later to have committed.
func TestAnAnswerThatComesLate(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		var silent atomic.Bool
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00", Times: 1}, agenttest.After(func() { silent.Store(true) }))
		s.On(agenttest.Match{Kinds: agenttest.Kind.IsExec, Machine: "m00"}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			a := carryOut()
			if silent.Load() {
				return agenttest.LoseRequest(ctx, c, nil)
			}
			return a
		})
		r := s.start(playedSettings())
		r.until("the machine was unknown", func(e engine.Event) bool { return e.Machine == "m00" && e.State == engine.MachineUnknown })
		silent.Store(false)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if p.Machine("m00").Problem != nil {
			t.Errorf("m00 is shown with %v", p.Machine("m00").Problem)
		}
		s.nothingLeft()
	})
}

// A VM that restarts while the plan waits is staged again, as another attempt.
func TestAVMThatRestartsWhileThePlanWaits(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(asking())
		r.asks(engine.QuestionPlan)
		s.Restart("m00", agenttest.Boot{})
		r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if n := p.Machine("m00").Attempt; n != 2 {
			t.Errorf("m00 was staged %d times", n)
		}
	})
}

// What a machine that is staged again has to say is not confirmed by the plan that was shown before, unless it was accepted by name.
func TestANewBlockerOfAMachineThatIsStagedAgain(t *testing.T) {
	for name, accepted := range map[string]bool{"unseen": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				r := s.start(asking())
				r.asks(engine.QuestionPlan)
				s.Behave("", func(b *agenttest.Behaviour) {
					b.Findings = []agent.Finding{{Name: "slow_rollback", Severity: "block", Subject: "rollback", Detail: "takes 5 s"}}
				})
				s.On(agenttest.Match{Kind: agenttest.Arm, Times: 1}, agenttest.Before(func() { s.Restart("m00", agenttest.Boot{}) }))
				answer := engine.Answer{To: engine.QuestionPlan, Proceed: true}
				if accepted {
					answer.Accept = []string{"slow_rollback"}
				}
				r.Answer(answer)
				p, result := r.end()
				if accepted {
					wants(t, p, result, engine.OutcomeSucceeded, "m00 committed")
					return
				}
				wants(t, p, result, engine.OutcomeBlocked, "m00 failed")
				if s.State("m00").Code.Version != "1.0.0" {
					t.Error("it was committed")
				}
			})
		})
	}
}

// Of many machines the first may expire before the last is armed: it is armed again, once.
func TestAMachineThatExpiredBeforeItsCommitIsArmedAgain(t *testing.T) {
	for times, want := range map[int]string{1: "m00 committed, m01 committed", 2: "m00 expired, m01 committed"} {
		t.Run(want, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				late := map[string]bool{} // by the agent's order
				s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00"}, func(_ context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
					if !late[c.Arg] && len(late) < times {
						late[c.Arg] = true
						time.Sleep(70 * time.Second) // in virtual time: an armed agent waits for a minute
					}
					return carryOut()
				})
				settings := playedSettings()
				settings.Timeout = 5 * time.Minute
				p, r := s.deploy(settings)
				outcome := engine.OutcomeSucceeded
				if times > 1 {
					outcome = engine.OutcomePartial
				}
				wants(t, p, r, outcome, want)
				s.nothingLeft()
			})
		})
	}
}

// A machine that did not get its commit is taken back, and its end is known: nobody waits for what may still happen.
func TestACommitThatNeverCameIsTakenBack(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00"}, agenttest.LoseRequest)
		settings := playedSettings()
		settings.Timeout = 20 * time.Second
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomePartial, "m00 aborted, m01 committed")
		s.nothingLeft()
	})
}

// A machine of which an open page cannot show the upgrade runs it all the same, but the deploy does not end as if nothing were wrong.
func TestAPageThatCannotShowTheUpgrade(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) {
			b.Failures = []agent.Failure{
				{PID: "#PID<0.7.0>", Module: "Shop.Live", Reason: agent.NotRendered, Exception: "** (KeyError) key :total not found in: %{…}", Count: 3},
			}
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m01 committed")
		if r.Problem == nil || !strings.Contains(r.Problem.What, "m01: 3 open pages of Shop.Live cannot show the new code: ** (KeyError) key :total") {
			t.Errorf("problem: %v", r.Problem)
		}
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
	})
}

// A busy process fails its machine, and is told what would leave it out; with that, the machine runs the upgrade and names it.
func TestABusyProcessCanBeLeftOut(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Busy = true })
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m01 failed")
		if r.Problem == nil || !strings.Contains(r.Problem.Remedy, "The machine is as before.") || !strings.Contains(r.Problem.Remedy, "--skip-busy") {
			t.Errorf("problem: %+v", r.Problem)
		}
		settings := playedSettings()
		settings.SkipBusy = true
		p, r = s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m01 committed")
		m := r.Machines[1]
		if m.Skipped != 1 || len(m.Failures) != 1 || m.Failures[0].Reason != "skipped" {
			t.Errorf("%+v", m)
		}
		s.nothingLeft()
	})
}

// A migration that fails rolls its machine back, and is told with its process and its exception.
func TestAMigrationThatFails(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) {
			b.Outcome = agent.RolledBack
			b.Failures = []agent.Failure{{PID: "#PID<0.7.0>", Module: "Counter.Tally", Reason: "raised", Exception: "** (RuntimeError) no", Count: 1}}
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m01 rolled_back")
		if !strings.Contains(r.Problem.What, "#PID<0.7.0> of Counter.Tally raised: ** (RuntimeError) no") || r.Problem.Remedy == "" {
			t.Errorf("problem: %v", r.Problem)
		}
		if fleet, single := s.recorded(); fleet != "" || len(single) != 1 || single["m00"] != "2.0.0" {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
	})
}

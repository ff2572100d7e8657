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
	"flydeploy/engine/record"
)

// A machine whose answers are lost for a while does not drop healthy ones whose agents expired while the others were armed.
func TestASilentMachineDropsNobodyElse(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.MaxConcurrency = 1
		s.Behave("", func(b *agenttest.Behaviour) { b.Arms = 25 * time.Second })
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m03"}, agenttest.HangAfter)
		s.On(agenttest.Match{Kind: agenttest.Wait, Machine: "m03"}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if len(s.Calls(agenttest.Match{Kind: agenttest.Commit, Machine: "m03"})) > 0 && len(s.Calls(agenttest.Match{Kind: agenttest.Wait, Machine: "m03"})) < 12 {
				return agenttest.LoseAnswer(ctx, c, carryOut)
			}
			return carryOut()
		})
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed, m03 committed")
	})
}

// More machines boot than --max-concurrency: those that had to wait for their turn are looked at once more, and upgraded.
func TestMoreMachinesBootThanAreStagedAtOnce(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.MaxConcurrency = 1
		s.On(agenttest.Match{Kind: agenttest.Inject}, agenttest.Delay(20*time.Second))
		s.On(agenttest.Match{Kind: agenttest.PollJob, Arg: "upload", Times: 1}, agenttest.Before(func() {
			for _, m := range []string{"m01", "m02", "m03"} {
				s.Restart(m, agenttest.Boot{Found: 40 * time.Second, Answers: 41 * time.Second})
			}
		}))
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("%s\n%s", outcomes(r), logOf(p))
		}
	})
}

// A wave of 35 times --max-concurrency, of which each look takes longer than --timeout, is watched to its end.
func TestALargeWaveIsWatchedByFew(t *testing.T) {
	played(t, 140, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.MaxConcurrency = 2
		settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 70, Bake: time.Minute}
		_, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("it ended %s: %v", r.Outcome, r.Problem)
		}
	})
}

// A list that fails once after the commit, and then answers.
func TestOneListAfterTheCommitFails(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		var failed atomic.Bool
		s.On(agenttest.Match{Kind: agenttest.ListMachines}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if n := len(s.Calls(agenttest.Match{Kind: agenttest.LoadedCode})); n >= 2 && !failed.Swap(true) {
				return agenttest.Fail(errors.New("500"))(ctx, c, carryOut)
			}
			return carryOut()
		})
		_, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded || !failed.Load() {
			t.Errorf("a list failed (%t), and the deploy that all machines run ended %s: %v", failed.Load(), r.Outcome, r.Problem)
		}
	})
}

// If current.json cannot be written, the phase says so, and not that the whole fleet runs the upgrade.
func TestAFailedWriteClaimsNothing(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.WriteMetadata}, agenttest.Fail(errors.New("503")))
		_, r := s.deploy(playedSettings())
		failed := 0
		for _, e := range s.recordedEvents(r.Upgrade.ID) {
			if e.Phase != engine.PhaseMetadata || e.Status != engine.StatusFailed {
				continue
			}
			failed++
			if strings.Contains(e.Text, "whole fleet runs") {
				t.Errorf("failed, and says %q: %v", e.Text, e.Problem)
			}
		}
		if failed == 0 || r.Outcome == engine.OutcomeSucceeded {
			t.Errorf("%d failures are told; it ended %s", failed, r.Outcome)
		}
	})
}

// A machine that was not selected, of another group, whose exec hangs: the record is written all the same.
func TestAnUnselectedMachineThatHangsHoldsNothingUp(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Add(engine.Machine{ID: "aside", Region: "ams", ProcessGroup: "proxy"})
		s.On(agenttest.Match{Machine: "aside", Kinds: agenttest.Kind.IsExec}, agenttest.Hang)
		settings := playedSettings()
		settings.Select.Machines = []string{"m00", "m01"}
		p, r := s.deploy(settings)
		if r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// A resume that takes the lock while the earlier deploy still writes its end.
func TestResumeWhileTheEndIsWritten(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		ann := s.start(asking())
		ann.asks(engine.QuestionPlan)
		time.Sleep(2 * time.Second)
		settings := playedSettings()
		settings.Owner, settings.Resume, settings.LockWait = "bob@ci", true, 30*time.Minute
		bob := s.startOn(s.NewConsole("ci"), settings)
		bob.until("it waited", func(e engine.Event) bool { return e.Held != nil })
		s.On(agenttest.Match{Kind: agenttest.ReleaseLock}, agenttest.Before(func() {
			s.On(agenttest.Match{Kind: agenttest.WriteResult}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
				if c.Console == "" {
					return agenttest.Delay(4*time.Second)(ctx, c, carryOut)
				}
				return carryOut()
			})
			s.On(agenttest.Match{Kind: agenttest.ReadResult, Console: "ci"}, agenttest.DelayAnswer(10*time.Second))
		}))
		ann.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		_, hers := ann.end()
		bob.end()
		if d := s.deployJSON(hers.Upgrade.ID); d.Outcome != engine.OutcomeSucceeded || d.Running {
			t.Errorf("hers %s, her record says %+v", hers.Outcome, d)
		}
	})
}

// A platform that answers 429 to a commit for some seconds (package fly repeats those itself): stopped meanwhile, it is not sent.
func TestACommitThatTheClientHoldsIsNotSentAfterTheStop(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		var r *run
		var stopped, sent time.Time
		s.On(agenttest.Match{Kind: agenttest.Commit}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			// what fly.Client.do does after a 429
			time.AfterFunc(time.Second, func() { stopped = time.Now(); r.Stop() })
			select {
			case <-ctx.Done():
				return agenttest.Answer{Err: ctx.Err()}
			case <-time.After(10 * time.Second):
			}
			if err := engine.MaySend(ctx); err != nil { // as fly.Client.do
				return agenttest.Answer{Err: err}
			}
			sent = time.Now()
			return carryOut()
		})
		r = s.start(playedSettings())
		_, result := r.end()
		if !sent.IsZero() || stopped.IsZero() || result.Outcome != engine.OutcomeCancelled {
			t.Errorf("it was stopped at %s, ended %s, and the commit went out at %s", stopped, result.Outcome, sent)
		}
	})
}

// A machine that is destroyed, stopped or replaced while it is armed has an end that is known: the lock is released.
func TestAMachineThatChangesAtItsCommit(t *testing.T) {
	for _, how := range []string{"removed", "stopped", "replaced"} {
		t.Run(how, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m01", Times: 1}, agenttest.Before(func() {
					switch how {
					case "removed":
						s.Remove("m01")
					case "stopped":
						s.Stop("m01")
					default:
						s.Replace("m01", agenttest.Image1)
					}
				}))
				_, r := s.deploy(playedSettings())
				if r.LockLeft {
					t.Errorf("%s: the lock is left though the machine is proven to be %s", outcomes(r), how)
				}
			})
		})
	}
}

// One list fails while an agent stands still.
func TestOneListFailsWhileAnAgentStandsStill(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Behave("m00", func(b *agenttest.Behaviour) { b.Commits = 25 * time.Second })
		s.On(agenttest.Match{Kind: agenttest.Commit}, agenttest.After(func() {
			s.On(agenttest.Match{Kind: agenttest.ListMachines, Times: 1}, agenttest.Fail(errors.New("500")))
		}))
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
	})
}

// Everything hangs from the first call of a kind on; Hurry comes three seconds later, and ends the deploy within eight.
func TestHurrySweep(t *testing.T) {
	for _, kind := range everyCall {
		if kind == agenttest.Build || kind == agenttest.CreateTemporary {
			continue
		}
		for name, h := range map[string]agenttest.Hook{"hang": agenttest.Hang, "after": agenttest.HangAfter} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				played(t, 3, func(t *testing.T, s *stage) {
					settings := playedSettings()
					settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: 20 * time.Second}
					var r *run
					var hurried atomic.Int64
					var on atomic.Bool
					s.Hook(func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
						if c.Kind == kind && !on.Swap(true) {
							time.AfterFunc(3*time.Second, func() { hurried.Store(time.Now().UnixNano()); r.Hurry() })
						}
						if on.Load() {
							return h(ctx, c, carryOut)
						}
						return carryOut()
					})
					r = s.start(settings)
					p, result := r.end()
					if took := time.Since(time.Unix(0, hurried.Load())); took > 8*time.Second && hurried.Load() > 0 {
						t.Errorf("took %s: %s (%s) %v\n%s", took, result.Outcome, outcomes(result), result.Problem, logOf(p))
					}
				})
			})
		}
	}
}

// starting are the calls that begin something.
var starting = []agenttest.Kind{agenttest.Build, agenttest.CreateTemporary, agenttest.StartJob, agenttest.Arm, agenttest.Commit, agenttest.AcquireLock, agenttest.Inject}

// A stop, or the loss of the lock, comes at any call: nothing begins after it, or after the loss was noticed.
func TestStopSweep(t *testing.T) {
	for _, kind := range everyCall {
		for _, nth := range []int{0, 1, 2} {
			for _, lost := range []bool{false, true} {
				t.Run(string(kind)+map[bool]string{true: " lost", false: " stop"}[lost], func(t *testing.T) {
					played(t, 3, func(t *testing.T, s *stage) {
						settings := playedSettings()
						settings.Strategy = engine.Strategy{Kind: engine.StrategyCanary, Bake: 20 * time.Second}
						var r *run
						var at time.Time
						s.On(agenttest.Match{Kind: kind, After: nth, Times: 1}, agenttest.Before(func() {
							if _, err := s.NewConsole("x").Storage.Current(t.Context()); lost && err != nil {
								return
							}
							if lost {
								s.takeAway()
							} else {
								r.Stop()
							}
							at = time.Now()
						}))
						r = s.start(settings)
						p, result := r.end()
						if at.IsZero() {
							return
						}
						grace := time.Duration(0)
						if lost {
							grace = 11 * time.Second
						}
						for _, k := range starting {
							if !lost && k == agenttest.Inject {
								continue // findAgain
							}
							for _, c := range s.Calls(agenttest.Match{Kind: k}) {
								if c.Console == "" && c.At.After(at.Add(grace)) {
									t.Errorf("%s on %s %s after: %s (%s) %v\n%s", k, c.Machine, c.At.Sub(at), result.Outcome, outcomes(result), result.Problem, logOf(p))
								}
							}
						}
						if !lost {
							s.isTrue(p, result)
						}
					})
				})
			}
		}
	}
}

// An injection that a stop or a lost lock cuts off is not sent again.
func TestInjectionUnderALostLock(t *testing.T) {
	for _, stop := range []bool{true, false} {
		t.Run(map[bool]string{true: "stop", false: "lost"}[stop], func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				var at time.Time
				var r *run
				s.On(agenttest.Match{Kind: agenttest.Inject, Machine: "m00", Times: 1}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
					at = time.Now()
					if stop {
						r.Stop()
					} else {
						s.takeAway()
					}
					return agenttest.Hang(ctx, c, carryOut)
				})
				r = s.start(playedSettings())
				_, result := r.end()
				for _, k := range []agenttest.Kind{agenttest.Inject} {
					for _, c := range s.Calls(agenttest.Match{Kind: k, Machine: "m00"}) {
						if c.At.After(at.Add(map[bool]time.Duration{true: 0, false: 10500 * time.Millisecond}[stop])) {
							t.Errorf("%s %s after: %s (%s) %v", k, c.At.Sub(at), result.Outcome, outcomes(result), result.Problem)
						}
					}
				}
			})
		})
	}
}

// The history counts the machines of a cancelled deploy of what all of them run already.
func TestHistoryOfACancelledDeployOfWhatRuns(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.deploy(playedSettings())
		r := s.start(asking())
		r.asks(engine.QuestionPlan)
		r.Stop()
		_, result := r.end()
		past, err := record.History(t.Context(), s.Storage, 5)
		if err != nil {
			t.Fatal(err)
		}
		if p := past[0]; p.ID != result.Upgrade.ID || p.Upgraded != 3 || p.Machines != 3 {
			t.Errorf("history says %d/%d %s, the result %s", p.Upgraded, p.Machines, p.Outcome, outcomes(result))
		}
	})
}

// A storage that is away for some seconds when the end is recorded is asked again.
func TestAShortOutageAtTheEnd(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		storage := func(k agenttest.Kind) bool { return k == agenttest.WriteMetadata || k == agenttest.ReadMetadata }
		var on atomic.Bool
		outage := agenttest.Outage(5 * time.Second)
		s.On(agenttest.Match{Kinds: storage}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if c.Kind == agenttest.WriteMetadata {
				on.Store(true)
			}
			if on.Load() {
				return outage(ctx, c, carryOut)
			}
			return carryOut()
		})
		_, r := s.deploy(playedSettings())
		fleet, single := s.recorded()
		if r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("%s (%s), recorded %q %v: %v", r.Outcome, outcomes(r), fleet, single, r.Problem)
		}
	})
}

package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

func baking(d time.Duration) engine.Settings {
	s := playedSettings()
	s.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: d}
	return s
}

// watched reads events until the last machine is being watched.
func (r *run) watched() {
	r.t.Helper()
	r.until("its machines were watched", func(engine.Event) bool {
		for _, m := range r.p.Machines {
			if m.Phases[engine.PhaseWatch].Status != engine.StatusRunning {
				return false
			}
		}
		return len(r.p.Machines) > 0
	})
}

// A deploy of all machines at once is watched as well, and its crashes are its outcome.
func TestTheLastWaveIsWatched(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(baking(10 * time.Second))
		r.watched()
		begun := time.Now()
		s.Crash("m00", 200)
		s.Crash("m01", 14)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 unhealthy, m01 unhealthy")
		const says = "2.0.0 runs on 2 of 2 machines, and is not well: 214 crashes of Counter.Tally in 2 s: KeyError :step at tally.ex:41"
		if result.Problem.What != says || result.Outcome.ExitCode() != 6 || result.Health != engine.HealthUnhealthy {
			t.Errorf("exit %d, health %s: %v", result.Outcome.ExitCode(), result.Health, result.Problem)
		}
		if m := result.Machines[0]; m.Error == "" || len(m.Crashes) != 1 || m.Crashes[0].Count != 200 || len(m.Crashes[0].Stack) == 0 {
			t.Errorf("%+v", m)
		}
		shown := p.Machine("m00")
		if shown.State != engine.MachineUnhealthy || shown.Problem == nil || len(shown.Report.Crashes) != 1 {
			t.Errorf("it is shown as %s: %v, %v", shown.State, shown.Problem, shown.Report.Crashes)
		}
		if fleet, _ := s.recorded(); fleet != "2.0.0" {
			t.Errorf("what runs is recorded as %q", fleet)
		}
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("it went on for %s", took)
		}
		s.nothingLeft()
	})
}

func TestAHealthyUpgradeIsWatchedToTheEnd(t *testing.T) {
	for bake, health := range map[time.Duration]engine.Health{10 * time.Second: engine.HealthHealthy, 0: engine.HealthNotWatched} {
		t.Run(string(health), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				p, r := s.deploy(baking(bake))
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
				if r.Health != health {
					t.Errorf("with a bake time of %s its health is %q", bake, r.Health)
				}
				looks := s.Calls(agenttest.Match{Kind: agenttest.Finish})
				commits := s.Calls(agenttest.Match{Kind: agenttest.Commit})
				if after := looks[0].At.Sub(commits[0].At); after < bake || after > bake+10*time.Second {
					t.Errorf("its agent was ended %s after the commit, the bake time is %s", after, bake)
				}
			})
		})
	}
}

// What crashed as often before the commit is not blamed on it; what crashes more often since is.
func TestABaselineIsNotBlamedOnTheUpgrade(t *testing.T) {
	noise := func(s *stage, n int) {
		s.CrashAs("m00", agent.Crash{Module: "Counter.Tally", Exception: "RuntimeError", Count: n})
	}
	for name, test := range map[string]struct {
		since   int
		outcome engine.Outcome
	}{
		"as often": {9, engine.OutcomeSucceeded}, "more often": {90, engine.OutcomeUnhealthy},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				settings := baking(10 * time.Second)
				settings.Yes, settings.Ask = false, true
				r := s.start(settings)
				r.asks(engine.QuestionPlan)
				noise(s, 10)
				time.Sleep(10 * time.Second)
				r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				r.watched()
				time.Sleep(5 * time.Second)
				noise(s, test.since)
				if p, result := r.end(); result.Outcome != test.outcome {
					t.Errorf("it ended %s: %v\n%s", result.Outcome, result.Problem, logOf(p))
				}
			})
		})
	}
}

// A few crashes on each of many machines, of processes that were born since, are no chance; on one alone, or where all crashed before, they may be.
func TestAFewCrashesOnEachMachineOfAWave(t *testing.T) {
	for name, test := range map[string]struct {
		crash, before int // machines
		outcome       engine.Outcome
	}{
		"on each": {8, 0, engine.OutcomeUnhealthy}, "on one": {1, 0, engine.OutcomeSucceeded}, "on each, as before": {8, 8, engine.OutcomeSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 8, func(t *testing.T, s *stage) {
				crash := func(machines int) {
					for i := range machines {
						s.CrashAs(fmt.Sprintf("m%02d", i), agent.Crash{Module: "Counter.Page", Exception: "KeyError :total", At: "page.ex:7", Count: 4})
					}
				}
				settings := baking(10 * time.Second)
				settings.Yes, settings.Ask = false, true
				r := s.start(settings)
				r.asks(engine.QuestionPlan)
				crash(test.before)
				time.Sleep(5 * time.Second)
				r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				r.watched()
				time.Sleep(4 * time.Second)
				crash(test.crash)
				p, result := r.end()
				if result.Outcome != test.outcome {
					t.Fatalf("it ended %s: %v\n%s", result.Outcome, result.Problem, logOf(p))
				}
				if test.outcome != engine.OutcomeUnhealthy {
					return
				}
				const says = "2.0.0 runs on 8 of 8 machines, and is not well: 32 crashes of Counter.Page in "
				if !strings.HasPrefix(result.Problem.What, says) || strings.Count(outcomes(result), "unhealthy") != 8 || len(result.Machines[7].Crashes) != 1 {
					t.Errorf("%s: %v", outcomes(result), result.Problem)
				}
			})
		})
	}
}

// A canary that is not known to be well holds up the others; of a last wave nobody says that it has succeeded.
func TestAMachineThatDoesNotAnswerWhileItIsWatched(t *testing.T) {
	for name, test := range map[string]struct {
		kind    engine.StrategyKind
		lasts   time.Duration
		outcome engine.Outcome
		health  engine.Health
		ends    string
	}{
		"all, a minute":     {engine.StrategyAll, time.Minute, engine.OutcomeSucceeded, engine.HealthHealthy, "m00 committed, m01 committed"},
		"all, an hour":      {engine.StrategyAll, time.Hour, engine.OutcomePartial, engine.HealthUnknown, "m00 committed, m01 committed"},
		"canary, a minute":  {engine.StrategyCanary, time.Minute, engine.OutcomeSucceeded, engine.HealthHealthy, "m00 committed, m01 committed"},
		"canary, for hours": {engine.StrategyCanary, time.Hour, engine.OutcomePartial, engine.HealthUnknown, "m00 committed, m01 aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := baking(10 * time.Second)
				settings.Strategy.Kind = test.kind
				r := s.start(settings)
				r.until("a machine was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
				s.On(agenttest.Match{Kind: agenttest.Wait, Machine: "m00"}, agenttest.Outage(test.lasts))
				p, result := r.end()
				wants(t, p, result, test.outcome, test.ends)
				if result.Health != test.health {
					t.Errorf("health %s: %v", result.Health, result.Problem)
				}
				if says := result.Machines[0].Error; (test.health == engine.HealthUnknown) != strings.Contains(says, "it is not known whether it is well: asking the agent: ") || result.Machines[1].Health == engine.HealthHealthy && result.Machines[1].Error != "" {
					t.Errorf("of its machines: %q, %q", says, result.Machines[1].Error)
				}
			})
		})
	}
}

func TestAVMThatDiesWhileItIsWatched(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(baking(10 * time.Second))
		r.watched()
		s.Restart("m01", agenttest.Boot{Found: time.Second, Answers: 3 * time.Second})
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 committed, m01 restarted")
		if !strings.Contains(result.Problem.What, "2.0.0 runs on 1 of 2 machines, and is not well: machine m01: its VM ended") {
			t.Errorf("problem: %v", result.Problem)
		}
	})
}

// Where every VM that took it has ended, nobody says that it runs the new code.
func TestVMsThatAllEndWhileTheyAreWatched(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(baking(10 * time.Second))
		r.watched()
		for _, id := range []string{"m00", "m01"} {
			s.Restart(id, agenttest.Boot{Found: time.Second, Answers: 3 * time.Second})
		}
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 restarted, m01 restarted")
		if p := result.Problem; !strings.HasPrefix(p.What, "2.0.0 was taken on 2 of 2 machines, and is not well: ") || strings.Contains(p.Remedy, "run the new code") || !strings.Contains(p.Remedy, "flydeploy status") {
			t.Errorf("problem: %v", p)
		}
	})
}

// A machine that ends while it is watched is one that has failed, however that is seen: so many as may fail let the others go on.
func TestVMsThatEndWhileTheyAreWatchedCountAsFailed(t *testing.T) {
	ends := map[string]func(s *stage){
		"restarted": func(s *stage) {
			s.Restart("m00", agenttest.Boot{Found: time.Second, Answers: 3 * time.Second})
			s.Change("m00", func(m *engine.Machine) { m.ChecksPassed = 0 })
		},
		"stopped": func(s *stage) { s.Stop("m00") }, "replaced": func(s *stage) { s.Replace("m00", agenttest.Image1) }, "gone": func(s *stage) { s.Remove("m00") },
	}
	for state, end := range ends {
		for may, want := range []struct {
			outcome engine.Outcome
			others  string
		}{{engine.OutcomeUnhealthy, "m02 committed, m01 aborted, m03 aborted"}, {engine.OutcomePartial, "m02 committed, m01 committed, m03 committed"}} {
			t.Run(fmt.Sprintf("%s, %d may fail", state, may), func(t *testing.T) {
				played(t, 4, func(t *testing.T, s *stage) {
					s.Change("m00", func(m *engine.Machine) { m.ChecksPassed, m.ChecksTotal = 2, 2 })
					settings := baking(10 * time.Second)
					settings.MaxFailed, settings.Strategy.Kind, settings.Strategy.WaveSize = may, engine.StrategyRolling, 2
					r := s.start(settings)
					r.until("m00 was watched", func(e engine.Event) bool { return e.Machine == "m00" && e.Phase == engine.PhaseWatch })
					end(s)
					p, result := r.end()
					wants(t, p, result, want.outcome, "m00 "+state+", "+want.others)
					if result.Problem == nil || !strings.Contains(result.Problem.What, "m00") {
						t.Errorf("problem: %v", result.Problem)
					}
				})
			})
		}
	}
}

// A check that fails for a while passes; one that fails at the end does not.
func TestAFailingCheckHasUntilTheEndOfTheBakeTime(t *testing.T) {
	for recovers, outcome := range map[bool]engine.Outcome{true: engine.OutcomeSucceeded, false: engine.OutcomeUnhealthy} {
		t.Run(string(outcome), func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				checks := func(passed int) {
					s.Change("m00", func(m *engine.Machine) { m.ChecksPassed, m.ChecksTotal = passed, 2 })
				}
				checks(2)
				r := s.start(baking(20 * time.Second))
				r.watched()
				checks(1)
				time.Sleep(8 * time.Second)
				if recovers {
					checks(2)
				}
				p, result := r.end()
				if result.Outcome != outcome || !recovers && !strings.Contains(result.Problem.What, "1 of 2 checks pass; before the upgrade, 2 did") {
					t.Errorf("it ended %s: %v\n%s", result.Outcome, result.Problem, logOf(p))
				}
			})
		})
	}
}

// An operator who stops the last watch has what was committed, and nobody says that it is well.
func TestAStopCutsTheWatchShort(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		r := s.start(baking(8 * time.Minute))
		r.watched()
		begun := time.Now()
		r.Stop()
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if took := time.Since(begun); result.Health != engine.HealthUnknown || took > 30*time.Second {
			t.Errorf("health %s after %s: %v", result.Health, took, result.Problem)
		}
	})
}

// Where another machine of the wave has failed, those that have committed are watched all the same.
func TestWhatHasCommittedIsWatchedWhereOthersFail(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		r := s.start(baking(10 * time.Second))
		r.until("a machine was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
		s.Crash("m00", 3)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 unhealthy, m01 rolled_back")
		if !strings.Contains(result.Problem.What, "2.0.0 runs on 1 of 2 machines, and is not well: 3 crashes") {
			t.Errorf("problem: %v", result.Problem)
		}
	})
}

// asked answers the question about the plan, and reads events until the wave's watch takes answers.
func (s *stage) asked(bake time.Duration) *run {
	s.t.Helper()
	settings := baking(bake)
	settings.Yes, settings.Ask = false, true
	settings.Strategy.Kind = engine.StrategyCanary
	r := s.start(settings)
	r.asks(engine.QuestionPlan)
	r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
	r.asks(engine.QuestionWatch)
	return r
}

// An operator ends a watch before its time, or holds it beyond.
func TestAWatchIsPromotedOrHeld(t *testing.T) {
	t.Run("promoted", func(t *testing.T) {
		played(t, 2, func(t *testing.T, s *stage) {
			r := s.asked(5 * time.Minute)
			begun := time.Now()
			r.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
			r.until("the second wave was watched", func(e engine.Event) bool { return strings.HasPrefix(e.Text, "wave 2 of 2: watched") })
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("the next wave came after %s", took)
			}
			r.asks(engine.QuestionWatch)
			r.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
			p, result := r.end()
			wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
			if took := time.Since(begun); took > time.Minute || result.Health != engine.HealthHealthy {
				t.Errorf("health %s after %s", result.Health, took)
			}
		})
	})
	t.Run("held", func(t *testing.T) {
		played(t, 2, func(t *testing.T, s *stage) {
			r := s.asked(10 * time.Second)
			r.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayHold})
			r.until("it was held", func(e engine.Event) bool { return strings.Contains(e.Text, "held, watched for ") })
			time.Sleep(15 * time.Minute)
			if got := s.State("m01").Code.Version; got != "1.0.0" {
				t.Errorf("the other machine runs %s while the canary is held", got)
			}
			s.Crash("m00", 1)
			r.asks(engine.QuestionSick)
			r.Answer(engine.Answer{To: engine.QuestionSick, Way: engine.WayStop})
			p, result := r.end()
			wants(t, p, result, engine.OutcomeUnhealthy, "m00 unhealthy, m01 aborted")
		})
	})
}

// Agents do not stay for ever: who holds a watch again and again does not make their end look like a VM's.
func TestAHeldWatchEndsBeforeItsAgents(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		r := s.asked(10 * time.Second)
		for range 2 {
			r.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayHold})
			r.until("it was held", func(e engine.Event) bool { return strings.Contains(e.Text, "held, watched for ") })
			time.Sleep(40 * time.Minute)
		}
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed")
	})
}

// What becomes of a sick canary is asked where somebody can answer.
func TestTheWayOnIsAsked(t *testing.T) {
	for way, ends := range map[engine.Way]string{
		engine.WayStop: "m00 unhealthy, m01 aborted", engine.WayBack: "m00 taken_back, m01 aborted", engine.WayContinue: "m00 unhealthy, m01 committed", "": "m00 unhealthy, m01 aborted",
	} {
		t.Run("way "+string(way), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				r := s.asked(10 * time.Second)
				s.Crash("m00", 4)
				crashed := time.Now()
				r.until("it was told", func(e engine.Event) bool { return strings.Contains(e.Text, "4 crashes of Counter.Tally") })
				if took := time.Since(crashed); took > 3*time.Second {
					t.Errorf("it was told %s after the first crash", took)
				}
				r.asks(engine.QuestionSick)
				if p := r.p.Fleet[engine.PhaseCommit].Problem; p == nil || !strings.Contains(p.What, "2.0.0 runs on 1 of 2 machines, and is not well: 4 crashes") {
					t.Errorf("the question shows %v", p)
				}
				if way != "" { // nobody answers: as without a terminal
					r.Answer(engine.Answer{To: engine.QuestionSick, Way: way})
				}
				p, result := r.end()
				wants(t, p, result, engine.OutcomeUnhealthy, ends)
				s.nothingLeft()
			})
		})
	}
}

// Whoever goes on is asked again about what is not well since, and not about what was before.
func TestGoingOnIsAskedOnce(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		settings := asking()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 1, Bake: 10 * time.Second}
		r := s.start(settings)
		r.asks(engine.QuestionPlan)
		r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		for i, id := range []string{"m00", "m02", "m01"} {
			r.until(id+" was watched", func(e engine.Event) bool { return e.Machine == id && e.Phase == engine.PhaseWatch })
			if i == 1 {
				continue // it is well
			}
			s.Crash(id, 4)
			r.until("it was asked about "+id, func(engine.Event) bool { return r.p.Asks() == engine.QuestionSick })
			if i == 0 {
				r.Answer(engine.Answer{To: engine.QuestionSick, Way: engine.WayContinue})
				continue
			}
			r.Answer(engine.Answer{To: engine.QuestionSick, Way: engine.WayBack})
		}
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 taken_back, m02 taken_back, m01 taken_back")
	})
}

// A check that passed before and fails now is told by its name, also where another one has recovered meanwhile.
func TestAFailingCheckIsToldByItsName(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		checks := func(failing string) {
			s.Change("m00", func(m *engine.Machine) { m.ChecksPassed, m.ChecksTotal, m.ChecksFailing = 1, 2, []string{failing} })
		}
		checks("disk")
		r := s.start(baking(10 * time.Second))
		r.watched()
		checks("http-8080")
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 unhealthy")
		if !strings.HasSuffix(result.Problem.What, "machine m00: its health check http-8080 fails, and passed before the upgrade") {
			t.Errorf("problem: %v", result.Problem)
		}
	})
}

// A supervisor that has one restart left is not well, unless it restarts as often all the time.
func TestASupervisorNearItsRestartLimit(t *testing.T) {
	for before, outcome := range map[int]engine.Outcome{0: engine.OutcomeUnhealthy, 5: engine.OutcomeSucceeded} {
		t.Run(string(outcome), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.Behave("m01", func(b *agenttest.Behaviour) {
					b.Supervisors = []agent.Supervisor{{Supervisor: "Counter.Supervisor", Child: "Counter.Tally", Restarts: 2, Limit: 3, Seconds: 5, Before: before}}
				})
				p, r := s.deploy(baking(10 * time.Second))
				if r.Outcome != outcome {
					t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				const says = "machine m01: the supervisor Counter.Supervisor is near its restart limit: 2 of 3 restarts in 5 s, of Counter.Tally"
				if before == 0 && !strings.HasSuffix(r.Problem.What, says) {
					t.Errorf("problem: %v", r.Problem)
				}
			})
		})
	}
}

// Vitals are told before the commit and while a machine is watched, with Fly's checks, and rarely once that takes long.
func TestVitalsOfTheMachinesThatAreWatched(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("", func(b *agenttest.Behaviour) { b.Vitals = &agent.Vitals{Memory: 182 << 20, Processes: 303} })
		for _, id := range []string{"m00", "m01"} {
			s.Change(id, func(m *engine.Machine) { m.ChecksPassed, m.ChecksTotal = 2, 2 })
		}
		p, r := s.deploy(baking(8 * time.Minute))
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		v := p.Machine("m01").Vitals
		if v == nil || v.Memory != 182<<20 || v.ChecksPassed != 2 || v.Before == nil || v.Before.Processes != 303 || v.Before.ChecksTotal != 2 {
			t.Fatalf("vitals: %+v", v)
		}
		told := 0
		events, _, err := record.ReadEvents(t.Context(), s.Console.Storage, r.Upgrade.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Machine == "m01" && e.Vitals != nil {
				told++
			}
		}
		if told < 60 || told > 90 { // 30 in the first minute, 42 after it
			t.Errorf("they were told %d times in eight minutes", told)
		}
	})
}

func TestAMailboxThatGrows(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Queues = []agent.Queue{{Module: "Counter.Tally", Length: 12_006}} })
		p, r := s.deploy(baking(10 * time.Second))
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 committed, m01 unhealthy")
		if !strings.HasSuffix(r.Problem.What, "and is not well: machine m01: the mailbox of Counter.Tally grows: 12,006 messages wait") {
			t.Errorf("problem: %v", r.Problem)
		}
	})
}

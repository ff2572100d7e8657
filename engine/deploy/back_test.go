package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// sick runs a deploy whose machines crash while they are watched.
func (s *stage) sick(settings engine.Settings, ids ...string) (*engine.Progress, engine.Result) {
	s.t.Helper()
	return s.sickOn(s.Console, settings, ids...)
}

func (s *stage) sickOn(c *agenttest.Console, settings engine.Settings, ids ...string) (*engine.Progress, engine.Result) {
	s.t.Helper()
	r := s.startOn(c, settings)
	r.until("a machine was watched", func(e engine.Event) bool {
		return e.Phase == engine.PhaseWatch && e.Machine == ids[len(ids)-1]
	})
	for _, id := range ids {
		s.Crash(id, 5)
	}
	return r.end()
}

func onSick(how engine.OnSick, kind engine.StrategyKind) engine.Settings {
	s := baking(10 * time.Second)
	s.Strategy.Kind, s.OnSick = kind, how
	return s
}

// runs checks what machines run, and what they boot after a restart.
func (s *stage) runs(version string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if got := s.State(id).Code.Version; got != version {
			s.t.Errorf("machine %s runs %s, want %s", id, got, version)
		}
		s.Restart(id, agenttest.Boot{})
		if got := s.State(id).Code.Version; got != version {
			s.t.Errorf("machine %s boots %s, want %s", id, got, version)
		}
	}
}

// Back leads to the image's code where there was no upgrade before, and the version is not deployed again without a word.
func TestBackToTheImage(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		if r.Problem.Name != "taken_back" || !strings.HasPrefix(r.Problem.What, "2.0.0 was not well, and was taken back from 2 machines (606 processes kept their states, 604 of them by code_change): 10 crashes of Counter.Tally in ") {
			t.Errorf("problem: %v", r.Problem)
		}
		if u := p.Upgrade.Version; u != "2.0.0" || r.Upgrade.Version != "2.0.0" {
			t.Errorf("it is told as a deploy of %s and %s", u, r.Upgrade.Version)
		}
		if m := p.Machine("m00"); m.State != engine.MachineTakenBack || len(r.Machines[0].Crashes) == 0 || r.Machines[0].Error == "" {
			t.Errorf("%s, %+v", m.State, r.Machines[0])
		}
		s.nothingLeft()
		s.runs("1.0.0", "m00", "m01")
		if fleet, single := s.recorded(); fleet != "" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		_, again := s.deploy(baking(0))
		if again.Outcome != engine.OutcomeBlocked || !strings.Contains(again.Problem.What, "version 2.0.0 was taken back on ") || !strings.Contains(again.Problem.What, "KeyError :step") {
			t.Errorf("the next deploy of it ended %s: %v", again.Outcome, again.Problem)
		}
		accepting := baking(0)
		accepting.Accept = []string{"taken_back"}
		if _, again = s.deploy(accepting); again.Outcome != engine.OutcomeSucceeded {
			t.Errorf("accepted by name it ended %s: %v", again.Outcome, again.Problem)
		}
	})
}

// Back leads to the upgrade before, for the whole fleet or for single machines.
func TestBackToTheUpgradeBefore(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		if _, r := s.deploy(baking(0)); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.SetBuild(agenttest.Image3)
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyCanary), "m00")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m02 aborted, m01 aborted")
		s.runs("2.0.0", "m00", "m01", "m02")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
	})
}

// A machine that has committed, and whose VM could not be asked, is taken back like any other.
func TestBackOfAMachineThatIsNotVerified(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m00", Times: 1}, agenttest.Fail(errors.New("418 I'm a teapot")))
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		s.nothingLeft()
		if fleet, single := s.recorded(); fleet != "" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.runs("1.0.0", "m00", "m01")
	})
}

// A machine whose end was not seen is asked once more before others are taken back, and goes back with them.
func TestBackOfAMachineWhoseEndIsUnknown(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		var silent atomic.Bool
		for _, kind := range []agenttest.Kind{agenttest.Commit, agenttest.Wait, agenttest.Abort} {
			s.On(agenttest.Match{Kind: kind, Machine: "m00"}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
				if kind == agenttest.Commit && len(s.Calls(agenttest.Match{Kind: kind, Machine: "m00"})) == 1 {
					silent.Store(true)
					return agenttest.LoseAnswer(ctx, c, carryOut)
				}
				if silent.Load() {
					return agenttest.LoseRequest(ctx, c, carryOut)
				}
				return carryOut()
			})
		}
		r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
		r.until("the other machine was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch && e.Machine == "m01" })
		if state := r.p.Machine("m00").State; state != engine.MachineUnknown {
			t.Errorf("m00 is %s", state)
		}
		silent.Store(false)
		s.Crash("m01", 5)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		if fleet, single := s.recorded(); fleet != "" || len(single) > 0 {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.nothingLeft()
		s.runs("1.0.0", "m00", "m01")
	})
}

// What ran before is not kept waiting by agents that are slow to end: they end at the same time.
func TestBackEndsTheAgentsAtOnce(t *testing.T) {
	played(t, 10, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Finish}, agenttest.Delay(2*time.Second))
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00")
		if r.Outcome != engine.OutcomeUnhealthy || strings.Count(outcomes(r), "taken_back") != 10 {
			t.Errorf("%s, %s: %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
		}
		calls := s.Calls(agenttest.Match{Kind: agenttest.Finish})
		if took := calls[9].At.Sub(calls[0].At); took > time.Second {
			t.Errorf("the last agent was ended %s after the first", took)
		}
	})
}

// One that cannot be staged or armed keeps no other from going back, and is named.
func TestBackWithoutOneMachine(t *testing.T) {
	full := &agent.Error{Name: "disk_full", What: "the disk is full"}
	for name, breaks := range map[string]func(*agenttest.Behaviour){
		"it cannot be staged": func(b *agenttest.Behaviour) { b.StageError = full },
		"it cannot be armed":  func(b *agenttest.Behaviour) { b.ArmError = full },
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
				r.watched()
				s.Behave("m01", breaks)
				s.Crash("m00", 5)
				p, result := r.end()
				if got := machineOf(result, "m01"); strings.Count(outcomes(result), "taken_back") != 2 || got.Outcome == engine.OutcomeTakenBack || !strings.Contains(result.Problem.What, "1 machine runs it still (on machine m01)") {
					t.Errorf("%s, %s: %v\n%s", result.Outcome, outcomes(result), result.Problem, logOf(p))
				}
				s.nothingLeft()
				s.runs("1.0.0", "m00", "m02")
				s.runs("2.0.0", "m01")
			})
		})
	}
}

// A machine whose processes the older code cannot take over keeps the upgrade, and says so.
func TestBackThatFails(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, After: 2}, agenttest.Before(func() {
			s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		}))
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 unhealthy")
		if !strings.Contains(r.Problem.What, "was taken back from 1 machine (303 processes kept their states, 302 of them by code_change); 1 machine runs it still") || !strings.Contains(r.Problem.Remedy, "cold") {
			t.Errorf("problem: %v", r.Problem)
		}
		if strings.Contains(r.Problem.Remedy, "as before") || !strings.Contains(r.Problem.Remedy, "still runs the upgrade") {
			t.Errorf("what a machine is rolled back to: %s", r.Problem.Remedy)
		}
		if m := r.Machines[1]; !strings.Contains(m.Error, "it could not be taken back") || p.Machine("m01").State != engine.MachineUnhealthy {
			t.Errorf("%s: %s", p.Machine("m01").State, m.Error)
		}
		s.nothingLeft()
		s.runs("1.0.0", "m00")
		s.runs("2.0.0", "m01")
	})
}

func TestASickCanaryIsWhereItGoesOn(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		p, r := s.sick(onSick(engine.OnSickContinue, engine.StrategyCanary), "m00")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 unhealthy, m02 committed, m01 committed")
		if !strings.Contains(r.Problem.What, "2.0.0 runs on 3 of 3 machines, and is not well") || strings.Contains(r.Problem.Remedy, "Nothing more was started") {
			t.Errorf("problem: %v", r.Problem)
		}
		if fleet, _ := s.recorded(); fleet != "2.0.0" {
			t.Errorf("recorded: %q", fleet)
		}
		s.nothingLeft()
	})
}

// Going on is about what is not well, not about a machine that has failed: that ends the deploy as ever.
func TestGoingOnEndsWhereAMachineHasFailed(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.Behave("m02", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		settings := onSick(engine.OnSickContinue, engine.StrategyRolling)
		settings.Strategy.WaveSize = 2
		p, r := s.sick(settings, "m00")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 unhealthy, m02 rolled_back, m01 aborted")
		s.nothingLeft()
	})
}

// Whatever happens while machines are taken back, what is said of them is true.
func TestEveryFaultWhileMachinesAreTakenBack(t *testing.T) {
	kinds := []agenttest.Kind{
		agenttest.Discover, agenttest.Inject, agenttest.Wait, agenttest.Arm, agenttest.Commit, agenttest.LoadedCode, agenttest.Finish,
		agenttest.StartJob, agenttest.PollJob, agenttest.CreateTemporary, agenttest.PresignGet, agenttest.StatTarball, agenttest.ReadMetadata, agenttest.WriteMetadata,
	}
	for sick, becomes := range map[string]func(s *stage){
		"both crash": func(s *stage) { s.Crash("m00", 5); s.Crash("m01", 5) },
		"one has rebooted": func(s *stage) {
			s.Crash("m00", 5)
			s.Restart("m01", agenttest.Boot{Found: time.Second, Answers: 3 * time.Second})
		},
	} {
		for _, kind := range kinds {
			for name := range everyFault {
				if strings.Contains(name, "hangs") || sick != "both crash" && !full {
					continue // their time is bounded as in any deploy; make faults runs the others
				}
				for times, word := range map[int]string{1: "once", 0: "always"} {
					t.Run(sick+", "+string(kind)+": "+name+" "+word, func(t *testing.T) {
						played(t, 2, func(t *testing.T, s *stage) {
							r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
							r.watched()
							becomes(s)
							r.until("it was not well", func(e engine.Event) bool { return e.State == engine.MachineUnhealthy })
							s.On(agenttest.Match{Kind: kind, Times: times}, s.hook(name))
							p, result := r.end()
							s.isTrueOfBack(p, result)
						})
					})
				}
			}
		}
	}
}

func (s *stage) isTrueOfBack(p *engine.Progress, r engine.Result) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Errorf(format+"\nit ended %s (%s): %v\n%s", append(args, r.Outcome, outcomes(r), r.Problem, logOf(p))...)
	}
	fleet, single := s.recorded()
	for _, m := range r.Machines {
		st := s.State(m.ID)
		names := single[m.ID]
		if names == "" {
			names = fleet
		}
		wrong := map[engine.MachineOutcome]bool{
			engine.OutcomeTakenBack:        st.Code.Version != "1.0.0",
			engine.OutcomeMachineUnhealthy: st.Code.Version != "2.0.0",
		}[m.Outcome]
		if wrong || m.Outcome == engine.OutcomeCommitted {
			fail("machine %s is said to have ended %s, and runs %s", m.ID, m.Outcome, st.Code.Version)
		}
		boots := m.Outcome == engine.OutcomeTakenBack || m.Outcome == engine.OutcomeRestarted
		if boots && names == "2.0.0" && (r.Problem == nil || !strings.Contains(r.Problem.What, "current.json")) {
			fail("machine %s is said to have ended %s, and boots %s", m.ID, m.Outcome, names)
		}
	}
	if r.Outcome != engine.OutcomeUnhealthy || r.Problem == nil || r.Problem.Name == "crash" {
		fail("nothing says so")
	}
	s.leavesTruth(r, fail)
}

// What blocks the way back is told to the operator, who may take it all the same; where nobody is asked, it is accepted by name.
func TestABlockedWayBack(t *testing.T) {
	blocks := []agent.Finding{{Name: "config_changed", Severity: "block", Subject: "runtime.exs", Detail: "differs in :counter, :step"}}
	for name, test := range map[string]struct {
		answer   engine.Way
		accept   []string
		machines string
	}{
		"left":               {engine.WayStop, nil, "m00 unhealthy, m01 aborted"},
		"taken all the same": {engine.WayBack, nil, "m00 taken_back, m01 aborted"},
		"accepted by name":   {"", []string{"config_changed"}, "m00 taken_back, m01 aborted"},
		"nobody is asked":    {"", nil, "m00 unhealthy, m01 aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				asks := test.answer != ""
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Yes, settings.Ask, settings.Accept = !asks, asks, test.accept
				r := s.start(settings)
				if asks {
					r.asks(engine.QuestionPlan)
					r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				}
				r.until("a machine was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
				s.Behave("m00", func(b *agenttest.Behaviour) { b.Findings = blocks })
				s.Crash("m00", 4)
				if asks {
					r.asks(engine.QuestionSick)
					r.Answer(engine.Answer{To: engine.QuestionSick, Way: engine.WayBack})
					r.asks(engine.QuestionBack)
					if p := r.p.Fleet[engine.PhaseCommit].Problem; p == nil || !strings.Contains(p.What, "config_changed on machine m00 (runtime.exs: differs in") {
						t.Errorf("the question shows %v", p)
					}
					r.Answer(engine.Answer{To: engine.QuestionBack, Way: test.answer})
				}
				p, result := r.end()
				wants(t, p, result, engine.OutcomeUnhealthy, test.machines)
				if strings.Contains(result.Problem.What, "→") {
					t.Errorf("a remedy stands among what has happened: %s", result.Problem.What)
				}
				s.nothingLeft()
			})
		})
	}
}

// Who cannot go back with its state ends, and starts afresh: that is told before it happens, and an operator is asked.
func TestBackEndsProcesses(t *testing.T) {
	lingering := []agent.Finding{{Name: "lingering", Severity: "block", Subject: "Counter.Heartbeat", Detail: "is still run, in a version from before", Processes: 2}}
	others := []agent.Finding{
		{Name: "goes_down", Severity: "info", Subject: "Counter.Tally", Detail: "its code_change has a clause for {:down, 1}, which takes 302 processes back", Processes: 302},
		{Name: "missing_setting", Severity: "warn", Subject: ":counter", Detail: "the code fetches :step, which is not there"},
		{Name: "rehearsed", Severity: "info", Subject: "Counter.Tally", Detail: "1 of 302"},
	}
	for name, test := range map[string]struct {
		answer   engine.Way
		machines string
	}{
		"by flag":  {"", "m00 taken_back, m01 aborted"},
		"asked":    {engine.WayBack, "m00 taken_back, m01 aborted"},
		"declined": {engine.WayStop, "m00 unhealthy, m01 aborted"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Yes, settings.Ask = test.answer == "", test.answer != ""
				r := s.start(settings)
				if settings.Ask {
					r.asks(engine.QuestionPlan)
					r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				}
				r.until("a machine was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
				s.Behave("m00", func(b *agenttest.Behaviour) { b.Findings = append(slices.Clone(lingering), others...) })
				s.Crash("m00", 4)
				if settings.Ask {
					r.asks(engine.QuestionSick)
					r.Answer(engine.Answer{To: engine.QuestionSick, Way: engine.WayBack})
					r.asks(engine.QuestionBack)
					if p := r.p.Fleet[engine.PhaseCommit].Problem; p == nil || p.Name != "fresh_states" || !strings.Contains(p.What, "Counter.Heartbeat: 1 process starts again with a fresh state") {
						t.Errorf("the question shows %v", p)
					}
					r.Answer(engine.Answer{To: engine.QuestionBack, Way: test.answer})
				}
				p, result := r.end()
				wants(t, p, result, engine.OutcomeUnhealthy, test.machines)
				if told := strings.Index(logOf(p), "taking it back ends processes: Counter.Heartbeat: 1 process starts again"); told < 0 {
					t.Errorf("nobody was told who ends:\n%s", logOf(p))
				}
				for _, want := range []string{"info goes_down on machine m00: Counter.Tally: its code_change has a clause for {:down, 1}", "warn missing_setting on machine m00: :counter"} {
					if told, done := strings.Index(logOf(p), "the plan of the way back: "+want), strings.Index(logOf(p), "taking 1 machine back to"); told < 0 || done >= 0 && done < told {
						t.Errorf("nobody was told of %s in time:\n%s", want, logOf(p))
					}
				}
				s.nothingLeft()
				if test.answer == engine.WayStop {
					return
				}
				if want := (engine.WayOfProcesses{Kept: 303, Migrated: 302, Fresh: 2}); *result.Machines[0].Back != want {
					t.Errorf("the processes went back as %+v, want %+v", *result.Machines[0].Back, want)
				}
				if !strings.Contains(result.Problem.What, "from 1 machine (303 processes kept their states, 302 of them by code_change; 2 processes started afresh)") {
					t.Errorf("the outcome: %s", result.Problem.What)
				}
			})
		})
	}
}

// A machine that rolls back, since a process did not take its state along, is tried again: those of its module start afresh.
func TestBackStartsAfreshWhatFailed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.FailsBack = true })
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		if got := []int{r.Machines[0].Back.Fresh, r.Machines[1].Back.Fresh}; got[0] != 0 || got[1] != 1 {
			t.Errorf("%d processes started afresh", got)
		}
		if log := logOf(p); !strings.Contains(log, "going back with its state has failed (on machine m01)") {
			t.Errorf("nobody was told who ends:\n%s", log)
		}
		s.nothingLeft()
		s.runs("1.0.0", "m00", "m01")
	})
}

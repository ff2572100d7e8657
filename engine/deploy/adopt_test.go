package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// killedWhileItBakes runs a canary deploy whose console dies while it watches the canary, m00.
func (s *stage) killedWhileItBakes(settings engine.Settings) {
	s.t.Helper()
	s.killedWhileItWatches(settings, "m00")
}

func (s *stage) killedWhileItWatches(settings engine.Settings, id string) {
	s.t.Helper()
	laptop := s.NewConsole("laptop")
	killed := s.startOn(laptop, settings)
	killed.until("a machine was watched", func(e engine.Event) bool {
		return e.Phase == engine.PhaseWatch && e.Status == engine.StatusRunning && e.Machine == id
	})
	time.Sleep(3 * time.Second) // its record is written
	s.On(agenttest.Match{Console: "laptop"}, agenttest.LoseRequest)
	killed.Hurry()
	killed.end()
	if a := s.State(id).Agent; a == "" {
		s.t.Fatal("the agent of " + id + " is gone")
	}
}

func resuming(settings engine.Settings) engine.Settings {
	settings.Resume, settings.LockWait, settings.Owner = true, 10*time.Minute, "bob@desk"
	return settings
}

// A console is killed while it watches. The one that resumes its deploy goes on watching: what has crashed meanwhile counts, and a machine that
// was well for as long as was asked for holds nothing up.
func TestADeployIsResumedWhileItsMachinesAreWatched(t *testing.T) {
	for name, test := range map[string]struct {
		crashes  int
		onSick   engine.OnSick
		outcome  engine.Outcome
		machines string
		health   engine.Health
		canary   string // what it runs
	}{
		"well":       {0, engine.OnSickStop, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed", engine.HealthHealthy, "2.0.0"},
		"sick":       {5, engine.OnSickStop, engine.OutcomeUnhealthy, "m00 unhealthy, m02 aborted, m01 aborted", engine.HealthUnhealthy, "2.0.0"},
		"taken back": {5, engine.OnSickBack, engine.OutcomeUnhealthy, "m00 taken_back, m02 aborted, m01 aborted", engine.HealthUnhealthy, "1.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				settings := onSick(test.onSick, engine.StrategyCanary)
				settings.Strategy.Bake = time.Minute
				s.killedWhileItBakes(settings)
				if test.crashes > 0 {
					s.Crash("m00", test.crashes)
				}
				p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
				wants(t, p, r, test.outcome, test.machines)
				if r.Health != test.health || p.Machine("m00").Phases[engine.PhaseWatch].Status == "" {
					t.Errorf("health %s", r.Health)
				}
				if test.crashes > 0 && !strings.Contains(r.Problem.What, "5 crashes of Counter.Tally") {
					t.Errorf("problem: %v", r.Problem)
				}
				s.nothingLeft()
				s.runs(test.canary, "m00")
				if commits := s.Calls(agenttest.Match{Kind: agenttest.Commit, Machine: "m00"}); test.onSick != engine.OnSickBack && len(commits) != 1 {
					t.Errorf("the canary was committed %d times", len(commits))
				}
			})
		})
	}
}

// An agent that would not stay until the end of the watch is ended, as any other that was left behind: nobody says that the machine is well.
func TestAWatchThatCannotBeResumed(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		settings := baking(8 * time.Minute)
		s.killedWhileItBakes(settings)
		time.Sleep(7 * time.Minute)
		settings.Strategy.Bake, settings.StrategyGiven.Bake = 11*time.Minute, true
		p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date")
		watched := p.Machine("m00").Phases[engine.PhaseWatch]
		if r.Health != engine.HealthNotWatched || r.Machines[0].Health != engine.HealthNotWatched || watched.Status != engine.StatusSkipped || !strings.Contains(watched.Text, "not watched again") {
			t.Errorf("health %s, %s; %+v", r.Health, r.Machines[0].Health, watched)
		}
		s.nothingLeft()

		// Who deploys the same again has nothing to watch.
		again := baking(time.Minute)
		again.To = r.Upgrade.ID
		if _, r = s.deploy(again); r.Machines[0].Health != "" {
			t.Errorf("deployed again: %s", r.Machines[0].Health)
		}
	})
}

// A deploy of something else ends the agents that it finds.
func TestAnotherDeployDoesNotGoOnWatching(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		settings := baking(time.Minute)
		s.killedWhileItBakes(settings)
		s.Crash("m00", 5)
		s.SetBuild(agenttest.Image3)
		settings.LockWait = 10 * time.Minute
		p, r := s.startOn(s.NewConsole("desk"), settings).end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		s.runs("3.0.0", "m00")
	})
}

// Whatever meets a deploy that goes on watching, what it says is true.
func TestEveryFaultWhileItGoesOnWatching(t *testing.T) {
	for _, kind := range []agenttest.Kind{agenttest.Discover, agenttest.Inject, agenttest.Wait, agenttest.LoadedCode, agenttest.Finish, agenttest.ListMachines, agenttest.WriteMetadata} {
		for _, name := range []string{"the request is lost", "the answer is lost", "it fails", "the VM restarts"} {
			for times, word := range map[int]string{1: "once", 0: "always"} {
				t.Run(string(kind)+": "+name+" "+word, func(t *testing.T) {
					played(t, 2, func(t *testing.T, s *stage) {
						settings := onSick(engine.OnSickStop, engine.StrategyCanary)
						s.killedWhileItBakes(settings)
						s.On(agenttest.Match{Kind: kind, Times: times, Console: "desk"}, s.hook(name))
						p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
						for _, m := range r.Machines {
							if runs := s.State(m.ID).Code.Version; m.Outcome.Upgraded() != (runs == "2.0.0") && (m.ID != "m00" || m.Outcome.Upgraded()) {
								t.Errorf("machine %s is said to have ended %s, and runs %s\n%s", m.ID, m.Outcome, runs, logOf(p))
							}
							if m.Outcome == engine.OutcomeMachineUnhealthy || m.Health == engine.HealthUnhealthy && name != "the VM restarts" {
								t.Errorf("machine %s is said to be not well: %s", m.ID, m.Error)
							}
						}
						if r.Outcome != engine.OutcomeSucceeded && (r.Problem == nil || r.Problem.Name == "crash") {
							t.Errorf("it ended %s: %v", r.Outcome, r.Problem)
						}
					})
				})
			}
		}
	}
}

// A deploy is resumed in its own order, and watched as long as it was to be, whatever this call's defaults are. What is given anew, counts.
func TestAResumedDeployHasItsOwnStrategy(t *testing.T) {
	for name, test := range map[string]struct {
		given engine.StrategyGiven
		now   engine.Strategy
		shown string
	}{
		"nothing is given": {engine.StrategyGiven{}, engine.Strategy{Kind: engine.StrategyAll, Bake: 10 * time.Second}, "watched for 1m"},
		"another bake":     {engine.StrategyGiven{Bake: true}, engine.Strategy{Kind: engine.StrategyAll, Bake: 20 * time.Second}, "watched for 20s"},
		"another kind":     {engine.StrategyGiven{Kind: true}, engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 1}, "waves of up to 1 machine"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				settings := baking(time.Minute)
				settings.Strategy.Kind = engine.StrategyCanary
				s.killedWhileItBakes(settings)
				again := resuming(settings)
				again.Strategy, again.StrategyGiven = test.now, test.given
				p, r := s.startOn(s.NewConsole("desk"), again).end()
				if r.Outcome != engine.OutcomeSucceeded || !strings.Contains(p.Plan.Strategy, test.shown) {
					t.Errorf("it ended %s, in the order %q: %v", r.Outcome, p.Plan.Strategy, r.Problem)
				}
				past, err := record.Read(t.Context(), s.Storage, r.Upgrade.ID)
				if err != nil || past.Strategy == nil || past.Strategy.Describe(2) != again.Strategy.Resuming(settings.Strategy, test.given).Describe(2) {
					t.Errorf("recorded: %+v, %v", past.Strategy, err)
				}
			})
		})
	}
}

// What the bucket says is not trusted to be possible.
func TestAnImpossibleStrategyIsNotResumed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := baking(-time.Second) // not even the first one watches
		_, first := s.deploy(settings)
		if first.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%s: %v", first.Outcome, first.Problem)
		}
		again := resuming(baking(10 * time.Second))
		p, r := s.deploy(again)
		if r.Outcome != engine.OutcomeSucceeded || !strings.Contains(p.Plan.Strategy, "watched for 10s") {
			t.Errorf("it ended %s, in the order %q: %v", r.Outcome, p.Plan.Strategy, r.Problem)
		}
	})
}

// A deploy is resumed twice, and both consoles die while they watch: the third one goes on watching what the first has begun.
func TestADeployIsResumedTwiceWhileItsMachinesAreWatched(t *testing.T) {
	for crashes, want := range map[int]string{0: "m00 committed, m02 committed, m01 committed", 5: "m00 taken_back, m02 aborted, m01 aborted"} {
		t.Run(want, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Strategy.Bake = 5 * time.Minute
				s.killedWhileItBakes(settings)
				again := resuming(settings)
				again.Owner = "cem@desk"
				killed := s.startOn(s.NewConsole("cem"), again)
				killed.until("it goes on watching", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch && e.Status == engine.StatusRunning })
				time.Sleep(3 * time.Second) // its record is written
				s.On(agenttest.Match{Console: "cem"}, agenttest.LoseRequest)
				killed.Hurry()
				killed.end()
				if crashes > 0 {
					s.Crash("m00", crashes)
				}
				p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
				outcome, health := engine.OutcomeSucceeded, engine.HealthHealthy
				if crashes > 0 {
					outcome, health = engine.OutcomeUnhealthy, engine.HealthUnhealthy
				}
				wants(t, p, r, outcome, want)
				if r.Health != health {
					t.Errorf("health %s, want %s", r.Health, health)
				}
				s.nothingLeft()
				past, err := record.Read(t.Context(), s.Storage, r.Upgrade.ID)
				if err != nil || len(past.Resumes) != 2 {
					t.Errorf("it resumes %v, %v", past.Resumes, err)
				}
			})
		})
	}
}

// The machine had an upgrade of its own. A deploy that is resumed, even twice, leads back to it, and so does its record.
func TestAResumedDeployIsTakenBackToWhatTheMachineRan(t *testing.T) {
	for name, resumed := range map[string]int{"once": 1, "twice": 2} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				own := baking(0)
				own.Select.Machines = []string{"m00"}
				if _, r := s.deploy(own); r.Outcome != engine.OutcomeSucceeded {
					t.Fatal(r.Problem)
				}
				s.SetBuild(agenttest.Image3)
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Strategy.Bake = 5 * time.Minute
				s.killedWhileItBakes(settings)
				if resumed == 2 {
					killed := s.startOn(s.NewConsole("cem"), resuming(settings))
					killed.until("it goes on watching", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch && e.Status == engine.StatusRunning })
					time.Sleep(3 * time.Second) // its record is written
					s.On(agenttest.Match{Console: "cem"}, agenttest.LoseRequest)
					killed.Hurry()
					killed.end()
				}
				s.Crash("m00", 5)
				p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
				wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m02 aborted, m01 aborted")
				if fleet, single := s.recorded(); fleet != "" || single["m00"] != "2.0.0" {
					t.Errorf("recorded: fleet %q, machines %v", fleet, single)
				}
				s.runs("2.0.0", "m00")
				s.runs("1.0.0", "m01", "m02")
				s.nothingLeft()
			})
		})
	}
}

// The agents of a resumed deploy may end in its pause: they were there for the bake time, and the machines were well.
func TestAnAdoptedAgentEndsInThePause(t *testing.T) {
	for name, pause := range map[string]time.Duration{"20 minutes": 20 * time.Minute, "for a key": engine.PauseForKey} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := onSick(engine.OnSickStop, engine.StrategyCanary)
				settings.Strategy.Bake = time.Minute
				s.killedWhileItBakes(settings)
				again := resuming(settings)
				again.Yes, again.Ask = false, true
				again.Strategy.Pause, again.StrategyGiven.Pause = pause, true
				d := s.startOn(s.NewConsole("desk"), again)
				d.asks(engine.QuestionPlan)
				d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
				d.asks(engine.QuestionWatch)
				time.Sleep(15 * time.Minute) // its agent was to stay for ten
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.Commit})); n != 1 {
					t.Errorf("%d machines have committed in the pause", n)
				}
				if pause == engine.PauseForKey {
					d.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
				}
				p, r := d.end()
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
				if r.Health != engine.HealthHealthy {
					t.Errorf("health %s: %v", r.Health, r.Problem)
				}
			})
		})
	}
}

// A pause is kept on a resume also where nothing else is watched for.
func TestAPauseWithoutABakeTimeIsKeptOnAResume(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := onSick(engine.OnSickStop, engine.StrategyCanary)
		settings.Strategy.Bake, settings.Strategy.Pause = 0, 15*time.Minute
		s.killedWhileItBakes(settings)
		p, r := s.startOn(s.NewConsole("desk"), resuming(settings)).end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		commits := s.Calls(agenttest.Match{Kind: agenttest.Commit})
		if apart := commits[len(commits)-1].At.Sub(commits[0].At); apart < 15*time.Minute {
			t.Errorf("the second wave has begun after %s", apart)
		}
	})
}

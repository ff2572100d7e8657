package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// onTrial gives the settings of a deploy on trial for ten minutes.
func onTrial() engine.Settings {
	s := baking(10 * time.Second)
	s.Strategy.Trial = 10 * time.Minute
	return s
}

func ending(how engine.TrialEnd) engine.Settings {
	s := playedSettings()
	s.EndTrial = how
	return s
}

// tried deploys on trial, from a console that is gone afterwards.
func (s *stage) tried() engine.Result {
	s.t.Helper()
	p, r := s.startOn(s.NewConsole("laptop"), onTrial()).end()
	if r.Outcome != engine.OutcomeSucceeded || r.Trial == nil || len(r.Trial.Machines) != len(r.Machines) {
		s.t.Fatalf("%s, on trial %+v: %v\n%s", r.Outcome, r.Trial, r.Problem, logOf(p))
	}
	return r
}

// allRun checks which version each machine's VM has loaded, in their order.
func (s *stage) allRun(want string) {
	s.t.Helper()
	machines, _ := s.Fleet.Machines(s.t.Context())
	var all []string
	for _, m := range machines {
		all = append(all, s.State(m.ID).Code.Version)
	}
	if got := strings.Join(all, " "); got != want {
		s.t.Errorf("they run %s, want %s", got, want)
	}
}

func machineOf(r engine.Result, id string) engine.MachineResult {
	for _, m := range r.Machines {
		if m.ID == id {
			return m
		}
	}
	return engine.MachineResult{}
}

func (s *stage) trial() *engine.Trial {
	md := s.Current()
	if md == nil {
		return nil
	}
	return md.Trial()
}

func TestATrialIsNotWhatMachinesBoot(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		r := s.tried()
		s.allRun("2.0.0 2.0.0 2.0.0")
		if fleet, single := s.recorded(); fleet != "" || len(single) != 0 {
			t.Errorf("recorded: %q, %v", fleet, single)
		}
		trial := s.trial()
		if trial == nil || trial.ID != r.Upgrade.ID || len(trial.Machines) != 3 {
			t.Fatalf("current.json has %+v", trial)
		}
		if left := time.Until(trial.Until()); left > 10*time.Minute || left < 9*time.Minute {
			t.Errorf("the first is taken back in %s", left)
		}
		if apart := trial.End().Sub(trial.Until()); apart < 59*time.Second || apart > 62*time.Second {
			t.Errorf("the last is taken back %s after the first", apart)
		}
		if _, err := s.Storage.Current(t.Context()); err == nil {
			t.Error("a trial holds the lock")
		}
		s.Restart("m01", agenttest.Boot{})
		s.Add(engine.Machine{ID: "m03"})
		s.allRun("2.0.0 1.0.0 2.0.0 1.0.0")
	})
}

// Nobody is there any more: the VMs themselves end it, one after the other.
func TestATrialThatNobodyConfirmsIsTakenBack(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.tried()
		time.Sleep(9*time.Minute + 30*time.Second)
		s.allRun("2.0.0 2.0.0")
		time.Sleep(40 * time.Second)
		s.allRun("1.0.0 2.0.0")
		time.Sleep(30 * time.Second)
		s.allRun("1.0.0 1.0.0")
		_, r := s.deploy(ending(engine.TrialConfirmed))
		if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "trial_over" || s.trial() != nil {
			t.Errorf("%s: %v; %+v", r.Outcome, r.Problem, s.trial())
		}
		s.allRun("1.0.0 1.0.0")
		s.nothingLeft()
		if _, r := s.deploy(ending(engine.TrialConfirmed)); r.Problem == nil || r.Problem.Name != "nothing_on_trial" {
			t.Errorf("again: %v", r.Problem)
		}
	})
}

func TestATrialIsConfirmedFromAnotherConsole(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		first := s.tried()
		p, r := s.startOn(s.NewConsole("desk"), ending(engine.TrialConfirmed)).end()
		if r.Outcome != engine.OutcomeSucceeded || slices.ContainsFunc(r.Machines, func(m engine.MachineResult) bool { return m.Outcome != engine.OutcomeUpToDate }) {
			t.Errorf("%s: %v %+v\n%s", r.Outcome, r.Problem, r.Machines, logOf(p))
		}
		if r.TrialEnd != engine.TrialConfirmed || r.Trial != nil || s.trial() != nil {
			t.Errorf("%s, on trial %+v, %+v", r.TrialEnd, r.Trial, s.trial())
		}
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) != 0 || s.Current().HotUpgrade.ID != first.Upgrade.ID {
			t.Errorf("recorded: %q, %v, of deploy %s", fleet, single, s.Current().HotUpgrade.ID)
		}
		s.nothingLeft()
		time.Sleep(time.Hour)
		s.allRun("2.0.0 2.0.0 2.0.0")
		s.Restart("m01", agenttest.Boot{})
		s.allRun("2.0.0 2.0.0 2.0.0")
		past, err := record.History(t.Context(), s.Storage, 0)
		if err != nil || len(past) != 2 || past[0].TrialEnd != engine.TrialConfirmed || past[0].Tried != first.Upgrade.ID || past[1].Trial != nil {
			t.Errorf("history: %+v, %v", past, err)
		}
		// What has missed it is upgraded for good.
		s.Add(engine.Machine{ID: "m03"})
		s.Load("m03", agenttest.ReleaseOf(agenttest.Image1))
		p, r = s.deploy(resuming(playedSettings()))
		if r.Outcome != engine.OutcomeSucceeded || r.Trial != nil {
			t.Errorf("resumed: %s, on trial %+v: %v\n%s", r.Outcome, r.Trial, r.Problem, logOf(p))
		}
	})
}

// A machine that has restarted meanwhile is not confirmed, since it does not run the upgrade.
func TestATrialIsConfirmedWhereItRuns(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.tried()
		s.Restart("m01", agenttest.Boot{})
		p, r := s.deploy(ending(engine.TrialConfirmed))
		if r.Outcome != engine.OutcomePartial || machineOf(r, "m00").Outcome != engine.OutcomeUpToDate || !strings.Contains(machineOf(r, "m01").Error, "restarted") {
			t.Errorf("%s: %+v\n%s", r.Outcome, r.Machines, logOf(p))
		}
		if fleet, single := s.recorded(); fleet != "" || len(single) != 1 || single["m00"] != "2.0.0" || s.trial() != nil {
			t.Errorf("recorded: %q, %v; on trial %+v", fleet, single, s.trial())
		}
		time.Sleep(time.Hour)
		s.allRun("2.0.0 1.0.0")
	})
}

// A machine that is suspended cannot be told: it stays on trial, and is named.
func TestATrialOfASuspendedMachine(t *testing.T) {
	for _, how := range []engine.TrialEnd{engine.TrialConfirmed, engine.TrialTakenBack} {
		t.Run(string(how), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.tried()
				s.Suspend("m01")
				p, r := s.deploy(ending(how))
				if r.Outcome == engine.OutcomeSucceeded || !strings.Contains(r.Problem.What, "m01 is suspended") {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				if trial := s.trial(); trial == nil || len(trial.Machines) != 1 {
					t.Fatalf("on trial: %+v", trial)
				}
				s.Resume("m01")
				if p, r = s.deploy(ending(how)); r.Outcome != engine.OutcomeSucceeded || s.trial() != nil {
					t.Errorf("%s: %v; on trial %+v\n%s", r.Outcome, r.Problem, s.trial(), logOf(p))
				}
				s.allRun(map[engine.TrialEnd]string{engine.TrialConfirmed: "2.0.0 2.0.0", engine.TrialTakenBack: "1.0.0 1.0.0"}[how])
			})
		})
	}
}

// What was recorded before is what machines boot meanwhile, and what they get back.
func TestATrialIsTakenBackToWhatRanBefore(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.SetBuild(agenttest.Image3)
		s.tried()
		s.allRun("3.0.0 3.0.0")
		s.Restart("m01", agenttest.Boot{})
		s.allRun("3.0.0 2.0.0")
		tried := s.trial().ID
		p, r := s.startOn(s.NewConsole("desk"), ending(engine.TrialTakenBack)).end()
		if r.Outcome != engine.OutcomePartial || machineOf(r, "m00").Outcome != engine.OutcomeTakenBack {
			t.Errorf("%s: %+v %v\n%s", r.Outcome, r.Machines, r.Problem, logOf(p))
		}
		s.allRun("2.0.0 2.0.0")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) != 0 || s.trial() != nil {
			t.Errorf("recorded: %q, %v; on trial %+v", fleet, single, s.trial())
		}
		md := s.Current()
		if back := md.TakenBack(); len(back) != 1 || back[0].ID != tried || back[0].Version != "3.0.0" {
			t.Errorf("taken back: %+v", back)
		}
		boots := []string{s.State("m00").Boot, s.State("m01").Boot}
		time.Sleep(time.Hour)
		if s.State("m00").Boot != boots[0] || s.State("m01").Boot != boots[1] {
			t.Error("it was taken back, and its VM has stopped nevertheless")
		}
		s.nothingLeft()
	})
}

func TestATrialIsTakenBackToTheImage(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.tried()
		p, r := s.deploy(ending(engine.TrialTakenBack))
		if r.Outcome != engine.OutcomeSucceeded || r.Machines[0].Outcome != engine.OutcomeTakenBack || r.Machines[1].Outcome != engine.OutcomeTakenBack {
			t.Errorf("%s: %v %+v\n%s", r.Outcome, r.Problem, r.Machines, logOf(p))
		}
		s.allRun("1.0.0 1.0.0")
		if s.Current().NamesUpgrades() || s.trial() != nil {
			t.Errorf("current.json: %+v", s.Current())
		}
		s.nothingLeft()
	})
}

// While something is on trial, nothing else is deployed to its machines: nobody has said what becomes of it.
func TestNothingElseIsDeployedMeanwhile(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.tried()
		s.SetBuild(agenttest.Image3)
		_, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeBlocked || r.Problem.Name != "on_trial" {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.CreateTemporary})); n != 1 {
			t.Errorf("%d temporary machines were made", n)
		}
		time.Sleep(time.Hour)
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded || s.trial() != nil {
			t.Errorf("after its end: %s: %v; on trial %+v", r.Outcome, r.Problem, s.trial())
		}
	})
}

// Nor does a second trial begin on other machines: the first would be forgotten.
func TestNoSecondTrialBeginsMeanwhile(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		first := onTrial()
		first.Select = engine.Selection{Machines: []string{"m00"}}
		if _, r := s.deploy(first); r.Outcome != engine.OutcomeSucceeded || r.Trial == nil {
			t.Fatalf("%s: %v", r.Outcome, r.Problem)
		}
		s.SetBuild(agenttest.Image3)
		second := onTrial()
		second.Select = engine.Selection{Machines: []string{"m01"}}
		if _, r := s.deploy(second); r.Outcome != engine.OutcomeBlocked || r.Problem.Name != "on_trial" {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
		if trial := s.trial(); trial == nil || trial.Version != "2.0.0" {
			t.Errorf("on trial: %+v", trial)
		}
		second.Strategy.Trial = 0
		if _, r := s.deploy(second); r.Outcome != engine.OutcomeSucceeded || s.trial() == nil {
			t.Errorf("for good: %s: %v; on trial %+v", r.Outcome, r.Problem, s.trial())
		}
	})
}

func TestWhatIsNotWellIsNotConfirmed(t *testing.T) {
	for name, test := range map[string]struct {
		make func(s *stage)
		says string
	}{
		"crashes": {func(s *stage) { s.Crash("m01", 20) }, "20 crashes of Counter.Tally"},
		"a supervisor near its limit": {func(s *stage) {
			s.Behave("m01", func(b *agenttest.Behaviour) {
				b.Supervisors = []agent.Supervisor{{Supervisor: "Counter.Supervisor", Child: "Counter.Tally", Restarts: 2, Limit: 3, Seconds: 5}}
			})
		}, "machine m01: the supervisor Counter.Supervisor is near its restart limit"},
		"a mailbox that grows": {func(s *stage) {
			s.Behave("m01", func(b *agenttest.Behaviour) { b.Queues = []agent.Queue{{Module: "Counter.Tally", Length: 12_006}} })
		}, "machine m01: the mailbox of Counter.Tally grows"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.tried()
				test.make(s)
				time.Sleep(time.Second)
				_, r := s.deploy(ending(engine.TrialConfirmed))
				if r.Outcome != engine.OutcomeBlocked || r.Problem.Name != "unhealthy" || !strings.Contains(r.Problem.What, test.says) || s.trial() == nil || s.Current().NamesUpgrades() {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				accepted := ending(engine.TrialConfirmed)
				accepted.Accept = []string{"unhealthy"}
				if _, r = s.deploy(accepted); r.Outcome != engine.OutcomeSucceeded {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				if fleet, _ := s.recorded(); fleet != "2.0.0" {
					t.Errorf("recorded: %q", fleet)
				}
			})
		})
	}
}

// A console that dies while it watches leaves VMs that end the trial; another one goes on, and the trial with it.
func TestATrialOfAKilledConsole(t *testing.T) {
	for _, way := range []string{"nobody comes", "it is resumed", "it is confirmed"} {
		t.Run(way, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.killedWhileItBakes(onTrial())
				s.allRun("2.0.0 2.0.0")
				switch way {
				case "nobody comes":
					time.Sleep(12 * time.Minute)
					s.allRun("1.0.0 1.0.0")
					return
				case "it is resumed":
					again := resuming(baking(10 * time.Second))
					again.LockWait = 5 * time.Minute
					p, r := s.startOn(s.NewConsole("desk"), again).end()
					if r.Outcome != engine.OutcomeSucceeded || r.Trial == nil || len(r.Trial.Machines) != 2 || s.Current().NamesUpgrades() {
						t.Errorf("%s, on trial %+v: %v\n%s", r.Outcome, r.Trial, r.Problem, logOf(p))
					}
				}
				end := ending(engine.TrialConfirmed)
				end.LockWait = 5 * time.Minute
				p, r := s.startOn(s.NewConsole("desk"), end).end()
				if r.Outcome != engine.OutcomeSucceeded {
					t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				time.Sleep(time.Hour)
				s.allRun("2.0.0 2.0.0")
			})
		})
	}
}

// A VM that could not be told that its trial is confirmed stops, and boots what was confirmed.
func TestAVMThatIsNotToldBootsWhatIsConfirmed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		first := s.tried()
		s.On(agenttest.Match{Kind: agenttest.AskTrial, Machine: "m01", Arg: first.Upgrade.ID}, agenttest.LoseRequest)
		p, r := s.deploy(ending(engine.TrialConfirmed))
		if r.Problem == nil || !strings.Contains(r.Problem.What, "boots what is recorded") {
			t.Errorf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		boot := s.State("m01").Boot
		time.Sleep(time.Hour)
		s.allRun("2.0.0 2.0.0")
		if s.State("m01").Boot == boot {
			t.Error("it was not told, and has not stopped")
		}
	})
}

func TestATrialThatIsSickIsTakenBackAtOnce(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := onTrial()
		settings.OnSick = engine.OnSickBack
		d := s.start(settings)
		d.until("it was watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch && e.Machine == "m00" })
		time.Sleep(time.Second)
		s.Crash("m00", 50)
		p, r := d.end()
		if r.Outcome != engine.OutcomeUnhealthy || r.Machines[0].Outcome != engine.OutcomeTakenBack || r.Machines[1].Outcome != engine.OutcomeTakenBack {
			t.Errorf("%s: %v %+v\n%s", r.Outcome, r.Problem, r.Machines, logOf(p))
		}
		s.allRun("1.0.0 1.0.0")
		if r.Trial != nil || s.trial() != nil {
			t.Errorf("on trial %+v, %+v", r.Trial, s.trial())
		}
		boot := s.State("m00").Boot
		time.Sleep(time.Hour)
		if s.State("m00").Boot != boot {
			t.Error("it was taken back, and its VM has stopped nevertheless")
		}
	})
}

func TestATrialThatIsTooShortForItsWaves(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		settings := baking(time.Minute)
		settings.Strategy.Kind, settings.Strategy.WaveSize, settings.Strategy.Trial = engine.StrategyRolling, 1, 2*time.Minute
		_, r := s.deploy(migrating(settings))
		if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "trial_too_short" {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
		s.ranBefore(0)
		s.allRun("1.0.0 1.0.0 1.0.0")
		s.nothingLeft()
	})
}

func TestThePlanOfATrial(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Change("m01", func(m *engine.Machine) { m.KeepsDisk = true })
		p, r := s.deploy(onTrial())
		if r.Outcome != engine.OutcomeBlocked || !strings.Contains(p.Plan.String(), "refuse trial_keeps_disk on m01") {
			t.Errorf("%s\n%s", r.Outcome, p.Plan)
		}
		for _, part := range []string{"on trial for 10m", "a machine that restarts meanwhile runs its image", "30s apart"} {
			if !strings.Contains(p.Plan.String(), part) {
				t.Errorf("the plan does not say %q:\n%s", part, p.Plan)
			}
		}
	})
}

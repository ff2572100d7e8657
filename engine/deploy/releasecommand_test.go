package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

func migrating(s engine.Settings) engine.Settings {
	s.ReleaseCommand, s.RunReleaseCommand = "bin/migrate", true
	return s
}

// ranBefore expects that a command ran in a temporary machine, and nothing was armed before it had ended.
func (s *stage) ranBefore(want int) {
	s.t.Helper()
	runs := s.Calls(agenttest.Match{Kind: agenttest.RunCommand})
	if len(runs) != want {
		s.t.Fatalf("%d commands were started, want %d", len(runs), want)
	}
	for _, run := range runs {
		if !strings.HasPrefix(run.Machine, "temp") || run.Arg != "bin/migrate" {
			s.t.Errorf("machine %s ran %s", run.Machine, run.Arg)
		}
	}
	followed := s.Calls(agenttest.Match{Kind: agenttest.FollowCommand})
	if armed := s.Calls(agenttest.Match{Kind: agenttest.Arm}); len(armed) > 0 && len(followed) > 0 && armed[0].At.Before(followed[len(followed)-1].At) {
		s.t.Error("a machine was armed before the command had ended")
	}
	if left := s.Temporaries(); len(left) > 0 {
		s.t.Errorf("temporary machines are left: %v", left)
	}
}

func TestTheReleaseCommandRunsBeforeTheCommit(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.SetCommand(agenttest.Command{Prints: "== Running 2_orders\n== Migrated 2_orders\n", Takes: 40 * time.Second})
		d := s.start(migrating(asking()))
		d.asks(engine.QuestionPlan)
		s.ranBefore(0)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, r := d.end()
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		s.ranBefore(1)
		for _, line := range []string{"== Running 2_orders", "== Migrated 2_orders"} {
			if strings.Count(logOf(p), line) != 1 {
				t.Errorf("the log lacks %q:\n%s", line, logOf(p))
			}
		}
		if md := s.Current(); md.HotUpgrade == nil || md.HotUpgrade.ReleaseCommand != "bin/migrate" {
			t.Errorf("the record is %+v", md.HotUpgrade)
		}
		s.nothingLeft()
		// Every machine runs it: nothing is left to migrate for.
		again := migrating(playedSettings())
		again.Resume = true
		if _, r := s.deploy(again); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("again: %s: %v", r.Outcome, r.Problem)
		}
		s.ranBefore(1)
	})
}

func TestAReleaseCommandThatFailsStopsBeforeAnythingIsSuspended(t *testing.T) {
	for name, command := range map[string]agenttest.Command{
		"by its exit code": {Prints: "** (Postgrex.Error) no table\n", Code: 1, Takes: 3 * time.Second},
		"from outside":     {Prints: "** (Postgrex.Error) no table\n", Dies: true, Takes: 3 * time.Second},
		"by its time":      {Prints: "** (Postgrex.Error) no table\n", Takes: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.SetCommand(command)
				p, r := s.deploy(migrating(playedSettings()))
				if r.Outcome != engine.OutcomeFailed || r.Problem == nil || r.Problem.Remedy == "" {
					t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				s.ranBefore(1)
				if armed := s.Calls(agenttest.Match{Kind: agenttest.Arm}); len(armed) > 0 {
					t.Errorf("machines were armed: %v", armed)
				}
				if p.Fleet[engine.PhaseCommit].Status != engine.StatusFailed {
					t.Errorf("the commit is shown as %s", p.Fleet[engine.PhaseCommit].Status)
				}
				if command.Takes < time.Minute && !strings.Contains(logOf(p), "no table") {
					t.Errorf("its output is not in the log:\n%s", logOf(p))
				}
				s.nothingLeft()
			})
		})
	}
}

// What it has done stays where the upgrade does not: whoever reads that machines were rolled back, or taken back, reads that too. The deploy that
// is resumed runs it again, and a restart never does.
func TestAReleaseCommandWhoseUpgradeDoesNotStay(t *testing.T) {
	for name, test := range map[string]struct {
		sick     bool
		machines string
	}{
		"rolled back": {false, "m00 rolled_back, m01 rolled_back"}, "taken back": {true, "m00 taken_back, m01 taken_back"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				const says = "The release_command has succeeded before: what it has done stays, beside the earlier code."
				settings := migrating(onSick(engine.OnSickBack, engine.StrategyAll))
				var p *engine.Progress
				var r engine.Result
				if test.sick {
					p, r = s.sick(settings, "m00", "m01")
				} else {
					s.Behave("", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
					p, r = s.deploy(settings)
				}
				if got := outcomes(r); got != test.machines || r.Problem == nil || !strings.Contains(r.Problem.Remedy, says) {
					t.Fatalf("%s: %v\n%s", got, r.Problem, logOf(p))
				}
				s.ranBefore(1)
				s.Restart("m00", agenttest.Boot{})
				s.runs("1.0.0", "m00", "m01")
				s.ranBefore(1)
				s.Behave("", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
				again := resuming(migrating(playedSettings()))
				again.Accept = []string{"taken_back"}
				p, r = s.deploy(again)
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
				s.Restart("m00", agenttest.Boot{})
				s.runs("2.0.0", "m00", "m01")
				if runs := s.Calls(agenttest.Match{Kind: agenttest.RunCommand}); len(runs) != 2 {
					t.Errorf("it ran %d times, once for each deploy", len(runs))
				}
				s.nothingLeft()
			})
		})
	}
}

// Whoever refuses the commit by a command of their own refuses the migrations with it.
func TestTheCommandBeforeACommitRunsBeforeTheReleaseCommand(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.hooks = &hooks{run: failsAt(engine.MomentBeforeCommit)}
		p, r := s.deploy(migrating(playedSettings()))
		if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "hook_failed" {
			t.Errorf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		s.ranBefore(0)
		s.nothingLeft()
	})
}

// A machine that restarts while the release_command runs is staged again before the first wave.
func TestAMachineThatRestartsDuringTheReleaseCommandIsStagedAgain(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.SetCommand(agenttest.Command{Takes: 10 * time.Second})
		s.On(agenttest.Match{Kind: agenttest.RunCommand, Times: 1}, agenttest.After(func() { s.Restart("m01", agenttest.Boot{}) }))
		p, r := s.deploy(migrating(playedSettings()))
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		armed := s.Calls(agenttest.Match{Kind: agenttest.Arm})
		if staged := s.Calls(agenttest.Match{Kind: agenttest.Inject, Machine: "m01"}); len(staged) != 2 || !staged[1].At.Before(armed[0].At) {
			t.Errorf("m01 was staged at %v, the first machine armed at %s", staged, armed[0].At)
		}
		s.nothingLeft()
	})
}

// While it runs somebody may take the lock away, or stop the deploy: its machine is destroyed, and the command with it.
func TestAReleaseCommandThatIsStopped(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.SetCommand(agenttest.Command{Takes: 10 * time.Minute})
		d := s.start(migrating(playedSettings()))
		d.until("the command runs", func(e engine.Event) bool { return strings.HasPrefix(e.Text, "running the release_command") })
		d.Stop()
		_, r := d.end()
		if r.Outcome != engine.OutcomeCancelled || slices.ContainsFunc(r.Machines, func(m engine.MachineResult) bool { return m.Outcome.Upgraded() }) {
			t.Errorf("outcome %s: %v", r.Outcome, r.Problem)
		}
		s.nothingLeft()
	})
}

func TestAReleaseCommandUnderALostLockDoesNotStart(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.hooks = s.overtaken()
		p, r := s.deploy(migrating(playedSettings()))
		if r.Problem == nil || r.Problem.Name != "lock_lost" {
			t.Errorf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		s.ranBefore(0)
	})
}

func TestAReleaseCommandThatIsNotAskedForDoesNotRun(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.ReleaseCommand = "bin/migrate"
		if _, r := s.deploy(settings); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome %s: %v", r.Outcome, r.Problem)
		}
		settings.RunReleaseCommand, settings.DryRun = true, true
		if _, r := s.deploy(settings); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("outcome of the plan %s: %v", r.Outcome, r.Problem)
		}
		s.ranBefore(0)
	})
}

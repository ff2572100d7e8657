package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// What the first run of a resumed deploy has upgraded goes back with the rest, also where its agent has gone meanwhile: such a machine is found
// up to date.
func TestBackOfWhatAnEarlierRunHasUpgraded(t *testing.T) {
	for name, test := range map[string]struct {
		before  func(s *stage)
		gone    func(s *stage) // what has become of m00's agent
		earlier string         // version that it ran
	}{
		"its time was over":               {nil, func(*stage) { time.Sleep(11 * time.Minute) }, "1.0.0"},
		"its machine has restarted":       {nil, func(s *stage) { s.Restart("m00", agenttest.Boot{}) }, "1.0.0"},
		"the release lacks the package":   {func(s *stage) { s.SetHook("m00", agent.HookAbsent) }, func(*stage) { time.Sleep(11 * time.Minute) }, "1.0.0"},
		"there was an upgrade before":     {func(s *stage) { s.deploys(1) }, func(*stage) { time.Sleep(11 * time.Minute) }, "2.0.0"},
		"there was one, and it restarted": {func(s *stage) { s.deploys(1) }, func(s *stage) { s.Restart("m00", agenttest.Boot{}) }, "2.0.0"},
		"there was one, for it alone":     {func(s *stage) { s.deployTo("m00") }, func(*stage) { time.Sleep(11 * time.Minute) }, "2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				if test.before != nil {
					test.before(s)
				}
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Accept = []string{"no_startup_hook"}
				s.killedWhileItBakes(settings)
				test.gone(s)
				p, r := s.sickOn(s.NewConsole("desk"), resuming(settings), "m02")
				wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m02 taken_back, m01 aborted")
				if m := machineOf(r, "m00"); m.Runs != test.earlier || s.State("m00").Code.Version != test.earlier {
					t.Errorf("m00 is said to run %s, and runs %s, want %s", m.Runs, s.State("m00").Code.Version, test.earlier)
				}
				if !strings.Contains(r.Problem.What, "was taken back from 2 machines") {
					t.Errorf("problem: %v", r.Problem)
				}
				s.runs(test.earlier, "m00")
				s.nothingLeft()
			})
		})
	}
}

// deployTo deploys to some machines. A build makes the next version then.
func (s *stage) deployTo(ids ...string) engine.Result {
	s.t.Helper()
	own := baking(0)
	own.Select.Machines, own.Accept = ids, []string{"no_startup_hook"}
	_, r := s.deploy(own)
	if r.Outcome != engine.OutcomeSucceeded {
		s.t.Fatal(r.Problem)
	}
	s.SetBuild(agenttest.Image3)
	return r
}

// What a machine ran before the first run, it keeps.
func TestBackLeavesWhatRanBeforeTheDeploy(t *testing.T) {
	for name, hook := range map[string]agent.HookState{"with the package": agent.HookCalled, "without it": agent.HookAbsent} {
		t.Run(name, func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				s.SetHook("m00", hook)
				s.Restart("m00", agenttest.Boot{})
				settings := onSick(engine.OnSickBack, engine.StrategyCanary)
				settings.Accept = []string{"no_startup_hook"}
				first := s.deployTo("m00")
				rest := settings
				rest.To = first.Upgrade.ID
				s.killedWhileItWatches(rest, "m02")
				time.Sleep(11 * time.Minute)
				p, r := s.sickOn(s.NewConsole("desk"), resuming(settings), "m01")
				wants(t, p, r, engine.OutcomeUnhealthy, "m00 up_to_date, m02 taken_back, m01 taken_back")
				if _, single := s.recorded(); single["m00"] != "2.0.0" || len(single) != 1 {
					t.Errorf("recorded: %v", single)
				}
				s.nothingLeft()
			})
		})
	}
}

// Where records must be signed, what a machine ran before is what its VM told before its first commit: it stays, and is named.
func TestNoWayBackWhereNobodyCanTellWhatRanBefore(t *testing.T) {
	signedOn(t, 3, func(t *testing.T, s *stage) {
		s.deploys(1)
		settings := onSick(engine.OnSickBack, engine.StrategyCanary)
		s.killedWhileItBakes(settings)
		time.Sleep(11 * time.Minute)
		p, r := s.sickOn(s.NewConsole("desk"), resuming(settings), "m02")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 up_to_date, m02 taken_back, m01 aborted")
		const why = "its VM does not tell any more what it ran before"
		if m := machineOf(r, "m00"); !strings.Contains(m.Error, why) || m.Runs != "3.0.0" || s.State("m00").Code.Version != "3.0.0" {
			t.Errorf("m00 is said to run %s, and runs %s: %s", m.Runs, s.State("m00").Code.Version, m.Error)
		}
		if !strings.Contains(r.Problem.What, "1 machine runs it still (on machine m00)") {
			t.Errorf("problem: %v", r.Problem)
		}
		s.runs("3.0.0", "m00")
		s.runs("2.0.0", "m01", "m02")
		s.nothingLeft()
	})
}

// Machines that go back to their image's code boot it, also where the whole fleet was recorded to run the upgrade. Others boot what they run.
func TestBackToTheImageOfAFleetThatIsRecordedAsAWhole(t *testing.T) {
	for name, selected := range map[string][]string{"all": nil, "one": {"m02"}} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := onSick(engine.OnSickContinue, engine.StrategyAll)
				if _, r := s.sick(settings, "m00"); r.Outcome != engine.OutcomeUnhealthy {
					t.Fatal(r.Problem)
				}
				if fleet, _ := s.recorded(); fleet != "2.0.0" {
					t.Fatalf("recorded for the fleet: %q", fleet)
				}
				s.Add(engine.Machine{ID: "m02"})
				s.Load("m02", agenttest.ReleaseOf(agenttest.Image1)) // its hook has failed
				settings = resuming(settings)
				settings.OnSick, settings.Select.Machines = engine.OnSickBack, selected
				p, r := s.sickOn(s.NewConsole("desk"), settings, "m02")
				if selected != nil {
					wants(t, p, r, engine.OutcomeUnhealthy, "m02 taken_back")
					s.runs("2.0.0", "m00", "m01")
				} else {
					wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m02 taken_back, m01 taken_back")
					s.runs("1.0.0", "m00", "m01")
				}
				s.runs("1.0.0", "m02")
				s.nothingLeft()
			})
		})
	}
}

package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// pausing gives a canary that is watched for a minute, and for ten more before the others follow.
func pausing() engine.Settings {
	s := baking(time.Minute)
	s.Strategy.Kind, s.Strategy.Pause = engine.StrategyCanary, 10*time.Minute
	return s
}

// A machine that Fly suspends while nobody asks for it is well if it was for as long as it must be; nobody knows it if it slept before.
// It has not ended, and the deploy says what it will run.
func TestAMachineThatIsSuspendedWhileItIsWatched(t *testing.T) {
	for name, test := range map[string]struct {
		after   time.Duration
		wakes   time.Duration // after it has slept for that long; 0: not in this deploy
		outcome engine.Outcome
		ends    string
		health  engine.Health
	}{
		"in the pause":                   {2 * time.Minute, 0, engine.OutcomeSucceeded, "m00 committed, m01 committed", engine.HealthHealthy},
		"at once":                        {5 * time.Second, 0, engine.OutcomePartial, "m00 committed, m01 aborted", engine.HealthUnknown},
		"at once, and wakes":             {5 * time.Second, 3 * time.Minute, engine.OutcomeSucceeded, "m00 committed, m01 committed", engine.HealthHealthy},
		"at once, and wakes at the last": {5 * time.Second, 10*time.Minute + 45*time.Second, engine.OutcomePartial, "m00 committed, m01 aborted", engine.HealthUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				d := s.start(pausing())
				d.until("the canary was watched", func(e engine.Event) bool { return e.Machine == "m00" && e.Phase == engine.PhaseWatch })
				time.Sleep(test.after)
				s.Suspend("m00")
				if test.wakes > 0 {
					time.Sleep(test.wakes)
					s.Resume("m00")
				}
				p, r := d.end()
				wants(t, p, r, test.outcome, test.ends)
				if r.Health != test.health {
					t.Errorf("health %s: %v", r.Health, r.Problem)
				}
				if test.outcome == engine.OutcomePartial && (r.Problem.Name != "health_unknown" || !strings.Contains(r.Problem.What, "m00 was suspended, and watched for ")) {
					t.Errorf("problem: %v", r.Problem)
				}
				if says := logOf(p) + p.Machine("m00").Phases[engine.PhaseWatch].Text; test.wakes == 0 && !strings.Contains(says, "it goes on with the upgrade when it wakes") {
					t.Errorf("nobody says that it sleeps: %s", says)
				}
				fleet, single := s.recorded()
				if fleet != "2.0.0" && single["m00"] != "2.0.0" {
					t.Errorf("recorded: %q, %v", fleet, single)
				}
				if test.wakes == 0 {
					s.Resume("m00")
				}
				s.runs("2.0.0", "m00")
			})
		})
	}
}

// What crashes once it has woken counts.
func TestAMachineThatWakesIsWatchedFurther(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		d := s.start(pausing())
		d.until("the canary was watched", func(e engine.Event) bool { return e.Machine == "m00" && e.Phase == engine.PhaseWatch })
		s.Suspend("m00")
		time.Sleep(3 * time.Minute)
		s.Resume("m00")
		time.Sleep(time.Minute)
		s.Crash("m00", 5)
		p, r := d.end()
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 unhealthy, m01 aborted")
	})
}

// An operator who does not want to wait goes on, whatever is known of a machine that sleeps.
func TestASleepingCanaryIsPromoted(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := pausing()
		settings.Yes, settings.Ask = false, true
		d := s.start(settings)
		d.asks(engine.QuestionPlan)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		d.asks(engine.QuestionWatch)
		s.Suspend("m00")
		time.Sleep(10 * time.Second)
		d.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
		p, r := d.end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if r.Health != engine.HealthUnknown {
			t.Errorf("health %s", r.Health)
		}
	})
}

// A deploy of all machines has ended well on one that sleeps: the fleet's record names the upgrade.
func TestTheLastWaveSleeps(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		d := s.start(baking(time.Minute))
		d.watched()
		s.Suspend("m01")
		p, r := d.end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if fleet, single := s.recorded(); fleet != "2.0.0" || len(single) > 0 {
			t.Errorf("recorded: %q, %v", fleet, single)
		}
		if said := p.Fleet[engine.PhaseVerify].Text; !strings.Contains(said, "2 machines run 2.0.0; one of them is suspended") {
			t.Errorf("it says %q", said)
		}
		if r.Health != engine.HealthUnknown {
			t.Errorf("health %s", r.Health)
		}
	})
}

// One that falls asleep in its window, or before its VM was asked, is not known to run the upgrade, and is not said to have stopped.
func TestAMachineThatIsSuspendedBeforeItIsVerified(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Times: 1}, agenttest.Before(func() { s.Suspend("m00") }))
		p, r := s.deploy(baking(0))
		if outcomes(r) != "m00 unverified" || r.Outcome == engine.OutcomeSucceeded || !strings.Contains(r.Machines[0].Error, "suspended before its VM could tell what it runs") {
			t.Errorf("it ended %s (%s): %s, %v\n%s", r.Outcome, outcomes(r), r.Machines[0].Error, r.Problem, logOf(p))
		}
	})
}

func TestAMachineThatIsSuspendedInItsWindow(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Behave("m00", func(b *agenttest.Behaviour) { b.Commits = 3 * time.Second })
		d := s.start(baking(0))
		d.until("its commit", func(e engine.Event) bool { return e.State == engine.MachineCommitting })
		time.Sleep(time.Second)
		s.Suspend("m00")
		p, r := d.end()
		if outcomes(r) != "m00 unknown" || r.Outcome == engine.OutcomeSucceeded || !strings.Contains(r.Machines[0].Error, "suspended before the end of its commit was seen") || !r.LockLeft {
			t.Errorf("it ended %s (%s): %s, %v\n%s", r.Outcome, outcomes(r), r.Machines[0].Error, r.Problem, logOf(p))
		}
	})
}

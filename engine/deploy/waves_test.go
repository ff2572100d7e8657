package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// commitsBy gives the regions, or process groups, of machines in the order in which they were told to commit, each once in a row.
func (s *stage) commitsBy(of func(engine.Machine) string) []string {
	var all []string
	for _, c := range s.Calls(agenttest.Match{Kind: agenttest.Commit}) {
		all = append(all, of(s.State(c.Machine).Machine))
	}
	return slices.Compact(all)
}

func TestWavesOfOneRegionEach(t *testing.T) {
	for by, want := range map[engine.WavesBy]string{engine.WavesByRegion: "ams fra", engine.WavesByGroup: "web worker"} {
		t.Run(string(by), func(t *testing.T) {
			played(t, 6, func(t *testing.T, s *stage) {
				for i := range 6 { // regions and groups are not the same machines
					s.Change(fmt.Sprintf("m%02d", i), func(m *engine.Machine) { m.ProcessGroup = []string{"worker", "worker", "web"}[i%3] })
				}
				settings := playedSettings()
				settings.Strategy.By = by
				p, r := s.deploy(settings)
				if r.Outcome != engine.OutcomeSucceeded {
					t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				of := func(m engine.Machine) string {
					if by == engine.WavesByGroup {
						return m.ProcessGroup
					}
					return m.Region
				}
				if got := strings.Join(s.commitsBy(of), " "); got != want {
					t.Errorf("they committed by %s: %s", by, got)
				}
				if !strings.Contains(p.Plan.Strategy, "2 waves of up to") {
					t.Errorf("the plan says %q", p.Plan.Strategy)
				}
			})
		})
	}
}

// pausesForKey starts a deploy by waves of two machines, up to the pause after the first one, which waits for a key.
func (s *stage) pausesForKey() *run {
	settings := asking()
	settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 2, Bake: 10 * time.Second, Pause: engine.PauseForKey}
	d := s.start(settings)
	d.asks(engine.QuestionPlan)
	time.Sleep(3 * time.Minute) // somebody reads the plan
	d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
	d.until("the pause", func(engine.Event) bool { return len(d.p.Ways) > 0 })
	return d
}

// A pause without a time waits for a key, and the wave is watched all along; the last wave has none.
func TestAPauseWaitsForAKey(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		d := s.pausesForKey()
		at := time.Now()
		d.until("ten minutes are over", func(engine.Event) bool { return time.Since(at) > 10*time.Minute })
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.Commit})); n != 2 {
			t.Errorf("%d machines have committed in the pause", n)
		}
		d.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
		p, r := d.end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed, m03 committed")
		if r.Waited() < 13*time.Minute || r.Took() > 3*time.Minute || r.Took()+r.Waited() != time.Duration(r.DurationMS)*time.Millisecond {
			t.Errorf("it took %s, and waited %s for its operator", r.Took(), r.Waited())
		}
		s.nothingLeft()
	})
}

func TestNobodyGoesOn(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		settings := asking()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 2, Pause: engine.PauseForKey}
		d := s.start(settings)
		d.asks(engine.QuestionPlan)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		_, r := d.end()
		if r.Outcome != engine.OutcomePartial || r.Problem.Name != "pause_unanswered" || strings.Count(outcomes(r), "committed") != 2 {
			t.Errorf("it ended %s, %s: %v", r.Outcome, outcomes(r), r.Problem)
		}
		if !strings.Contains(r.Problem.What, "nobody continued after wave 1 of 2 within 55m") {
			t.Errorf("problem: %v", r.Problem)
		}
	})
}

// Whoever could press the key is gone: the pause says so, and has not lasted.
func TestTheInputEndsInAPause(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		d := s.pausesForKey()
		at := time.Now()
		d.Answer(engine.Answer{To: engine.QuestionWatch})
		_, r := d.end()
		if r.Problem == nil || r.Problem.Name != "pause_unanswered" || !strings.Contains(r.Problem.What, "the input has ended") || strings.Contains(r.Problem.What, "55m") || time.Since(at) > time.Minute {
			t.Errorf("after %s: %v", time.Since(at), r.Problem)
		}
	})
}

// Pauses that wait for a key end before the trial of the machines that were first does, so that it can still be confirmed.
func TestPausesEndBeforeTheTrialDoes(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		settings := asking()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 1, Bake: 10 * time.Second, Pause: engine.PauseForKey, Trial: 10 * time.Minute}
		d := s.start(settings)
		d.asks(engine.QuestionPlan)
		d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		for range 2 {
			d.until("the pause", func(e engine.Event) bool {
				return len(d.p.Ways) > 0 && strings.Contains(e.Text, "more at most: it is on trial")
			})
			time.Sleep(4 * time.Minute)
			d.Answer(engine.Answer{To: engine.QuestionWatch, Way: engine.WayPromote})
			d.until("the next wave", func(engine.Event) bool { return len(d.p.Ways) == 0 })
		}
		p, r := d.end() // nobody goes on
		wants(t, p, r, engine.OutcomePartial, "m00 committed, m02 committed, m01 committed, m03 aborted")
		if r.Problem == nil || r.Problem.Name != "pause_unanswered" || !strings.Contains(r.Problem.What, "trial of the first machines ends soon") || !strings.Contains(r.Problem.Remedy, "flydeploy confirm") {
			t.Errorf("problem: %v", r.Problem)
		}
		if r.Trial == nil || len(r.Trial.Machines) != 3 || time.Until(r.Trial.Until()) < 30*time.Second {
			t.Errorf("on trial: %+v", r.Trial)
		}
		s.allRun("2.0.0 2.0.0 2.0.0 1.0.0")
		if _, r := s.deploy(ending(engine.TrialConfirmed)); r.Outcome != engine.OutcomeSucceeded {
			t.Errorf("confirmed: %s, %v", r.Outcome, r.Problem)
		}
	})
}

// A trial in which no pause would be long enough to press a key is refused beforehand.
func TestATrialIsTooShortForItsPauses(t *testing.T) {
	played(t, 4, func(t *testing.T, s *stage) {
		settings := asking()
		settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 1, Bake: 10 * time.Second, Pause: engine.PauseForKey, Trial: 4 * time.Minute}
		_, r := s.deploy(settings)
		if r.Problem == nil || r.Problem.Name != "trial_too_short" || !strings.Contains(r.Problem.What, "3m40s") {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
	})
}

// In CI a pause has a time, and what is not well in it ends the deploy.
func TestAPauseWithATime(t *testing.T) {
	for _, crashes := range []bool{false, true} {
		t.Run(fmt.Sprintf("crashes %t", crashes), func(t *testing.T) {
			played(t, 4, func(t *testing.T, s *stage) {
				settings := playedSettings()
				settings.Strategy = engine.Strategy{Kind: engine.StrategyRolling, WaveSize: 2, Bake: 10 * time.Second, Pause: 15 * time.Minute}
				d := s.start(settings)
				d.until("the watch", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
				at := time.Now()
				if crashes {
					d.until("five minutes are over", func(engine.Event) bool { return time.Since(at) > 5*time.Minute })
					s.Crash("m00", 3)
				}
				p, r := d.end()
				if took := time.Since(at); !crashes && (r.Outcome != engine.OutcomeSucceeded || took < 15*time.Minute || took > 17*time.Minute) {
					t.Errorf("it ended %s after %s: %v\n%s", r.Outcome, took, r.Problem, logOf(p))
				}
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.Commit})); crashes && (r.Outcome != engine.OutcomeUnhealthy || n != 2) {
					t.Errorf("it ended %s with %d commits: %v", r.Outcome, n, r.Problem)
				}
			})
		})
	}
}

func TestAPauseForNobody(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.Strategy.Pause = engine.PauseForKey
		_, r := s.deploy(settings)
		if r.Problem == nil || r.Problem.Name != "pause_for_nobody" || len(s.Calls(agenttest.Match{Kind: agenttest.AcquireLock})) > 0 {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
	})
}

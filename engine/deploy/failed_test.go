package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

// failed starts a rolling deploy that somebody watches, and whose machine rolls back; it reads until the way on is asked.
func (s *stage) failed(id string, waves int) *run {
	s.t.Helper()
	s.Behave(id, func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
	settings := baking(10 * time.Second)
	settings.Yes, settings.Ask = false, true
	settings.Strategy.Kind, settings.Strategy.WaveSize = engine.StrategyRolling, waves
	r := s.start(settings)
	r.asks(engine.QuestionPlan)
	r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
	r.asks(engine.QuestionFailed)
	return r
}

func (r *run) way(w engine.Way) {
	r.Answer(engine.Answer{To: r.p.Asks(), Way: w})
}

// A machine that rolled back is tried again within the same deploy, as often as somebody wants, and then the others follow.
func TestAFailedMachineIsTriedAgain(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		r := s.failed("m02", 2)
		if p := r.p.Fleet[engine.PhaseCommit].Problem; p == nil || !strings.Contains(p.What, "m02") {
			t.Errorf("the question shows %v", p)
		}
		if want := []engine.Way{engine.WayStop, engine.WayRetry, engine.WayBack, engine.WayContinue}; !slices.Equal(r.p.Ways, want) {
			t.Errorf("it offers %v", r.p.Ways)
		}
		if got := s.State("m01").Code.Version; got != "1.0.0" {
			t.Errorf("the next wave runs %s while it is asked", got)
		}
		r.way(engine.WayRetry) // it fails again
		r.until("it was tried again", func(e engine.Event) bool {
			return e.Machine == "m02" && e.Attempt == 2 && e.Phase == engine.PhaseArm
		})
		r.asks(engine.QuestionFailed)
		s.Behave("m02", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
		r.way(engine.WayRetry)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		if fleet, _ := s.recorded(); fleet != "2.0.0" || result.Health != engine.HealthHealthy || p.Machine("m02").Attempt != 3 {
			t.Errorf("recorded %q, health %s, attempt %d", fleet, result.Health, p.Machine("m02").Attempt)
		}
		s.nothingLeft()
	})
}

func TestTheWaysOnFromAFailedMachine(t *testing.T) {
	for way, test := range map[engine.Way]struct {
		outcome  engine.Outcome
		machines string
	}{
		engine.WayStop:     {engine.OutcomePartial, "m00 committed, m02 rolled_back, m01 aborted"},
		engine.WayContinue: {engine.OutcomePartial, "m00 committed, m02 rolled_back, m01 committed"},
		engine.WayBack:     {engine.OutcomeFailed, "m00 taken_back, m02 rolled_back, m01 aborted"},
		"":                 {engine.OutcomePartial, "m00 committed, m02 rolled_back, m01 aborted"}, // nobody answers
	} {
		t.Run("way "+string(way), func(t *testing.T) {
			played(t, 3, func(t *testing.T, s *stage) {
				r := s.failed("m02", 2)
				if way != "" {
					r.way(way)
				}
				p, result := r.end()
				wants(t, p, result, test.outcome, test.machines)
				if result.Problem == nil || !strings.Contains(result.Problem.What, "m02") {
					t.Errorf("problem: %v", result.Problem)
				}
				if way == engine.WayBack {
					s.runs("1.0.0", "m00", "m02", "m01")
				}
				s.nothingLeft()
			})
		})
	}
}

// stranded starts a deploy to all machines at once that somebody watches, and one of which cannot be armed; it reads until the way on is
// asked.
func (s *stage) stranded(id string) *run {
	s.t.Helper()
	s.On(agenttest.Match{Kind: agenttest.Arm, Machine: id, Times: 1}, s.hook("it fails"))
	settings := asking()
	settings.Strategy = engine.Strategy{Kind: engine.StrategyAll, Bake: 10 * time.Second}
	r := s.start(settings)
	r.asks(engine.QuestionPlan)
	r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
	r.asks(engine.QuestionFailed)
	return r
}

// Machines that were armed beside one that failed are disarmed while it is asked, and tried again with it.
func TestTheRestOfAWaveIsTriedAgainToo(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		r := s.stranded("m01")
		for _, id := range []string{"m00", "m02"} {
			if got := r.p.Machine(id).State; got != engine.MachineAborted {
				t.Errorf("%s is %s while it is asked", id, got)
			}
		}
		if p := r.p.Fleet[engine.PhaseCommit].Problem; p == nil || !strings.Contains(p.What, "on 2 other machines of its wave") {
			t.Errorf("the question shows %v", p)
		}
		r.way(engine.WayRetry)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		s.nothingLeft()
	})
}

// Also where the answers to the aborts are lost.
func TestTheRestOfAWaveIsTriedAgainThatDidNotAnswer(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		cut := true
		s.On(agenttest.Match{Kind: agenttest.Abort, Machine: "m02"}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			if cut {
				return agenttest.LoseRequest(ctx, c, carryOut)
			}
			return carryOut()
		})
		r := s.stranded("m01")
		cut = false
		r.way(engine.WayRetry)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		s.nothingLeft()
	})
}

func TestAWaveThatIsNotTriedAgainSaysSo(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		r := s.stranded("m01")
		r.way(engine.WayStop)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeFailed, "m00 aborted, m02 aborted, m01 failed")
		if result.Problem == nil || !strings.Contains(result.Problem.What, "m01") || !strings.Contains(result.Problem.What, "2 other machines") {
			t.Errorf("problem: %v", result.Problem)
		}
		s.nothingLeft()
	})
}

// What cannot be is not offered: there is no further wave, or nothing to take back.
func TestOnlyWaysThatLeadSomewhereAreOffered(t *testing.T) {
	t.Run("failed", failedAlone)
	t.Run("sick", sickAtLast)
}

func failedAlone(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		r := s.failed("m00", 1)
		if want := []engine.Way{engine.WayStop, engine.WayRetry}; !slices.Equal(r.p.Ways, want) {
			t.Errorf("it offers %v", r.p.Ways)
		}
		r.way(engine.WayStop)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeFailed, "m00 rolled_back")
	})
}

func sickAtLast(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		r := s.asked(10 * time.Second)
		s.Crash("m00", 4)
		r.asks(engine.QuestionSick)
		if want := []engine.Way{engine.WayStop, engine.WayBack}; !slices.Equal(r.p.Ways, want) {
			t.Errorf("it offers %v", r.p.Ways)
		}
		r.Stop()
		r.end()
	})
}

// A machine that restarted after its commit runs what it booted; trying again upgrades that VM. One whose end was not seen is left alone.
func TestARestartedMachineIsTriedAgain(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m01", Times: 1}, agenttest.Before(func() {
			s.Restart("m01", agenttest.Boot{})
		}))
		settings := baking(0)
		settings.Yes, settings.Ask = false, true
		r := s.start(settings)
		r.asks(engine.QuestionPlan)
		r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		r.asks(engine.QuestionFailed)
		r.way(engine.WayRetry)
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		s.nothingLeft()
	})
}

// Whatever meets a second try, what is said of the machines is true.
func TestEveryFaultWhileAMachineIsTriedAgain(t *testing.T) {
	for _, kind := range []agenttest.Kind{
		agenttest.Discover, agenttest.Inject, agenttest.Wait, agenttest.Arm, agenttest.Commit, agenttest.LoadedCode, agenttest.Finish, agenttest.ListMachines,
	} {
		for _, name := range []string{"the request is lost", "the answer is lost", "it fails", "the VM restarts"} {
			for times, word := range map[int]string{1: "once", 0: "always"} {
				t.Run(string(kind)+": "+name+" "+word, func(t *testing.T) {
					played(t, 2, func(t *testing.T, s *stage) {
						r := s.failed("m01", 2)
						s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
						s.On(agenttest.Match{Kind: kind, Times: times}, s.hook(name))
						r.way(engine.WayRetry)
						p, result := r.end()
						s.isTrue(p, result)
					})
				})
			}
		}
	}
}

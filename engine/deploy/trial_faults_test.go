package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// Whatever happens while a trial is ended, what is said of the machines is true, and what is recorded runs once its time is over. `make faults`
// runs all of it.
func TestEveryFaultWhileATrialEnds(t *testing.T) {
	kinds := map[engine.TrialEnd][]agenttest.Kind{
		engine.TrialConfirmed: {
			agenttest.Discover, agenttest.AskTrial, agenttest.Wait, agenttest.LoadedCode, agenttest.Finish,
			agenttest.ListMachines, agenttest.ReadMetadata, agenttest.WriteMetadata, agenttest.WriteResult,
		},
		engine.TrialTakenBack: {
			agenttest.AskTrial, agenttest.Inject, agenttest.Arm, agenttest.Commit, agenttest.CreateTemporary, agenttest.LoadedCode, agenttest.WriteMetadata,
		},
	}
	for how, kinds := range kinds {
		for _, kind := range kinds {
			for name := range everyFault {
				for times, word := range map[int]string{1: "once", 0: "always"} {
					if strings.Contains(name, "hangs") && (!full || kind == agenttest.CreateTemporary) || !full && (times == 0 || name == "it is slow") {
						continue // a launch ends with the client's patience: package fly's tests
					}
					t.Run(strings.Join([]string{string(how), string(kind) + ":", name, word}, " "), func(t *testing.T) {
						played(t, 2, func(t *testing.T, s *stage) {
							s.tried()
							s.On(agenttest.Match{Kind: kind, Times: times}, s.hook(name))
							d := s.start(ending(how))
							defer time.AfterFunc(time.Hour, d.Hurry).Stop()
							p, r := d.end()
							s.isTrueOfTrial(p, r, how)
						})
					})
				}
			}
		}
	}
}

// isTrueOfTrial checks what is said of a trial's end, at once and after its time.
func (s *stage) isTrueOfTrial(p *engine.Progress, r engine.Result, how engine.TrialEnd) {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Errorf(format+"\nit ended %s (%s): %v\n%s", append(args, r.Outcome, outcomes(r), r.Problem, logOf(p))...)
	}
	for _, m := range r.Machines {
		switch runs := s.State(m.ID).Code.Version; {
		case m.Outcome == engine.OutcomeTakenBack && runs != "1.0.0", m.Outcome == engine.OutcomeUpToDate && runs != "2.0.0":
			fail("machine %s is said to have ended %s, and runs %s", m.ID, m.Outcome, runs)
		}
	}
	if r.Outcome != engine.OutcomeSucceeded && r.Problem == nil || r.Problem != nil && (r.Problem.What == "" || r.Problem.Name == "crash") {
		fail("it is told with %v", r.Problem)
	}
	time.Sleep(time.Hour)
	fleet, single := s.recorded()
	for _, m := range r.Machines {
		names := single[m.ID]
		if names == "" {
			names = fleet
		}
		if names == "" {
			names = "1.0.0"
		}
		runs := s.State(m.ID).Code.Version
		if runs != names && !(how == engine.TrialTakenBack && runs == "1.0.0") {
			fail("an hour later machine %s runs %s, and %s is recorded", m.ID, runs, names)
		}
		if r.Outcome == engine.OutcomeSucceeded && runs != map[engine.TrialEnd]string{engine.TrialConfirmed: "2.0.0", engine.TrialTakenBack: "1.0.0"}[how] {
			fail("an hour later machine %s runs %s", m.ID, runs)
		}
	}
	s.leavesTruth(r, fail)
}

// Where a machine answers nothing for a minute, its trial goes on meanwhile, and is ended as soon as it answers: by whoever has waited, or by
// the next one. The machine's VM ends by itself, whoever can reach it.
func TestATrialOfAMachineThatDoesNotAnswer(t *testing.T) {
	runs := map[engine.TrialEnd]string{engine.TrialConfirmed: "2.0.0 2.0.0", engine.TrialTakenBack: "1.0.0 1.0.0"}
	for how, all := range runs {
		for _, waits := range []time.Duration{30 * time.Second, 2 * time.Minute} {
			t.Run(fmt.Sprintf("%s, who waits for %s", how, waits), func(t *testing.T) {
				played(t, 2, func(t *testing.T, s *stage) {
					s.tried()
					s.On(agenttest.Match{Kinds: agenttest.Kind.IsExec, Machine: "m01"}, agenttest.Outage(time.Minute))
					settings := ending(how)
					settings.Timeout = waits
					p, r := s.deploy(settings)
					if waits < time.Minute {
						if r.Outcome != engine.OutcomePartial || r.Problem == nil || !strings.Contains(r.Problem.What, "m01") || s.trial() == nil {
							t.Errorf("%s: %v; on trial %+v\n%s", r.Outcome, r.Problem, s.trial(), logOf(p))
						}
						time.Sleep(time.Minute)
						p, r = s.deploy(settings)
					}
					if r.Outcome != engine.OutcomeSucceeded || s.trial() != nil {
						t.Errorf("%s: %v; on trial %+v\n%s", r.Outcome, r.Problem, s.trial(), logOf(p))
					}
					time.Sleep(time.Hour)
					s.allRun(all)
					s.nothingLeft()
				})
			})
		}
	}
	t.Run("nobody ends it", func(t *testing.T) {
		played(t, 2, func(t *testing.T, s *stage) {
			s.tried()
			s.On(agenttest.Match{Kinds: agenttest.Kind.IsExec}, agenttest.LoseRequest)
			time.Sleep(12 * time.Minute)
			s.allRun("1.0.0 1.0.0")
		})
	})
}

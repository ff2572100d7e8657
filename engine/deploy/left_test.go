package deploy_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// leftOf gives what a result names of a kind.
func leftOf(t *testing.T, r engine.Result, what string) engine.Left {
	t.Helper()
	i := slices.IndexFunc(r.Left, func(l engine.Left) bool { return l.What == what })
	if i < 0 {
		t.Fatalf("it names no %s: %+v", what, r.Left)
	}
	return r.Left[i]
}

// What stays behind is named, and that it ends by then is true.
func TestWhatStaysBehindIsNamed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Destroy}, agenttest.Fail(errors.New("503")))
		s.On(agenttest.Match{Kind: agenttest.Commit, Machine: "m00", Times: 1}, func(ctx context.Context, c agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
			s.On(agenttest.Match{Machine: "m00", Kinds: agenttest.Kind.IsExec}, agenttest.LoseRequest)
			return agenttest.LoseAnswer(ctx, c, carryOut)
		})
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomePartial, "m00 unknown, m01 committed")
		temporary, a, lock := leftOf(t, r, engine.LeftTemporary), leftOf(t, r, engine.LeftAgent), leftOf(t, r, engine.LeftLock)
		if temporary.EndNow != "fly machine destroy --force "+temporary.Machine+" --app counter" || a.Machine != "m00" ||
			a.EndNow != "flydeploy hot --resume --app counter" || lock.EndNow != "flydeploy lock release --app counter" {
			t.Errorf("%+v", r.Left)
		}
		time.Sleep(time.Until(lock.EndsAt) + 2*time.Second)
		if l, err := s.Storage.Current(t.Context()); err == nil {
			t.Errorf("the lock is held still: %+v", l)
		}
		time.Sleep(time.Until(a.EndsAt) + 2*time.Second)
		if left := s.State("m00").Agent; left != "" {
			t.Errorf("the agent %s is there still", left)
		}
	})
}

// Resuming the last deploy would deploy what this one did not: somebody else's, or what was declined. The agent is ended by hand.
func TestAnAgentThatIsLeftBeforeTheCommitEndsByItself(t *testing.T) {
	for name, s := range map[string]engine.Settings{"dry run": func() engine.Settings {
		s := playedSettings()
		s.DryRun = true
		return s
	}(), "declined": asking()} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, world *stage) {
				world.On(agenttest.Match{Kind: agenttest.Abort, Machine: "m00"}, agenttest.LoseRequest)
				r := world.start(s)
				if s.Ask {
					r.asks(engine.QuestionPlan)
					r.Answer(engine.Answer{To: engine.QuestionPlan})
				}
				_, result := r.end()
				by := regexp.MustCompile(`^fly machine exec m00 'mkdir /\S+/flydeploy-` + world.State("m00").Agent + `/finish' --app counter$`)
				if a := leftOf(t, result, engine.LeftAgent); a.Machine != "m00" || !by.MatchString(a.EndNow) || a.EndsAt.IsZero() {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

func TestNothingIsNamedWhereNothingIsLeft(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		p, r := s.deploy(baking(10 * time.Second))
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if len(r.Left) > 0 {
			t.Errorf("left: %+v", r.Left)
		}
		shown := slices.ContainsFunc(s.recordedEvents(r.Upgrade.ID), func(e engine.Event) bool {
			return e.Phase == engine.PhaseResults && e.Text == "ending the agents of 2 machines"
		})
		if !shown {
			t.Error("nothing shows that the agents are ended")
		}
	})
}

// Who stops a deploy has met no failure: nothing of it has failed, and the record says whose will it was.
func TestAStopIsNoFailure(t *testing.T) {
	for name, stop := range map[string]func(*stage) *run{
		"declined": func(s *stage) *run {
			r := s.start(asking())
			r.asks(engine.QuestionPlan)
			r.Answer(engine.Answer{To: engine.QuestionPlan})
			return r
		},
		"stopped at the plan": func(s *stage) *run {
			r := s.start(asking())
			r.asks(engine.QuestionPlan)
			r.Stop()
			return r
		},
		"stopped while the canary is watched": func(s *stage) *run {
			r := s.asked(time.Minute)
			r.Stop()
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				p, r := stop(s).end()
				if !r.IsWilful() || !strings.Contains(r.Problem.What, "stopped by the operator") && !strings.Contains(r.Problem.What, "not confirmed") {
					t.Errorf("it ended %s: %v", r.Outcome, r.Problem)
				}
				for phase, at := range p.Fleet {
					if at.Status == engine.StatusFailed {
						t.Errorf("%s is shown as failed: %v", phase, at.Problem)
					}
				}
				for _, m := range p.Machines {
					for phase, at := range m.Phases {
						if at.Status == engine.StatusFailed {
							t.Errorf("%s: %s is shown as failed: %v", m.ID, phase, at.Problem)
						}
					}
				}
				past, err := record.Read(t.Context(), s.Storage, r.Upgrade.ID)
				if err != nil || !past.Stopped || past.Why == "" || past.Verdict.Word == "" {
					t.Errorf("recorded: %+v, %v", past.Past, err)
				}
			})
		})
	}
}

// The record says of each deploy what its plan came to, and whether what it brought is well.
func TestTheRecordHasTheVerdictAndTheHealth(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		_, r := s.sick(onSick(engine.OnSickStop, engine.StrategyAll), "m00", "m01")
		past, err := record.History(t.Context(), s.Storage, 1)
		if err != nil || len(past) != 1 || past[0].Health != engine.HealthUnhealthy || past[0].Verdict.Text != "hot: 2 modules and 606 processes change while they run" ||
			past[0].Why != r.Problem.What || past[0].Stopped {
			t.Errorf("recorded: %+v, %v", past, err)
		}
	})
}

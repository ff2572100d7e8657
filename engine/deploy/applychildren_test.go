package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/doctor"
)

// hasChildren checks how machines have applied children, and do after a restart.
func (s *stage) hasChildren(how engine.ApplyChildren, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if got := s.State(id).Children; got != how {
			s.t.Errorf("machine %s has applied children by %q, want %q", id, got, how)
		}
		s.Restart(id, agenttest.Boot{})
		if got := s.State(id).Children; got != how {
			s.t.Errorf("machine %s applies children by %q at its boot, want %q", id, got, how)
		}
	}
}

// What was applied is recorded, for restarts, and the next deploy applies its own without being told to.
func TestChildrenAreAppliedAndRecorded(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.ApplyChildren = engine.ApplyChildrenRestart
		if _, r := s.deploy(settings); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		if u := s.Current().HotUpgrade; u == nil || u.ApplyChildren != engine.ApplyChildrenRestart {
			t.Errorf("the record is %+v", u)
		}
		s.hasChildren(engine.ApplyChildrenRestart, "m00", "m01")
		s.SetBuild("registry.fly.io/counter:v3")
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		if !strings.Contains(p.Plan.String(), "info children_applied: an earlier upgrade has started and ended children, so this one does too") {
			t.Errorf("the plan is\n%s", p.Plan)
		}
		s.hasChildren(engine.ApplyChildrenKeep, "m00", "m01")
		s.nothingLeft()
	})
}

// A child that does not start makes a machine unhealthy, with its reason, and the upgrade can be taken back with its children.
func TestAChildThatDoesNotStartIsUnhealthy(t *testing.T) {
	for name, how := range map[string]engine.OnSick{"stopped": engine.OnSickStop, "taken back": engine.OnSickBack} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.Behave("m00", func(b *agenttest.Behaviour) {
					b.Error = &agent.Error{Name: "child_not_started", What: "Counter.Cache did not start: :eaddrinuse"}
				})
				settings := baking(10 * time.Second)
				settings.Strategy.Kind, settings.OnSick, settings.ApplyChildren = engine.StrategyCanary, how, engine.ApplyChildrenKeep
				_, r := s.deploy(settings)
				if r.Outcome != engine.OutcomeUnhealthy || !strings.Contains(r.Problem.What, "Counter.Cache did not start: :eaddrinuse") {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				want := map[engine.OnSick]string{engine.OnSickStop: "2.0.0", engine.OnSickBack: "1.0.0"}[how]
				if lacks := s.State("m00").Undone != ""; lacks != (how == engine.OnSickStop) {
					t.Errorf("it lacks a child: %t", lacks)
				}
				if got := s.State("m00"); got.Code.Version != want || got.Children != engine.ApplyChildrenKeep {
					t.Errorf("m00 runs %s, and has applied children by %q", got.Code.Version, got.Children)
				}
				if got := s.State("m01").Children; got != engine.ApplyNoChildren {
					t.Errorf("m01 has applied children by %q", got)
				}
			})
		})
	}
}

// A deploy that is resumed does what it was asked for.
func TestChildrenOfADeployThatIsResumed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		settings := playedSettings()
		settings.ApplyChildren = engine.ApplyChildrenKeep
		if _, r := s.deploy(settings); r.Outcome != engine.OutcomePartial {
			t.Fatalf("%s: %v", r.Outcome, r.Problem)
		}
		if got := s.State("m01").Children; got != engine.ApplyNoChildren {
			t.Errorf("m01 has rolled back, and applied children by %q", got)
		}
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
		resumed := playedSettings()
		resumed.Resume = true
		if _, r := s.deploy(resumed); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("resumed: %s: %v", r.Outcome, r.Problem)
		}
		s.hasChildren(engine.ApplyChildrenKeep, "m00", "m01")
	})
}

// doesNotStart has a machine's agents, and its boots, not start a child of the upgrade.
func (s *stage) doesNotStart(id string) {
	s.Behave(id, func(b *agenttest.Behaviour) {
		b.Error = &agent.Error{Name: "child_not_started", What: "Counter.Cache did not start: :eaddrinuse"}
	})
}

func (s *stage) starts(id string) {
	s.Behave(id, func(b *agenttest.Behaviour) { b.Error = nil })
}

// A child that did not start is said by the next plan, and tried again: by the deploy that is resumed, though the machine runs its code, and by
// any other one. So it is after a restart, which does not start it either.
func TestAChildThatDidNotStartIsTriedAgain(t *testing.T) {
	const says = "warn child_not_started on m00: Counter.Application: has not done this before: Counter.Cache did not start: :eaddrinuse"
	for name, next := range map[string]struct {
		killed    bool // while the next machines are watched
		resumes   bool
		restarts  bool
		stillSick bool
	}{
		"resumed": {resumes: true}, "resumed, and still not": {resumes: true, stillSick: true}, "resumed after a restart": {resumes: true, restarts: true},
		"resumed after its console was killed": {killed: true, resumes: true}, "the next version": {}, "the next version after a restart": {restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				settings := baking(time.Minute)
				settings.ApplyChildren, settings.Strategy.Kind = engine.ApplyChildrenKeep, engine.StrategyCanary
				s.doesNotStart("m00")
				if next.killed {
					settings.OnSick = engine.OnSickContinue
					s.killedWhileItWatches(settings, "m01")
				} else if _, r := s.deploy(settings); r.Outcome != engine.OutcomeUnhealthy {
					t.Fatalf("%s: %v", r.Outcome, r.Problem)
				}
				if next.restarts {
					s.Restart("m00", agenttest.Boot{})
				}
				if got := s.State("m00"); got.Undone == "" || got.Code.Version != "2.0.0" {
					t.Fatalf("m00 runs %s, and lacks %q", got.Code.Version, got.Undone)
				}
				if !next.stillSick {
					s.starts("m00")
				}
				again := playedSettings()
				again.Strategy, again.LockWait = settings.Strategy, 10*time.Minute
				if again.Resume = next.resumes; !next.resumes {
					s.SetBuild(agenttest.Image3)
				}
				p, r := s.startOn(s.NewConsole("desk"), again).end()
				if p.Plan == nil || !strings.Contains(p.Plan.String(), says) {
					t.Errorf("the plan is\n%s", p.Plan)
				}
				if next.stillSick {
					wants(t, p, r, engine.OutcomeUnhealthy, "m00 unhealthy, m01 aborted")
					return
				}
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
				if got := s.State("m00").Undone; got != "" {
					t.Errorf("m00 lacks %q", got)
				}
				s.hasChildren(engine.ApplyChildrenKeep, "m00", "m01")
				s.nothingLeft()
			})
		})
	}
}

// What a boot could not start is told by status and doctor, until it runs.
func TestAChildThatDidNotStartAtABootIsShown(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		settings := playedSettings()
		settings.ApplyChildren = engine.ApplyChildrenKeep
		if _, r := s.deploy(settings); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		shown := func() (status, checked string) {
			c := s.NewConsole("desk")
			o, err := doctor.Look(t.Context(), agenttest.App, c.Fleet, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			doctor.Inspect(t.Context(), &o, c.Fleet, nil)
			for id, code := range o.Code {
				for _, p := range code.Undone {
					status += id + ": " + p.What
				}
			}
			unread := func(context.Context, string, map[string]string) (engine.Storage, error) {
				return engine.Storage{}, errors.New("not asked")
			}
			doctor.Examine(t.Context(), doctor.Patient{Fleet: c.Fleet, Open: unread, ReadOnly: true}, func(c engine.Check) {
				if c.Name == "undone" && c.Status == engine.CheckWarn && c.Remedy != "" {
					checked += c.Machine + ": " + c.Text
				}
			})
			return status, checked
		}
		if status, checked := shown(); status+checked != "" {
			t.Errorf("status says %q, doctor %q", status, checked)
		}
		s.doesNotStart("m00")
		s.Restart("m00", agenttest.Boot{})
		const says = "m00: children of the upgrade do not run: Counter.Cache did not start: :eaddrinuse"
		if status, checked := shown(); status != says || checked != says {
			t.Errorf("status says %q, doctor %q, want %q", status, checked, says)
		}
		s.starts("m00")
		s.Restart("m00", agenttest.Boot{})
		if status, checked := shown(); status+checked != "" {
			t.Errorf("status says %q, doctor %q", status, checked)
		}
	})
}

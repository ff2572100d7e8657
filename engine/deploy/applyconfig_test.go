package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
)

func applying(s engine.Settings) engine.Settings {
	s.ApplyConfig = true
	return s
}

// hasConfig checks whose configuration the machines have applied, and what they have after a restart.
func (s *stage) hasConfig(of string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if got := s.State(id).Config; got != of {
			s.t.Errorf("machine %s has the configuration of %.12q, want %.12q", id, got, of)
		}
		s.Restart(id, agenttest.Boot{})
		if got := s.State(id).Config; got != of {
			s.t.Errorf("machine %s boots with the configuration of %.12q, want %.12q", id, got, of)
		}
	}
}

func configOf(image string) string { return agenttest.ReleaseOf(image).WithConfig().SHA256 }

// What an upgrade has applied is recorded, so that a restart applies it again, and the next deploy applies its own without being told to:
// otherwise the settings would stay in memory and be gone after a restart.
func TestConfigurationIsAppliedAndRecorded(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("without it: %v", r.Problem)
		}
		s.hasConfig("", "m00", "m01")
		if u := s.Current().HotUpgrade; u == nil || u.ApplyConfig {
			t.Errorf("without it the record is %+v", u)
		}
		s.SetBuild("registry.fly.io/counter:v3")
		p, r := s.deploy(applying(playedSettings()))
		if r.Outcome != engine.OutcomeSucceeded || !p.Upgrade.ApplyConfig {
			t.Fatalf("%s: %v", r.Outcome, r.Problem)
		}
		if u := s.Current().HotUpgrade; u == nil || !u.ApplyConfig {
			t.Errorf("the record is %+v", u)
		}
		s.hasConfig(configOf("registry.fly.io/counter:v3"), "m00", "m01")
		s.SetBuild("registry.fly.io/counter:v4")
		p, r = s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("the next one: %v", r.Problem)
		}
		if !strings.Contains(p.Plan.String(), "info config_applied: an earlier upgrade has applied its configuration, so that of this one is applied too") {
			t.Errorf("the plan is\n%s", p.Plan)
		}
		s.hasConfig(configOf("registry.fly.io/counter:v4"), "m00", "m01")
		s.nothingLeft()
	})
}

// An upgrade that is taken back takes its configuration along.
func TestConfigurationIsTakenBackToTheImages(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		p, r := s.sick(applying(onSick(engine.OnSickBack, engine.StrategyAll)), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		for _, id := range []string{"m00", "m01"} {
			if got := s.State(id).Config; got != configOf(agenttest.Image1) {
				t.Errorf("machine %s has the configuration of %.12q, want the image's", id, got)
			}
			s.Restart(id, agenttest.Boot{})
			if got := s.State(id).Config; got != "" {
				t.Errorf("machine %s boots with the configuration of %.12q", id, got)
			}
		}
	})
}

func TestConfigurationIsTakenBackToThatOfTheUpgradeBefore(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		if _, r := s.deploy(applying(playedSettings())); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.hasConfig(configOf(agenttest.Image2), "m00", "m01")
		s.SetBuild("registry.fly.io/counter:v3")
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		s.hasConfig(configOf(agenttest.Image2), "m00", "m01")
	})
}

// A window that goes back leaves the configuration as it was; a deploy that is resumed applies it.
func TestConfigurationOfADeployThatIsResumed(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.RolledBack })
		if _, r := s.deploy(applying(playedSettings())); r.Outcome != engine.OutcomePartial {
			t.Fatalf("%s: %v", r.Outcome, r.Problem)
		}
		if got := s.State("m01").Config; got != "" {
			t.Errorf("m01 has rolled back, and has the configuration of %.12q", got)
		}
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Outcome = agent.Committed })
		resumed := playedSettings()
		resumed.Resume = true
		if _, r := s.deploy(resumed); r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("resumed: %s: %v", r.Outcome, r.Problem)
		}
		s.hasConfig(configOf(agenttest.Image2), "m00", "m01")
	})
}

// What was packed without its configuration has none to apply.
func TestAnEarlierDeployWithoutItsConfiguration(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		p, r := s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		again := applying(playedSettings())
		again.To = p.Upgrade.ID
		_, r = s.deploy(again)
		if r.Outcome != engine.OutcomeFailed || r.Problem == nil || r.Problem.Name != "no_config" || !strings.Contains(r.Problem.Remedy, agenttest.Image2) {
			t.Errorf("%s: %v", r.Outcome, r.Problem)
		}
	})
}

// A configuration that cannot be evaluated keeps the release from being deployed cold as well: it would not boot.
func TestAConfigurationThatFailsGoesNowhere(t *testing.T) {
	playedCold(t, func(t *testing.T, s *coldStage) {
		s.need("config_fails", "refuse")
		_, r := s.run(orCold(applying(playedSettings()))).end()
		if r.Outcome != engine.OutcomeBlocked || !strings.Contains(r.Problem.What, "config_fails") || len(s.calls) != 0 {
			t.Errorf("%s, cold deploys of %v: %v", r.Outcome, s.calls, r.Problem)
		}
	})
}

// An application that does not take its new settings is not well, watched or not, and the next wave does not start.
func TestAnApplicationThatDoesNotTakeItsConfigurationIsUnhealthy(t *testing.T) {
	for name, bake := range map[string]time.Duration{"unwatched": 0, "watched": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.Behave("m00", func(b *agenttest.Behaviour) {
					b.Error = &agent.Error{Name: "config_not_taken", What: "Counter.Application.config_change/3 failed"}
				})
				settings := applying(baking(bake))
				settings.Strategy.Kind = engine.StrategyCanary
				_, r := s.deploy(settings)
				if r.Outcome != engine.OutcomeUnhealthy || !strings.Contains(r.Problem.What, "Counter.Application.config_change/3 failed") {
					t.Errorf("%s: %v", r.Outcome, r.Problem)
				}
				if got := s.State("m01").Config; got != "" {
					t.Errorf("m01 has the configuration of %.12q", got)
				}
			})
		})
	}
}

// Where a window is rolled back whose configuration OTP does not take back in time, the outcome says so, beside what has led to it.
func TestAConfigurationThatIsNotTakenBackIsTold(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Behave("m00", func(b *agenttest.Behaviour) {
			b.Outcome = agent.RolledBack
			b.Failures = []agent.Failure{
				{Reason: "config_not_back", Exception: "OTP's application controller did not answer"},
				{Module: "Counter.Tally", PID: "<0.1.0>", Reason: "raised", Exception: "** (KeyError) :step"},
			}
		})
		settings := baking(0)
		settings.ApplyConfig = true
		_, r := s.deploy(settings)
		m := r.Machines[0]
		for _, says := range []string{"Counter.Tally raised: ** (KeyError) :step", "whether the applied configuration was taken back: OTP's application controller did not answer"} {
			if m.Outcome != engine.OutcomeRolledBack || !strings.Contains(m.Error, says) {
				t.Errorf("it is %s: %s", m.Outcome, m.Error)
			}
		}
		if strings.Contains(r.Problem.Remedy, "as before") || !strings.Contains(r.Problem.Remedy, "perhaps with the new settings") {
			t.Errorf("remedy: %s", r.Problem.Remedy)
		}
	})
}

// The next plan says what has not taken its settings, and the deploy that is resumed tells it again, though the machine has its code and them.
func TestAConfigurationThatWasNotTakenIsToldAgain(t *testing.T) {
	for name, killed := range map[string]bool{"at the end": false, "after its console was killed": true} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				s.Behave("m00", func(b *agenttest.Behaviour) {
					b.Error = &agent.Error{Name: "config_not_taken", What: "Counter.Application.config_change/3 failed"}
				})
				settings := applying(baking(time.Minute))
				settings.Strategy.Kind = engine.StrategyCanary
				if killed {
					settings.OnSick = engine.OnSickContinue
					s.killedWhileItWatches(settings, "m01")
				} else if _, r := s.deploy(settings); r.Outcome != engine.OutcomeUnhealthy {
					t.Fatalf("%s: %v", r.Outcome, r.Problem)
				}
				if got := s.State("m00"); got.Undone == "" || got.Config != configOf(agenttest.Image2) {
					t.Fatalf("m00 has the configuration of %.12q, and has not done %q", got.Config, got.Undone)
				}
				s.Behave("m00", func(b *agenttest.Behaviour) { b.Error = nil })
				p, r := s.startOn(s.NewConsole("desk"), resuming(playedSettings())).end()
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
				if got := s.State("m00").Undone; got != "" || !strings.Contains(p.Plan.String(), "warn config_not_taken on m00") {
					t.Errorf("m00 has not done %q; the plan is\n%s", got, p.Plan)
				}
				s.hasConfig(configOf(agenttest.Image2), "m00", "m01")
				s.nothingLeft()
			})
		})
	}
}

package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// hooks are an operator's commands that note what they are told.
type hooks struct {
	mu     sync.Mutex
	told   []engine.MomentEvent
	at     []time.Time
	posted []engine.Result
	run    func(ctx context.Context, m engine.Moment) error // what a command does, nil for nothing
	post   func(ctx context.Context) error
}

func (h *hooks) Run(ctx context.Context, e engine.MomentEvent, log func(string)) error {
	h.mu.Lock()
	h.told, h.at = append(h.told, e), append(h.at, time.Now())
	h.mu.Unlock()
	log("hello")
	if h.run == nil {
		return nil
	}
	return h.run(ctx, e.Hook)
}

func (h *hooks) Post(ctx context.Context, r engine.Result) error {
	h.posted = append(h.posted, r)
	if h.post == nil {
		return nil
	}
	return h.post(ctx)
}

// moments lists those that were told.
func (h *hooks) moments() string {
	var all []string
	for _, e := range h.told {
		all = append(all, string(e.Hook))
	}
	return strings.Join(all, " ")
}

func (h *hooks) of(t *testing.T, m engine.Moment) engine.MomentEvent {
	t.Helper()
	i := slices.IndexFunc(h.told, func(e engine.MomentEvent) bool { return e.Hook == m })
	if i < 0 {
		t.Fatalf("nobody was told %s, but %s", m, h.moments())
	}
	return h.told[i]
}

func failsAt(at engine.Moment) func(context.Context, engine.Moment) error {
	return func(_ context.Context, m engine.Moment) error {
		if m == at {
			return engine.NewProblem("hook_failed", "the hook "+string(m)+" failed (exit status 3)", nil, "fix it")
		}
		return nil
	}
}

func TestHooksAreToldOfADeploy(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		h := &hooks{}
		s.hooks = h
		p, r := s.deploy(baking(10 * time.Second))
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if got := h.moments(); got != "before_build planned before_commit after_commit ended" {
			t.Errorf("told: %s", got)
		}
		for _, e := range h.told {
			if e.V != 1 || e.Type != "hook" || e.Upgrade.ID != r.Upgrade.ID {
				t.Errorf("%s: %+v", e.Hook, e)
			}
		}
		if e := h.of(t, engine.MomentBeforeCommit); e.Plan == nil || len(e.Plan.Machines) != 2 || e.Upgrade.Version != "2.0.0" {
			t.Errorf("before the commit: %+v", e)
		}
		if e := h.of(t, engine.MomentAfterCommit); len(e.Machines) != 2 || e.Machines[0].Outcome != engine.OutcomeCommitted || e.Machines[0].Health != engine.HealthHealthy {
			t.Errorf("after the commit: %+v", e.Machines)
		}
		if e := h.of(t, engine.MomentEnded); e.Result == nil || e.Result.Outcome != engine.OutcomeSucceeded {
			t.Errorf("at the end: %+v", e.Result)
		}
		if len(h.posted) != 1 || h.posted[0].Outcome != engine.OutcomeSucceeded || len(h.posted[0].Machines) != 2 {
			t.Errorf("posted: %+v", h.posted)
		}
		said := map[string]bool{}
		for _, e := range s.recordedEvents(r.Upgrade.ID) {
			said[e.Log] = true
		}
		for _, m := range []string{"before_build: hello", "planned: hello", "before_commit: hello", "after_commit: hello", "ended: hello"} {
			if !said[m] {
				t.Errorf("the record has no line %q", m)
			}
		}
		s.nothingLeft()
	})
}

func TestAHookThatFailsBeforeAnythingIsSuspended(t *testing.T) {
	for moment, told := range map[engine.Moment]string{
		engine.MomentBeforeBuild: "before_build ended", engine.MomentBeforeCommit: "before_build planned before_commit ended",
	} {
		t.Run(string(moment), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				h := &hooks{run: failsAt(moment)}
				s.hooks = h
				p, r := s.deploy(playedSettings())
				if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "hook_failed" || !strings.Contains(r.Problem.What, "the hook "+string(moment)+" failed") || r.Problem.Remedy == "" {
					t.Errorf("it ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
				}
				if got := h.moments(); got != told {
					t.Errorf("told: %s", got)
				}
				if n := len(s.Calls(agenttest.Match{Kind: agenttest.Arm})) + len(s.Calls(agenttest.Match{Kind: agenttest.Commit})); n > 0 {
					t.Errorf("agents were told %d times to arm or commit", n)
				}
				if moment == engine.MomentBeforeBuild && len(s.Calls(agenttest.Match{Kind: agenttest.Build})) > 0 {
					t.Error("an image was built")
				}
				s.nothingLeft()
			})
		})
	}
}

// All others only warn.
func TestAHookThatFailsElsewhereEndsNothing(t *testing.T) {
	for _, moment := range []engine.Moment{engine.MomentPlanned, engine.MomentAfterCommit, engine.MomentEnded} {
		t.Run(string(moment), func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				s.hooks = &hooks{run: failsAt(moment), post: func(context.Context) error { return errors.New("the outcome could not be posted to example.com: 403") }}
				p, r := s.deploy(playedSettings())
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
				if log := logOf(p); !strings.Contains(log, string(moment)+": the hook "+string(moment)+" failed (exit status 3); the deploy goes on") || !strings.Contains(log, "could not be posted to example.com: 403") {
					t.Errorf("the log does not say so:\n%s", log)
				}
				s.nothingLeft()
			})
		})
	}
}

// Nor does one that is told that it is not well.
func TestAHookThatFailsWhereItIsNotWell(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.hooks = &hooks{run: failsAt(engine.MomentUnhealthy)}
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back")
		if log := logOf(p); !strings.Contains(log, "unhealthy: the hook unhealthy failed (exit status 3); the deploy goes on") {
			t.Errorf("the log does not say so:\n%s", log)
		}
	})
}

// Whatever a receiver does, posting the outcome takes a quarter of a minute at most, beside the command of the end, and changes nothing.
func TestAPostThatHangs(t *testing.T) {
	for name, test := range map[string]struct{ command, most time.Duration }{
		"alone": {0, 15 * time.Second}, "beside a command": {29 * time.Second, 29 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				var begun time.Time
				s.hooks = &hooks{
					run: func(_ context.Context, m engine.Moment) error {
						if m == engine.MomentEnded {
							if l, err := s.Storage.Current(t.Context()); !errors.Is(err, engine.ErrNotFound) {
								t.Errorf("others are kept out meanwhile: %+v, %v", l, err)
							}
							begun = time.Now()
							time.Sleep(test.command)
						}
						return nil
					},
					post: func(ctx context.Context) error {
						<-ctx.Done()
						return errors.New("example.com did not answer in time")
					},
				}
				p, r := s.deploy(playedSettings())
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
				if took := time.Since(begun); took > test.most+5*time.Second {
					t.Errorf("it ended %s after its outcome", took)
				}
				if !strings.Contains(logOf(p), "example.com did not answer in time") {
					t.Errorf("the log does not say so:\n%s", logOf(p))
				}
			})
		})
	}
}

// Whoever watches reads how the deploy has ended while the command of its end runs.
func TestTheOutcomeIsShownBeforeTheCommandOfTheEnd(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.hooks = &hooks{}
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		at := func(log string) int {
			return slices.IndexFunc(s.recordedEvents(r.Upgrade.ID), func(e engine.Event) bool { return e.Log == log })
		}
		if shown, command := at("the deploy has ended: succeeded"), at("ended: hello"); shown < 0 || shown > command {
			t.Errorf("it is event %d, the command %d", shown, command)
		}
	})
}

func TestADryRunTellsOnlyItsPlan(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		h := &hooks{}
		s.hooks = h
		settings := playedSettings()
		settings.DryRun = true
		s.deploy(settings)
		if got := h.moments(); got != "planned" || len(h.posted) > 0 {
			t.Errorf("told: %s; posted: %d", got, len(h.posted))
		}
	})
}

// What is already everywhere is not committed, and an image that is there is not built.
func TestHooksOfWhatDoesNotHappen(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		if _, r := s.deploy(playedSettings()); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		h := &hooks{}
		s.hooks = h
		settings := playedSettings()
		settings.Resume = true
		s.deploy(settings)
		if got := h.moments(); got != "planned ended" {
			t.Errorf("told: %s", got)
		}
	})
}

// A trial's end has nothing to plan: its outcome is told, and posted.
func TestHooksOfATrial(t *testing.T) {
	for _, how := range []engine.TrialEnd{engine.TrialConfirmed, engine.TrialTakenBack} {
		t.Run(string(how), func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				h := &hooks{}
				s.hooks = h
				s.tried()
				if got := h.moments(); got != "before_build planned before_commit after_commit ended" || len(h.posted) != 1 || h.posted[0].Trial == nil {
					t.Errorf("told: %s; posted: %+v", got, h.posted)
				}
				h = &hooks{}
				s.hooks = h
				_, r := s.deploy(ending(how))
				if got := h.moments(); r.Outcome != engine.OutcomeSucceeded || got != "ended" || len(h.posted) != 1 || h.posted[0].TrialEnd != how || h.of(t, engine.MomentEnded).Result.TrialEnd != how {
					t.Errorf("%s; told: %s; posted: %+v", r.Outcome, got, h.posted)
				}
			})
		})
	}
}

// Whoever is called because it is not well holds nothing up: the upgrade is taken back meanwhile.
func TestAHookIsToldThatItIsNotWell(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		h := &hooks{run: func(_ context.Context, m engine.Moment) error {
			if m == engine.MomentUnhealthy {
				time.Sleep(5 * time.Minute)
			}
			return nil
		}}
		s.hooks = h
		p, r := s.sick(onSick(engine.OnSickBack, engine.StrategyAll), "m00", "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 taken_back, m01 taken_back")
		if got := h.moments(); got != "before_build planned before_commit unhealthy ended" {
			t.Errorf("told: %s", got)
		}
		e := h.of(t, engine.MomentUnhealthy)
		if e.Problem == nil || !strings.Contains(e.Problem.What, "is not well: 10 crashes of Counter.Tally") || len(e.Machines) != 2 || e.Machines[0].Outcome != engine.OutcomeMachineUnhealthy {
			t.Errorf("%+v", e)
		}
		commits := s.Calls(agenttest.Match{Kind: agenttest.Commit})
		if took := commits[len(commits)-1].At.Sub(h.at[3]); took > 4*time.Minute {
			t.Errorf("it was taken back %s after the hook was told", took)
		}
		s.nothingLeft()
	})
}

// A plan that is declined does not wait for a command that was told of it, and a hurried end waits for none.
func TestHooksDoNotHoldUpAnOperator(t *testing.T) {
	hang := func(at engine.Moment) *hooks {
		return &hooks{
			run: func(ctx context.Context, m engine.Moment) error {
				if m == at {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			},
			post: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		}
	}
	t.Run("declined", func(t *testing.T) {
		played(t, 1, func(t *testing.T, s *stage) {
			s.hooks = hang(engine.MomentPlanned)
			r := s.start(asking())
			r.asks(engine.QuestionPlan)
			begun := time.Now()
			r.Answer(engine.Answer{To: engine.QuestionPlan})
			_, result := r.end()
			if took := time.Since(begun); result.Outcome != engine.OutcomeCancelled || took > time.Minute {
				t.Errorf("it ended %s after %s: %v", result.Outcome, took, result.Problem)
			}
			s.nothingLeft()
		})
	})
	t.Run("hurried", func(t *testing.T) {
		played(t, 1, func(t *testing.T, s *stage) {
			s.hooks = hang(engine.MomentEnded)
			r := s.start(asking())
			r.asks(engine.QuestionPlan)
			begun := time.Now()
			r.Hurry()
			r.end()
			if took := time.Since(begun); took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	})
	t.Run("stopped before the commit", func(t *testing.T) {
		played(t, 1, func(t *testing.T, s *stage) {
			s.hooks = hang(engine.MomentBeforeCommit)
			r := s.start(playedSettings())
			r.until("it ran", func(e engine.Event) bool { return e.Log == "before_commit: hello" })
			r.Stop()
			p, result := r.end()
			wants(t, p, result, engine.OutcomeCancelled, "m00 aborted")
			s.nothingLeft()
		})
	})
}

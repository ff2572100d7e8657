package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// leasedBy expects a machine's lease to be a deploy's, and to end soon if nobody renews it.
func (s *stage) leasedBy(id string, when string) {
	s.t.Helper()
	l := s.Leased(id)
	if left := time.Until(l.Until); !strings.HasPrefix(l.Description, "flydeploy 0") || left <= 0 || left > 30*time.Second {
		s.t.Errorf("%s the lease of machine %s is %+v", when, id, l)
	}
}

func TestMachinesAreLeasedWhileTheyCommit(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Arm}, agenttest.Before(func() { s.leasedBy("m00", "while machines are armed") }))
		s.Behave("m01", func(b *agenttest.Behaviour) { b.Commits = 50 * time.Second }) // longer than a lease lasts
		s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m01", Times: 1}, agenttest.Before(func() { s.leasedBy("m00", "after 50 s"); s.leasedBy("m01", "after 50 s") }))
		settings := baking(time.Minute)
		r := s.start(settings)
		r.until("machines are watched", func(e engine.Event) bool { return e.Phase == engine.PhaseWatch })
		for _, id := range []string{"m00", "m01"} {
			if l := s.Leased(id); l.Held() {
				t.Errorf("while it is watched the lease of machine %s is %+v", id, l)
			}
		}
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
	})
}

// Somebody who takes a lease after the plan is waited for; if that takes long, the machine stays as it is, and who holds it is named.
func TestALeaseThatComesAfterThePlan(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"short": 15 * time.Second, "long": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			played(t, 2, func(t *testing.T, s *stage) {
				r := s.start(playedSettings())
				r.until("the plan is made", func(e engine.Event) bool { return e.Plan != nil })
				s.LeaseTo("m01", "bob@example.com", lasts)
				r.until("it waits", func(e engine.Event) bool {
					return e.Machine == "m01" && strings.Contains(e.Text, "waiting for the machine's lease, which bob@example.com holds")
				})
				p, result := r.end()
				if lasts < time.Minute {
					wants(t, p, result, engine.OutcomeSucceeded, "m00 committed, m01 committed")
					return
				}
				wants(t, p, result, engine.OutcomeFailed, "m00 aborted, m01 failed")
				wantNamed(t, result.Problem, "leased")
				if !strings.Contains(result.Problem.What, "machine m01: its lease is held by bob@example.com") || s.State("m01").Code.Version != "1.0.0" {
					t.Errorf("problem: %v", result.Problem)
				}
				if l := s.Leased("m00"); l.Held() {
					t.Errorf("the lease of machine m00 is left: %+v", l)
				}
				s.nothingLeft()
			})
		})
	}
}

// One that the plan has named was confirmed with it.
func TestALeaseThatThePlanHasNamed(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.LeaseTo("m00", "bob@example.com", time.Hour)
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if !slices.ContainsFunc(p.Plan.Findings, func(f engine.Finding) bool { return f.Name == "leased" }) || !strings.Contains(logOf(p), "going on without the machine's lease, which bob@example.com holds") {
			t.Errorf("nobody was told\n%s", logOf(p))
		}
		if l := s.Leased("m00"); l.Owner != "bob@example.com" {
			t.Errorf("the lease is %+v", l)
		}
	})
}

// The answer that granted a lease may be lost: the lease may be ours all the same. Nobody waits for it, and what stays of it is named with its end.
func TestALeaseWhoseAnswerIsLost(t *testing.T) {
	for name, lose := range map[string]agenttest.Hook{"answer lost": agenttest.LoseAnswer, "no answer in time": agenttest.HangAfter, "request lost": agenttest.LoseRequest} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				s.On(agenttest.Match{Kind: agenttest.TakeLease, Times: 1}, lose)
				started := time.Now()
				p, r := s.deploy(playedSettings())
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
				if took := time.Since(started); took > 2*time.Minute { // a minute of which is the build's
					t.Errorf("it took %s\n%s", took, logOf(p))
				}
				if name == "request lost" {
					if len(r.Left) > 0 {
						t.Errorf("named though nobody holds it: %+v", r.Left)
					}
					return
				}
				if !strings.Contains(logOf(p), "the answer that granted the machine's lease was lost") {
					t.Errorf("nobody was told\n%s", logOf(p))
				}
				s.leasedBy("m00", "after the deploy")
				left := leftOf(t, r, engine.LeftLease)
				if left.Machine != "m00" || left.EndNow != "fly machine leases clear m00 --app counter" {
					t.Errorf("%+v", left)
				}
				time.Sleep(time.Until(left.EndsAt))
				if l := s.Leased("m00"); l.Held() {
					t.Errorf("it is held still: %+v", l)
				}
			})
		})
	}
}

// longCommit has machine m00 commit for longer than a lease lasts, and gives its lease 90 seconds later, while it still commits.
func (s *stage) longCommit() *engine.Lease {
	s.Behave("m00", func(b *agenttest.Behaviour) { b.Commits = 90 * time.Second })
	var late engine.Lease
	s.On(agenttest.Match{Kind: agenttest.LoadedCode, Machine: "m00", Times: 1}, agenttest.Before(func() { late = s.Leased("m00") }))
	return &late
}

// A lease that has ended under a wave, for whatever reason, is taken again while the wave runs, and nothing of it stays.
func TestALeaseIsTakenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*stage)
		says  string
	}{
		"the answer that granted it was lost": {func(s *stage) { s.On(agenttest.Match{Kind: agenttest.TakeLease, Times: 1}, agenttest.LoseAnswer) }, "is taken again"},
		"without network for longer than it lasts": {func(s *stage) {
			s.On(agenttest.Match{Kind: agenttest.RenewLease}, agenttest.Outage(35*time.Second))
		}, "is taken again"},
		"its own lease is in the way when it asks": {func(s *stage) {
			s.On(agenttest.Match{Kind: agenttest.TakeLease, Times: 1}, func(_ context.Context, _ agenttest.Call, carryOut func() agenttest.Answer) agenttest.Answer {
				carryOut()
				return agenttest.Answer{Err: engine.ErrLeased}
			})
		}, "is taken again"},
		"its own lease is in the way when it renews": {func(s *stage) {
			s.On(agenttest.Match{Kind: agenttest.RenewLease, Times: 1}, agenttest.Fail(engine.ErrLeased))
		}, "is taken again"},
		"the renewal has another nonce": {func(s *stage) {
			s.On(agenttest.Match{Kind: agenttest.RenewLease, Times: 1}, func(context.Context, agenttest.Call, func() agenttest.Answer) agenttest.Answer {
				s.LeaseTo("m00", "ann@example.com", 30*time.Second)
				return agenttest.Answer{Value: "theirs"} // its nonce
			})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			played(t, 1, func(t *testing.T, s *stage) {
				late := s.longCommit()
				c.fault(s)
				settings := playedSettings()
				settings.Timeout = 3 * time.Minute
				p, r := s.deploy(settings)
				wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
				if !strings.HasPrefix(late.Description, "flydeploy 0") || !strings.Contains(logOf(p), c.says) || strings.Contains(logOf(p), "lease is lost") {
					t.Errorf("in the wave the lease is %+v\n%s", *late, logOf(p))
				}
				if l := s.Leased("m00"); l.Held() || len(r.Left) > 0 {
					t.Errorf("left: %+v, %+v", l, r.Left)
				}
			})
		})
	}
}

// One that has ended, and that Fly grants no more, is told.
func TestALeaseThatIsNotGrantedAgain(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.longCommit()
		s.On(agenttest.Match{Kind: agenttest.RenewLease}, agenttest.Outage(35*time.Second))
		s.On(agenttest.Match{Kind: agenttest.TakeLease, After: 1}, agenttest.Fail(engine.ErrForbidden))
		settings := playedSettings()
		settings.Timeout = 3 * time.Minute
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if asked := len(s.Calls(agenttest.Match{Kind: agenttest.TakeLease})); asked != 2 || !strings.Contains(logOf(p), "the machine's lease is lost") {
			t.Errorf("asked %d times\n%s", asked, logOf(p))
		}
	})
}

// One that cannot be released is named.
func TestALeaseThatIsNotReleased(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.ReleaseLease, Machine: "m00"}, agenttest.LoseRequest)
		s.On(agenttest.Match{Kind: agenttest.ReleaseLease, Machine: "m01"}, agenttest.LoseAnswer)
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if left := leftOf(t, r, engine.LeftLease); left.Machine != "m00" || len(r.Left) != 1 {
			t.Errorf("left: %+v", r.Left)
		}
	})
}

// Nor is one named that has ended by the time of the result.
func TestALeaseThatHasEndedMeanwhile(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.ReleaseLease}, agenttest.LoseRequest)
		p, r := s.deploy(baking(time.Minute))
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if len(r.Left) > 0 {
			t.Errorf("left: %+v", r.Left)
		}
	})
}

// Where somebody else gets the lease in the middle of the commit, that is told, and the lease is not given back.
func TestALeaseThatIsLost(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Behave("m00", func(b *agenttest.Behaviour) { b.Commits = 25 * time.Second })
		s.On(agenttest.Match{Kind: agenttest.Commit}, agenttest.Before(func() { s.LeaseTo("m00", "bob@example.com", time.Hour) }))
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if l := s.Leased("m00"); l.Owner != "bob@example.com" || !strings.Contains(logOf(p), "the machine's lease is lost") {
			t.Errorf("the lease is %+v\n%s", l, logOf(p))
		}
	})
}

package deploy_test

import (
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

// The answer that granted a lease may be lost: it is ours all the same, and nobody waits for it.
func TestALeaseWhoseAnswerIsLost(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.TakeLease, Times: 1}, agenttest.LoseAnswer)
		started := time.Now()
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if took := time.Since(started); took > 2*time.Minute { // a minute of which is the build's
			t.Errorf("it took %s\n%s", took, logOf(p))
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

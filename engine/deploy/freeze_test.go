package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

const whyFrozen = "Black Friday"

func (s *stage) freeze(d time.Duration) {
	s.t.Helper()
	if err := s.NewConsole("desk").Storage.Freeze(s.t.Context(), "bob@desk", "01K9000000000000000000BBBB", whyFrozen, d); err != nil {
		s.t.Fatal(err)
	}
}

// Nobody deploys during a freeze, and is told why and until when; nothing is built or staged.
func TestAFreezeKeepsEverybodyFromDeploying(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		s.freeze(2 * time.Hour)
		for _, owner := range []string{"ann@laptop", "bob@desk"} {
			settings := playedSettings()
			settings.Owner = owner
			p, r := s.deploy(settings)
			if r.Outcome != engine.OutcomeLocked || r.Problem.Name != "frozen" || !strings.Contains(r.Problem.What, "frozen by bob@desk") ||
				!strings.Contains(r.Problem.What, whyFrozen) || !strings.Contains(r.Problem.Remedy, "lock release") {
				t.Errorf("%s: it ended %s: %v\n%s", owner, r.Outcome, r.Problem, logOf(p))
			}
		}
		for _, kind := range []agenttest.Kind{agenttest.Build, agenttest.Inject} {
			if n := len(s.Calls(agenttest.Match{Kind: kind})); n > 0 {
				t.Errorf("%s was called %d times", kind, n)
			}
		}
	})
}

func TestADeployWaitsForTheEndOfAFreeze(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.freeze(time.Hour)
		begun := time.Now()
		settings := playedSettings()
		settings.LockWait = 2 * time.Hour
		p, r := s.deploy(settings)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed")
		if took := time.Since(begun); took < time.Hour || took > time.Hour+5*time.Minute {
			t.Errorf("it ended after %s", took)
		}
	})
}

// An override ends the freeze for everybody, and says so.
func TestAFreezeIsOverridden(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.freeze(time.Hour)
		r := s.start(asking())
		r.asks(engine.QuestionLock)
		if held := r.p.Held; held == nil || held.Freeze != whyFrozen {
			t.Fatalf("held: %+v", held)
		}
		r.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true, OverrideETag: r.p.Held.ETag})
		r.asks(engine.QuestionPlan)
		if text := r.p.Fleet[engine.PhaseLock].Text; !strings.Contains(text, "ended the freeze of bob@desk") {
			t.Errorf("it says %q", text)
		}
		r.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		p, result := r.end()
		wants(t, p, result, engine.OutcomeSucceeded, "m00 committed")
		_, again := s.deploy(playedSettings())
		if again.Outcome != engine.OutcomeSucceeded {
			t.Errorf("the freeze is back: %v", again.Problem)
		}
	})
}

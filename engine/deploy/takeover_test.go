package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/fly/local"
)

func TestOneOwnerAtATime(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	w.anOwnerWhoCannotRenewStops(t)
	w.anOwnerWhoIsOverriddenStops(t) // after the first one's lock, which nobody could release, has expired
}

// The network to the bucket is gone for longer than the lock lives: others may take it, so the owner stops by itself.
func (w *world) anOwnerWhoCannotRenewStops(t *testing.T) {
	s := settings()
	s.LockTimeout, s.Yes, s.Ask = 6*time.Second, false, true
	d := deploy.Start(t.Context(), s, w.ports(2))
	cut := false
	p := w.watch(d, func(p *engine.Progress) {
		if p.Asks() == engine.QuestionPlan && !cut {
			cut = true
			w.local.Faults().Inject(local.Target{Service: local.S3}, 0, local.Cut())
		}
	})
	r := d.Result()
	w.local.Faults().Lift()
	if r.Outcome != engine.OutcomeFailed || r.Problem.Name != "lock_lost" || !errors.Is(r.Problem, engine.ErrLockLost) {
		t.Errorf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.expectVersion(w.ids[0], "1.0.0")
}

// Bob overrides Ann, who is alive and about to confirm her plan. She notices within a heartbeat, starts nothing, and says
// who took the lock; Bob ends the agents that she has staged, and deploys.
func (w *world) anOwnerWhoIsOverriddenStops(t *testing.T) {
	anns := settings()
	anns.Owner, anns.LockTimeout, anns.Yes, anns.Ask = "ann@laptop", 15*time.Second, false, true
	ann := deploy.Start(t.Context(), anns, w.ports(2))
	staged, ended := make(chan struct{}), make(chan *engine.Progress, 1)
	go func() {
		told := false
		ended <- w.watch(ann, func(p *engine.Progress) {
			if p.Asks() == engine.QuestionPlan && !told {
				told = true
				close(staged)
			}
		})
	}()
	<-staged

	bobs := settings()
	bobs.Owner, bobs.LockTimeout, bobs.Yes, bobs.Ask = "bob@desk", 15*time.Second, false, true
	bob := deploy.Start(t.Context(), bobs, w.ports(2))
	var overridden time.Time
	renewals := map[string]bool{}
	p := w.watch(bob, func(p *engine.Progress) {
		switch p.Asks() {
		case engine.QuestionLock:
			// He types for so long that Ann renews her lock meanwhile: the answer holds for her deploy all the same.
			if renewals[p.Held.ETag] = true; len(renewals) == 2 {
				var first string
				for etag := range renewals {
					if etag != p.Held.ETag {
						first = etag
					}
				}
				bob.Answer(engine.Answer{To: engine.QuestionLock, Proceed: true, OverrideETag: first})
			}
		case engine.QuestionPlan:
			bob.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		}
		if p.Fleet[engine.PhaseLock].Status == engine.StatusDone && overridden.IsZero() {
			overridden = time.Now()
		}
	})
	annsEnd := ann.Result()
	annSaw := <-ended

	if annsEnd.Outcome != engine.OutcomeFailed || annsEnd.Problem.Name != "lock_lost" || !strings.Contains(annsEnd.Problem.Error(), "bob@desk") {
		t.Errorf("Ann's deploy ended %s: %v", annsEnd.Outcome, annsEnd.Problem)
	}
	if s := annSaw.Fleet[engine.PhaseCommit].Status; s != "" {
		t.Errorf("Ann's commit is %s", s)
	}
	if r := bob.Result(); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("Bob's deploy ended %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	text := p.Fleet[engine.PhaseLock].Text
	if !strings.Contains(text, "bob@desk took it from ann@laptop") || !strings.Contains(text, annsEnd.Upgrade.ID) {
		t.Errorf("the record says %q", text)
	}
	t.Logf("Ann had stopped %s after the override", annSaw.LastAt.Sub(overridden))
	for _, id := range w.ids {
		w.expectVersion(id, "2.0.0")
	}
	w.expectNothingLeft()
}

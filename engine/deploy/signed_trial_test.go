package deploy_test

import (
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/record"
)

// What is on trial is not signed for machines, so that nobody can make them boot it; what is confirmed is.
func TestWhatIsConfirmedIsSigned(t *testing.T) {
	signedOn(t, 2, func(t *testing.T, s *stage) {
		s.tried()
		if body := string(s.Object("releases/counter-current.json")); strings.Contains(body, "signature") || !strings.Contains(body, `"trial"`) {
			t.Errorf("on trial: %s", body)
		}
		if _, r := s.deploy(ending(engine.TrialConfirmed)); r.Outcome != engine.OutcomeSucceeded {
			t.Fatal(r.Problem)
		}
		s.isSigned(s.Current().HotUpgrade, "")
	})
}

// Nothing is confirmed of a record that somebody else has written.
func TestATamperedTrialIsNotConfirmed(t *testing.T) {
	for what, tamper := range map[string]func(*stage, engine.Result, engine.Result){
		"another tarball": func(s *stage, _, r engine.Result) {
			s.rewrite(r.Upgrade.ID, r.Upgrade.ID, func(r *record.Record) { r.Upgrade.SHA256 = strings.Repeat("0", 64) })
		},
		"not signed": func(s *stage, _, r engine.Result) {
			s.rewrite(r.Upgrade.ID, r.Upgrade.ID, func(r *record.Record) { r.Upgrade.Signature = nil })
		},
		"an earlier deploy's": func(s *stage, first, _ engine.Result) {
			md := *s.Current()
			trial := md.Trial()
			md.ForgetTrial()
			trial.ID, trial.SHA256 = first.Upgrade.ID, first.Upgrade.SHA256
			md.AddTrial(*trial)
			s.SetCurrent(md)
		},
	} {
		t.Run(what, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				_, first := s.deploy(playedSettings())
				s.SetBuild(agenttest.Image3)
				r := s.tried()
				tamper(s, first, r)
				if _, end := s.deploy(ending(engine.TrialConfirmed)); end.Outcome != engine.OutcomeFailed || s.Current().HotUpgrade.Version != "2.0.0" {
					t.Errorf("%s: %v; recorded %s", end.Outcome, end.Problem, s.Current().HotUpgrade.Version)
				}
			})
		})
	}
}

package deploy_test

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// The upgrade has its VM end while it is watched, and the machine boots it again, as current.json says: it goes back with the others, by a hot
// deploy, and boots what ran before from then on.
func TestBackOfAMachineWhoseVMHasEnded(t *testing.T) {
	for name, test := range map[string]struct {
		ends     func(s *stage)
		outcomes string
		says     string
	}{
		"it has restarted":  {func(s *stage) { s.Restart("m00", agenttest.Boot{}) }, "m00 taken_back, m01 taken_back", "was taken back from 2 machines"},
		"it takes its time": {func(s *stage) { s.Restart("m00", agenttest.Boot{Found: 10 * time.Second, Answers: 20 * time.Second}) }, "m00 taken_back, m01 taken_back", "was taken back from 2 machines"},
		"it is restarting": {func(s *stage) {
			s.EndVM("m00")
			s.Change("m00", func(m *engine.Machine) { m.State = engine.StateRestarting })
			time.AfterFunc(15*time.Second, func() { s.Restart("m00", agenttest.Boot{}) })
		}, "m00 taken_back, m01 taken_back", "was taken back from 2 machines"},
		"it restarts for ever": {func(s *stage) {
			s.EndVM("m00")
			s.Change("m00", func(m *engine.Machine) { m.State = engine.StateRestarting })
		}, "m00 restarted, m01 taken_back", "was taken back from 1 machine ("},
		"another instance":    {func(s *stage) { s.Replace("m00", agenttest.Image1) }, "m00 taken_back, m01 taken_back", "was taken back from 2 machines"},
		"another image":       {func(s *stage) { s.Replace("m00", agenttest.Image3) }, "m00 replaced, m01 taken_back", "was taken back from 1 machine ("},
		"its VM does not run": {func(s *stage) { s.EndVM("m00") }, "m00 restarted, m01 taken_back", "1 VM had ended, and could not be looked at (on machine m00)"},
		"it has stopped":      {func(s *stage) { s.Stop("m00") }, "m00 stopped, m01 taken_back", "was taken back from 1 machine ("},
		"it was destroyed":    {func(s *stage) { s.Remove("m00") }, "m00 gone, m01 taken_back", "was taken back from 1 machine ("},
	} {
		for before, deploys := range map[string]int{"to the image's code": 0, "to an upgrade": 1} {
			t.Run(name+", "+before, func(t *testing.T) {
				played(t, 2, func(t *testing.T, s *stage) {
					s.deploys(deploys)
					r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
					r.watched()
					test.ends(s)
					p, result := r.end()
					wants(t, p, result, engine.OutcomeUnhealthy, test.outcomes)
					if !strings.Contains(result.Problem.What, test.says) {
						t.Errorf("problem: %v", result.Problem)
					}
					earlier := map[int]string{0: "1.0.0", 1: "2.0.0"}[deploys]
					s.runs(earlier, "m01")
					switch m := machineOf(result, "m00"); {
					case m.Outcome == engine.OutcomeTakenBack:
						s.runs(earlier, "m00")
					case m.Outcome == engine.OutcomeRestarted, m.Outcome == engine.OutcomeStopped:
						s.Start("m00")
						s.runs(earlier, "m00")
					}
					s.nothingLeft()
				})
			})
		}
	}
}

// The only machine that serves a group ends as it is to be taken back: its VM is waited for.
func TestBackOfAGroupWhoseOnlyVMHasEnded(t *testing.T) {
	played(t, 1, func(t *testing.T, s *stage) {
		s.Add(engine.Machine{ID: "w00", ProcessGroup: "worker"})
		r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
		r.watched()
		s.Restart("w00", agenttest.Boot{Found: 15 * time.Second})
		p, result := r.end()
		wants(t, p, result, engine.OutcomeUnhealthy, "m00 taken_back, w00 taken_back")
		s.runs("1.0.0", "m00", "w00")
		s.nothingLeft()
	})
}

// What has run the upgrade before this deploy is verified at its end, and recorded: that does not record again what was taken back.
func TestWhatWasTakenBackIsNotRecordedAgain(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		first := s.deployTo("m00")
		settings := onSick(engine.OnSickBack, engine.StrategyAll)
		settings.To = first.Upgrade.ID
		p, r := s.sick(settings, "m01")
		wants(t, p, r, engine.OutcomeUnhealthy, "m00 up_to_date, m01 taken_back")
		if fleet, single := s.recorded(); fleet != "" || len(single) != 1 || single["m00"] != "2.0.0" {
			t.Errorf("recorded: fleet %q, machines %v", fleet, single)
		}
		s.runs("1.0.0", "m01")
	})
}

// Where records are signed, what such a machine boots is signed anew: what it has run is not newer.
func TestBackOfAMachineWhoseVMHasEndedIsSigned(t *testing.T) {
	for name, deploys := range map[string]int{"to the image's code": 0, "to an upgrade": 1} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				s.deploys(deploys)
				r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
				r.watched()
				s.Restart("m00", agenttest.Boot{})
				ran := s.Current().MachineUpgrades["m00"]
				s.isSigned(&ran, "m00")
				p, result := r.end()
				wants(t, p, result, engine.OutcomeUnhealthy, "m00 taken_back")
				md := s.Current()
				signed := int64(0)
				if own := md.OwnCode; deploys == 0 && own != nil && s.keys.CheckOwnCode(playedApp, *md) == nil {
					signed = own.SignedAtMS
				}
				if u := md.MachineUpgrades["m00"]; deploys > 0 {
					s.isSigned(&u, "m00")
					signed = u.Signature.SignedAtMS
				}
				if signed <= ran.Signature.SignedAtMS {
					t.Errorf("what it boots was signed at %d, and what it has run at %d", signed, ran.Signature.SignedAtMS)
				}
				s.nothingLeft()
			})
		})
	}
}

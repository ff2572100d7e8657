package deploy_test

import (
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// Machines are looked at while the image is built: once the upgrade is in the bucket, the first exec on each brings the agent, and stages.
func TestMachinesAreLookedAtWhileTheImageIsBuilt(t *testing.T) {
	played(t, 6, func(t *testing.T, s *stage) {
		s.On(agenttest.Match{Kind: agenttest.Discover, Machine: "m04"}, agenttest.Hang) // who does not answer keeps nobody waiting
		settings := playedSettings()
		settings.Timeout = 10 * time.Second
		d := s.start(settings)
		var uploaded time.Time
		d.until("the upload", func(e engine.Event) bool {
			uploaded = e.At
			return e.Phase == engine.PhaseUpload && e.Status == engine.StatusDone
		})
		d.until("the plan", func(e engine.Event) bool { return e.Phase == engine.PhasePlan })
		for _, id := range []string{"m01", "m02", "m03", "m05"} {
			for _, c := range s.Calls(agenttest.Match{Kinds: agenttest.Kind.IsExec, Machine: id}) {
				if c.Kind == agenttest.Discover && c.At.After(uploaded) {
					t.Errorf("machine %s is looked at %s after the upload", id, c.At.Sub(uploaded))
				}
			}
			if calls := s.Calls(agenttest.Match{Kind: agenttest.Inject, Machine: id}); len(calls) != 1 || calls[0].At.Sub(uploaded) > 2*time.Second {
				t.Errorf("machine %s got its agents: %+v, uploaded %s", id, calls, uploaded)
			}
		}
		d.end()
		s.nothingLeft()
	})
}

// What was found then may be another VM by now: it is looked for again, and upgraded.
func TestAVMThatRestartsWhileTheImageIsBuilt(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		d := s.start(playedSettings())
		d.until("the tarball", func(e engine.Event) bool { return e.Phase == engine.PhaseTarball && e.Status == engine.StatusRunning })
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.Discover, Machine: "m02"})); n != 1 {
			t.Errorf("it was looked at %d times", n)
		}
		s.Restart("m02", agenttest.Boot{})
		p, r := d.end()
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m02 committed, m01 committed")
		s.nothingLeft()
	})
}

// Where nothing is built or packed, nobody looks ahead: the machine would have to answer twice.
func TestNobodyLooksAheadOfWhatIsThere(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		_, first := s.deploy(playedSettings())
		before := len(s.Calls(agenttest.Match{Kind: agenttest.Discover, Machine: "m01"}))
		again := playedSettings()
		again.To = first.Upgrade.ID
		p, r := s.deploy(again)
		wants(t, p, r, engine.OutcomeSucceeded, "m00 up_to_date, m01 up_to_date")
		if n := len(s.Calls(agenttest.Match{Kind: agenttest.Discover, Machine: "m01"})) - before; n != 1 {
			t.Errorf("it was looked at %d times", n)
		}
	})
}

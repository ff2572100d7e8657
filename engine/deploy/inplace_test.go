package deploy_test

import (
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// A `fly deploy` that updates a machine in place, to another image or to another one under the same tag, in the middle of a hot deploy: what
// the plan, the commit and the verification say. Machines that were updated have another instance, and their own image's code.
func TestUpdatedInPlaceAtEachStep(t *testing.T) {
	const (
		planned  = "other_image on machine m01 (it runs image "
		staged   = "staging_failed on machine m01 ("
		armed    = "machine m01 was replaced after the plan: it runs image "
		unseen   = "machine m01 was replaced " // before the end of its commit was seen, or after it
		replaced = "machine m01 was replaced after the commit"
	)
	m01 := func(k agenttest.Kind) agenttest.Match { return agenttest.Match{Kind: k, Machine: "m01", Times: 1} }
	once := func(k agenttest.Kind) agenttest.Match { return agenttest.Match{Kind: k, Times: 1} }
	for _, moment := range []struct {
		step    string
		match   agenttest.Match
		after   bool
		outcome engine.Outcome
		m00     engine.MachineOutcome
		says    string
	}{
		{"connect", once(agenttest.ListMachines), true, engine.OutcomeBlocked, engine.OutcomeAborted, planned},
		{"lock", once(agenttest.AcquireLock), true, engine.OutcomeBlocked, engine.OutcomeAborted, planned},
		{"survey", once(agenttest.ReadMetadata), true, engine.OutcomeBlocked, engine.OutcomeAborted, planned},
		{"pack", once(agenttest.CreateTemporary), true, engine.OutcomeBlocked, engine.OutcomeAborted, planned},
		{"inject", m01(agenttest.Inject), false, engine.OutcomeBlocked, engine.OutcomeAborted, planned}, // it is found again
		{"staging", m01(agenttest.Inject), true, engine.OutcomeBlocked, engine.OutcomeAborted, staged},
		{"plan", m01(agenttest.TakeLease), false, engine.OutcomeFailed, engine.OutcomeAborted, armed},
		{"arm", m01(agenttest.Arm), false, engine.OutcomeFailed, engine.OutcomeAborted, armed},
		{"armed", m01(agenttest.Arm), true, engine.OutcomePartial, engine.OutcomeCommitted, unseen},
		{"commit", m01(agenttest.Commit), false, engine.OutcomePartial, engine.OutcomeCommitted, unseen},
		{"committed", m01(agenttest.Commit), true, engine.OutcomePartial, engine.OutcomeCommitted, unseen},
		{"verify", m01(agenttest.LoadedCode), false, engine.OutcomePartial, engine.OutcomeCommitted, replaced},
		{"verified", m01(agenttest.LoadedCode), true, engine.OutcomePartial, engine.OutcomeCommitted, replaced},
		{"record", once(agenttest.WriteMetadata), false, engine.OutcomePartial, engine.OutcomeCommitted, replaced},
		{"recorded", once(agenttest.WriteMetadata), true, engine.OutcomePartial, engine.OutcomeCommitted, replaced},
	} {
		for _, image := range []string{agenttest.Image2, agenttest.Image1 + digest2} {
			t.Run(moment.step+" "+image, func(t *testing.T) {
				played(t, 2, func(t *testing.T, s *stage) {
					for _, id := range []string{"m00", "m01"} {
						s.Replace(id, agenttest.Image1+digest1)
					}
					hook := agenttest.Before
					if moment.after {
						hook = agenttest.After
					}
					s.On(moment.match, hook(func() { s.Replace("m01", image) }))
					p, r := s.deploy(playedSettings())
					if r.Outcome != moment.outcome || r.Machines[0].Outcome != moment.m00 || r.Problem == nil || !strings.Contains(r.Problem.What, moment.says) || r.Problem.Remedy == "" {
						t.Errorf("%s (%s): %v, want %s with %q\n%s", r.Outcome, outcomes(r), r.Problem, moment.outcome, moment.says, logOf(p))
					}
					if o := r.Machines[1].Outcome; o == engine.OutcomeCommitted {
						t.Errorf("m01 counts as %s", o)
					}
					s.namesOnly(image)
					s.nothingLeft()
				})
			})
		}
	}
}

// namesOnly expects a record, if there is one, to be about the image of before, and to name nothing for m01 of its own.
func (s *stage) namesOnly(other string) {
	s.t.Helper()
	md := s.Current()
	if md == nil {
		return
	}
	if _, own := md.MachineUpgrades["m01"]; own || engine.SameImage(md.FullImage(), other) {
		s.t.Errorf("recorded: %+v", md)
	}
}

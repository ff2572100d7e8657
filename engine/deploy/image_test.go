package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

const (
	digest1 = "@sha256:1111111111111111"
	digest2 = "@sha256:2222222222222222"
)

// A cold deploy under the same tag moves the tag to another image, for which the recorded upgrade was not made.
func TestATagThatMovedIsAnotherImage(t *testing.T) {
	played(t, 2, func(t *testing.T, s *stage) {
		for _, id := range []string{"m00", "m01"} {
			s.Replace(id, agenttest.Image1+digest1)
		}
		p, r := s.deploy(playedSettings())
		wants(t, p, r, engine.OutcomeSucceeded, "m00 committed, m01 committed")
		if md := s.Current(); md.ImageRef != agenttest.Image1 || md.FullImage() != agenttest.Image1+digest1 || md.HotUpgrade == nil {
			t.Fatalf("recorded %+v", md)
		}
		s.Replace("m00", agenttest.Image1+digest2)
		s.Replace("m01", agenttest.Image1+digest2)
		fleet, err := s.Fleet.Machines(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := engine.Overview{Machines: fleet, Metadata: s.Current()}
		if stale := o.StaleMachines(); !slices.Equal(stale, []string{"m00", "m01"}) || !o.RecordIsStale() {
			t.Errorf("the record is stale for %v", stale)
		}
		p, r = s.deploy(playedSettings())
		if r.Outcome != engine.OutcomeSucceeded {
			t.Fatalf("%s: %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		if md := s.Current(); md.FullImage() != agenttest.Image1+digest2 || len(md.MachineUpgrades) > 0 {
			t.Errorf("recorded %+v", md)
		}
	})
}

// While a cold deploy under the same tag is half done, machines run different images.
func TestATagInTheMiddleOfAMove(t *testing.T) {
	played(t, 3, func(t *testing.T, s *stage) {
		s.Replace("m00", agenttest.Image1+digest1)
		s.Replace("m01", agenttest.Image1+digest1)
		s.Replace("m02", agenttest.Image1+digest2)
		p, r := s.deploy(playedSettings())
		found := p.Plan.Findings
		i := slices.IndexFunc(found, func(f engine.Finding) bool { return f.Name == "other_image" })
		if i < 0 || !slices.Equal(found[i].Machines, []string{"m02"}) || !strings.Contains(found[i].What, "@sha256:222222222222, and the others run") {
			t.Errorf("%s: %+v", r.Outcome, found)
		}
	})
}

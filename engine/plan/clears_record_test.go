package plan_test

import (
	"slices"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/plan"
	"flydeploy/engine/target"
)

func testFleet() []engine.Machine {
	return []engine.Machine{
		{ID: "m3", Region: "fra", State: engine.StateStarted, ProcessGroup: "web", Image: "r/a:1"},
		{ID: "m1", Region: "ams", State: engine.StateStarted, ProcessGroup: "web", Image: "r/a:1@sha256:aa"},
		{ID: "m2", Region: "ams", State: engine.StateStopped, ProcessGroup: "web", Image: "r/a:1"},
		{ID: "m4", Region: "ams", State: engine.StateSuspended, ProcessGroup: "worker", Image: "r/a:1"},
		{ID: "rc", Region: "ams", State: engine.StateStarted, LeftOut: "flyctl's release command"},
		{ID: "tmp", Region: "ams", State: engine.StateStarted, Temporary: "01ABC"},
	}
}

// With blue and green machines, recording the upgrade of one colour would remove the other's from current.json.
func TestThePlanTellsWhoseRecordItClears(t *testing.T) {
	fleet := append(testFleet(), engine.Machine{ID: "blue", Region: "fra", State: engine.StateStarted, ProcessGroup: "blue", Image: "r/a:2"})
	before := engine.Metadata{ImageRef: "r/a:1", HotUpgrade: &engine.HotUpgrade{Version: "2.0.0"}}
	for _, c := range []struct {
		selected engine.Selection
		before   engine.Metadata
		want     []string
	}{
		{engine.Selection{ProcessGroups: []string{"blue"}}, before, []string{"m1", "m2", "m3", "m4"}},
		{engine.Selection{ProcessGroups: []string{"blue"}}, engine.Metadata{ImageRef: "r/a:1"}, nil},
		{engine.Selection{ProcessGroups: []string{"blue"}}, engine.Metadata{}, nil},
		{engine.Selection{ProcessGroups: []string{"web"}}, before, nil},
	} {
		scope, err := target.ScopeOf(fleet, c.selected)
		if err != nil {
			t.Fatal(err)
		}
		p := plan.Make(plan.Facts{
			Upgrade: engine.Upgrade{BaseImage: engine.BaseImage(scope.In)}, LeftOut: scope.Out, Fleet: fleet, Recorded: c.before,
		})
		var got []string
		for _, f := range p.Blockers() {
			if f.Name == "clears_record" {
				got = f.Machines
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v over %+v: it clears the record of %v, want %v", c.selected, c.before, got, c.want)
		}
	}
}

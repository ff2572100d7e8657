package engine

import (
	"slices"
	"strings"
	"testing"
)

func testFleet() []Machine {
	return []Machine{
		{ID: "m3", Region: "fra", State: StateStarted, ProcessGroup: "web", Image: "r/a:1"},
		{ID: "m1", Region: "ams", State: StateStarted, ProcessGroup: "web", Image: "r/a:1@sha256:aa"},
		{ID: "m2", Region: "ams", State: StateStopped, ProcessGroup: "web", Image: "r/a:1"},
		{ID: "m4", Region: "ams", State: StateSuspended, ProcessGroup: "worker", Image: "r/a:1"},
		{ID: "rc", Region: "ams", State: StateStarted, LeftOut: "flyctl's release command"},
		{ID: "tmp", Region: "ams", State: StateStarted, Temporary: "01ABC"},
	}
}

func TestScopeLeavesOutWithAReason(t *testing.T) {
	s, err := inScope(testFleet(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.in) != 2 || s.in[0].ID != "m1" || s.in[1].ID != "m3" {
		t.Errorf("in scope: %+v, want the started machines by region", s.in)
	}
	for _, m := range s.out {
		if m.LeftOut == "" || m.Temporary != "" {
			t.Errorf("left out without a reason, or a temporary machine: %+v", m)
		}
	}
}

func TestScopeFollowsTheSelection(t *testing.T) {
	s, err := inScope(testFleet(), Selection{Regions: []string{"fra"}})
	if err != nil || len(s.in) != 1 || s.in[0].ID != "m3" {
		t.Errorf("in scope: %+v, error %v, want m3", s.in, err)
	}
}

func TestScopeNamesWhatDoesNotExist(t *testing.T) {
	for want, sel := range map[string]Selection{
		"machine nope does not exist":          {Machines: []string{"nope"}},
		"machine m2 cannot be upgraded now":    {Machines: []string{"m2"}},
		"no machine to upgrade: none is start": {Regions: []string{"syd"}},
	} {
		_, err := inScope(testFleet(), sel)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m1") {
			t.Errorf("selection %+v: %v; want %q and the machines that exist", sel, err, want)
		}
	}
}

func TestBaseImageIsWhatMostMachinesRun(t *testing.T) {
	machines := append(testFleet()[:3], Machine{Image: "r/a:2"})
	if got := baseImage(machines); got != "r/a:1" {
		t.Errorf("base image %q", got)
	}
}

func TestSameImage(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"r/a:1", "r/a:1", true},
		{"r/a:1", "r/a:1@sha256:aa", true},
		{"r/a:1@sha256:bb", "r/a:1@sha256:aa", false},
		{"r/a:1", "r/a:2", false},
		{"r/a:1", "r/b:1", false},
		{"localhost:5000/a", "localhost:5000/a:1", false},
	} {
		if got := SameImage(c.a, c.b); got != c.same {
			t.Errorf("SameImage(%q, %q) = %v", c.a, c.b, got)
		}
	}
	if Repository("localhost:5000/a") != "localhost:5000/a" || Repository("h/a:1@sha256:x") != "h/a" || Tag("h/a:1@sha256:x") != "1" {
		t.Error("a port is not a tag, and a digest belongs to neither")
	}
}

// A colour of machines stands beside the others: to record its upgrade, current.json would forget theirs.
func TestThePlanTellsWhoseRecordItClears(t *testing.T) {
	fleet := append(testFleet(), Machine{ID: "blue", Region: "fra", State: StateStarted, ProcessGroup: "blue", Image: "r/a:2"})
	before := Metadata{ImageRef: "r/a:1", HotUpgrade: &HotUpgrade{Version: "2.0.0"}}
	for _, c := range []struct {
		selected Selection
		before   Metadata
		want     []string
	}{
		{Selection{ProcessGroups: []string{"blue"}}, before, []string{"m1", "m2", "m3", "m4"}},
		{Selection{ProcessGroups: []string{"blue"}}, Metadata{ImageRef: "r/a:1"}, nil},
		{Selection{ProcessGroups: []string{"blue"}}, Metadata{}, nil},
		{Selection{ProcessGroups: []string{"web"}}, before, nil},
	} {
		p := pipeline{target: &Target{Machines: fleet}, before: c.before}
		var err error
		if p.scope, err = inScope(fleet, c.selected); err != nil {
			t.Fatal(err)
		}
		p.upgrade.BaseImage = baseImage(p.scope.in)
		var got []string
		for _, f := range (&Plan{Findings: p.findings()}).Blockers() {
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

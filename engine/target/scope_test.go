package target

import (
	"strings"
	"testing"

	"flydeploy/engine"
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

func TestScopeLeavesOutWithAReason(t *testing.T) {
	s, err := ScopeOf(testFleet(), engine.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.In) != 2 || s.In[0].ID != "m1" || s.In[1].ID != "m3" {
		t.Errorf("in scope: %+v, want the started machines by region", s.In)
	}
	for _, m := range s.Out {
		if m.LeftOut == "" || m.Temporary != "" {
			t.Errorf("left out without a reason, or a temporary machine: %+v", m)
		}
	}
}

func TestScopeFollowsTheSelection(t *testing.T) {
	s, err := ScopeOf(testFleet(), engine.Selection{Regions: []string{"fra"}})
	if err != nil || len(s.In) != 1 || s.In[0].ID != "m3" {
		t.Errorf("in scope: %+v, error %v, want m3", s.In, err)
	}
}

func TestScopeNamesWhatDoesNotExist(t *testing.T) {
	for want, sel := range map[string]engine.Selection{
		"machine nope does not exist":          {Machines: []string{"nope"}},
		"machine m2 cannot be upgraded now":    {Machines: []string{"m2"}},
		"no machine to upgrade: none is start": {Regions: []string{"syd"}},
	} {
		_, err := ScopeOf(testFleet(), sel)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m1") {
			t.Errorf("selection %+v: %v; want %q and the machines that exist", sel, err, want)
		}
	}
}

func TestBaseImageIsWhatMostMachinesRun(t *testing.T) {
	machines := append(testFleet()[:3], engine.Machine{Image: "r/a:2"})
	if got := engine.BaseImage(machines); got != "r/a:1" {
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
		if got := engine.SameImage(c.a, c.b); got != c.same {
			t.Errorf("SameImage(%q, %q) = %v", c.a, c.b, got)
		}
	}
	if engine.Repository("localhost:5000/a") != "localhost:5000/a" || engine.Repository("h/a:1@sha256:x") != "h/a" || engine.Tag("h/a:1@sha256:x") != "1" {
		t.Error("a port is not a tag, and a digest belongs to neither")
	}
}

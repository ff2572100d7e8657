package doctor

import (
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
)

func TestDoctorTellsDisksThatStay(t *testing.T) {
	var checks []engine.Check
	d := &doctor{report: func(c engine.Check) { checks = append(checks, c) }}
	d.machines([]engine.Machine{{ID: "m1", State: engine.StateStarted, Image: "r/a:1", KeepsDisk: true}, {ID: "m2", State: engine.StateStarted, Image: "r/a:1"}})
	if len(checks) != 2 || checks[1].Name != "keeps_disk" || checks[1].Machine != "m1" || checks[1].Status != engine.CheckWarn || checks[1].Remedy == "" {
		t.Errorf("got %+v", checks)
	}
}

func TestDoctorTellsLeasesAndImagesOfOneTag(t *testing.T) {
	var checks []engine.Check
	d := &doctor{report: func(c engine.Check) { checks = append(checks, c) }}
	machine := func(id, digest string) engine.Machine {
		return engine.Machine{ID: id, State: engine.StateStarted, Image: "r/a:main", Digest: digest}
	}
	leased := machine("m2", "sha256:2222222222222222")
	leased.Lease = engine.Lease{Owner: "ann@example.com", Until: time.Now()}
	d.machines([]engine.Machine{machine("m1", "sha256:1111111111111111"), leased})
	said := map[string]engine.Check{}
	for _, c := range checks {
		said[c.Name] = c
	}
	if c := said["lease"]; c.Status != engine.CheckWarn || c.Machine != "m2" || !strings.Contains(c.Text, "ann@example.com") || c.Remedy == "" {
		t.Errorf("got %+v", c)
	}
	if c := said["images"]; c.Status != engine.CheckWarn || !strings.HasSuffix(c.Text, "main@sha256:111111111111, main@sha256:222222222222") {
		t.Errorf("got %+v", c)
	}
	if len(checks) != 3 { // and machines
		t.Errorf("got %+v", checks)
	}
}

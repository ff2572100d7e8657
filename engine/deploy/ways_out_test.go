package deploy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// On real nodes: a release_command runs in a temporary machine with the new release, and a plan whose verdict is cold ends with the new
// image on the fleet.
func TestTheReleaseCommandAndTheColdWayOnNodes(t *testing.T) {
	w := newWorld(t, 1)
	s := settings()
	s.ReleaseCommand, s.RunReleaseCommand = `echo "in $(pwd), with $BUCKET_NAME"; ls releases`, true
	p, r := w.deploy(s, 2)
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("outcome %s: %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	for _, printed := range []string{"in /", ", with counter", "2.0.0", "the release_command has succeeded"} {
		if !strings.Contains(logOf(p), printed) {
			t.Errorf("the log lacks %q:\n%s", printed, logOf(p))
		}
	}
	if md := w.current(); md.HotUpgrade == nil || md.HotUpgrade.ReleaseCommand != s.ReleaseCommand {
		t.Errorf("current.json names %+v", md.HotUpgrade)
	}

	s = settings()
	s.OrCold = true
	ports := w.ports(4)
	ports.Cold = func(_ context.Context, image string, log func(string)) error {
		log("Creating a machine with the new image")
		w.launch(image, "ams")
		w.order(http.MethodDelete, w.ids[0], "?force=true")
		w.ids = w.ids[1:]
		return nil
	}
	d := deploy.Start(t.Context(), s, ports)
	p = w.watch(d, nil)
	if r = d.Result(); r.Outcome != engine.OutcomeSucceeded || !r.Cold || len(r.Machines) != 1 || r.Machines[0].Outcome != engine.OutcomeCold {
		t.Fatalf("outcome %s, cold %t, machines %s: %v\n%s", r.Outcome, r.Cold, outcomes(r), r.Problem, logOf(p))
	}
	if v := w.snapshot(w.ids[0]).Versions; v.Version != "4.0.0" || v.StartedVersion != "4.0.0" {
		t.Errorf("the machine runs %s, started as %s", v.Version, v.StartedVersion)
	}
	if md := w.current(); !engine.SameImage(md.ImageRef, r.Upgrade.SourceImage) || md.NamesUpgrades() {
		t.Errorf("current.json after the cold deploy: %+v", md)
	}
	w.expectNothingLeft()
}

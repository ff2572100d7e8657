package deploy_test

import (
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/fly"
)

// toLocal leads requests to Fly's registry to the one on this computer.
type toLocal struct{ registry string }

// RoundTrip implements http.RoundTripper.
func (t toLocal) RoundTrip(r *http.Request) (*http.Response, error) {
	there, err := url.Parse(t.registry)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = there.Scheme, there.Host
	return http.DefaultTransport.RoundTrip(r)
}

// readImage reads images of the local registry.
func (w *world) readImage() engine.ReadImage {
	return fly.Images{Token: w.local.Token(), Transport: toLocal{w.local.RegistryURL()}}.Read
}

// What this computer packs from an image's layers runs on a node, and is what a temporary machine packs: the machine finds nothing to do.
func TestANodeIsUpgradedFromTheImagesLayers(t *testing.T) {
	if !full || runtime.GOARCH != "amd64" {
		t.Skip("only where there is time, and where local images are for Fly's platform")
	}
	t.Parallel()
	w := newWorld(t, 1)
	plan := settings()
	plan.DryRun = true
	if _, r := w.deploy(plan, 2); r.Outcome != engine.OutcomeSucceeded { // which keeps the agent
		t.Fatalf("the plan by a temporary machine: %s %v", r.Outcome, r.Problem)
	}
	s := settings()
	s.Source = engine.SourceRegistry
	p, r := w.deploy(s, 2)
	if r.Outcome != engine.OutcomeSucceeded || p.Fleet[engine.PhaseOrchestrator].Status != engine.StatusSkipped || !strings.Contains(r.Upgrade.SourceImage, "@sha256:") {
		t.Fatalf("%s %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	if left := w.temporaryMachines(); len(left) > 0 {
		t.Errorf("temporary machines %v", left)
	}
	p, r = w.deploy(settings(), 2)
	if r.Outcome != engine.OutcomeSucceeded || len(p.Plan.Modules) > 0 || outcomes(r) != w.ids[0]+" up_to_date" {
		t.Errorf("by a temporary machine: %s %v (%s), modules %+v", r.Outcome, r.Problem, outcomes(r), p.Plan.Modules)
	}
	for _, f := range p.Plan.Findings {
		if f.Name == "config_changed" || f.Name == "native_changed" || f.Name == "boot_changed" {
			t.Errorf("%+v", f)
		}
	}
}

package deploy_test

import (
	"errors"
	"testing"

	"flydeploy/engine"
	"flydeploy/fly/local"
	"flydeploy/s3"
	"flydeploy/s3/s3test"
)

// A deploy whose bucket is on an S3 server that shares no code with the local Fly's: lock, record, tarball and agent lie there, machines download
// from it, and one that restarts reads it in its startup hook.
func TestADeployWhoseBucketIsOnSeaweedFS(t *testing.T) {
	if !full {
		t.Skip("takes minutes: make soak")
	}
	c := s3test.Seaweed(t)
	w := newWorldWith(t, local.Options{
		Isolation: local.Processes, // on this computer's loopback, where that server is
		Secrets: map[string]string{
			"AWS_ENDPOINT_URL_S3": c.Endpoint, "AWS_REGION": c.Region, "BUCKET_NAME": c.Bucket,
			"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey,
		},
	}, nil, 2)
	p, r := w.deploy(settings(), 2)
	if r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("%s (%s): %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
	}
	w.restart(w.ids[0])
	for _, id := range w.ids {
		w.expectVersion(id, "2.0.0")
	}
	b, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if md, _, err := b.Metadata(t.Context()); err != nil || md.HotUpgrade == nil || md.HotUpgrade.ID != r.Upgrade.ID {
		t.Errorf("current.json: %+v, %v", md, err)
	}
	if _, _, err := w.bucket().Metadata(t.Context()); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the local Fly's own bucket was used: %v", err)
	}
}

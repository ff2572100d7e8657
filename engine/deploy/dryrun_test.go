package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/target"
)

// uploading is a temporary machine that uploads, and the bucket that is not looked at afterwards: the deploy was stopped.
type uploading struct {
	engine.Fleet
	engine.Tarballs
	stop    context.CancelFunc
	deleted []string
}

func (u *uploading) Exec(_ context.Context, _ string, command []string, _ string, _ time.Duration) (agent.Output, error) {
	if strings.Contains(command[2], "FLYDEPLOY1 result") {
		u.stop()
		return agent.Output{}, errors.Join(context.Canceled, agent.ErrUnknownOutcome)
	}
	return agent.Output{Stdout: "FLYDEPLOY1 started\n"}, nil
}

func (u *uploading) URL(key string) string { return "https://bucket.example/" + key }

func (u *uploading) PresignPut(context.Context, string, int64, string, time.Duration) (string, map[string]string, error) {
	return "https://bucket.example/t?signature", nil, nil
}

func (u *uploading) Delete(_ context.Context, key string) error {
	u.deleted = append(u.deleted, key)
	return nil
}

// A plan that is stopped while its tarball is on the way leaves none in the bucket.
func TestADryRunThatIsStoppedWhileItUploadsLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	u := &uploading{stop: stop}
	p := &Pipeline{
		settings: engine.Settings{DryRun: true}, ports: Ports{Fleet: u}, rec: record.NewRecorder(record.NewFeed()), hurry: context.Background(),
		Target:  &target.Target{OTPApp: "shop", Storage: engine.Storage{Tarballs: u}},
		Upgrade: engine.Upgrade{ID: ulid.Make().String()},
	}
	p.tarball.made = agent.Tarball{AppVersion: "2.0.0", Size: 1, SHA256: strings.Repeat("0", 64)}
	if err := p.upload(ctx, target.ExecOn(u, "m1")); err == nil {
		t.Fatal("the upload was not stopped")
	}
	p.settling(ctx, p.dropDryRunUpload)
	if want := "releases/shop-plan/" + p.Upgrade.ID + ".tar.gz"; len(u.deleted) != 1 || u.deleted[0] != want {
		t.Errorf("removed %v, not %s", u.deleted, want)
	}
}

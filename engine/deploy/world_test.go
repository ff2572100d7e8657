package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"testing"
	"time"

	"flydeploy/examples/counter/countertest"

	"flydeploy/engine"
	"flydeploy/engine/agent/kept"
	"flydeploy/engine/deploy"
	"flydeploy/engine/sign"
	"flydeploy/examples/counter"
	"flydeploy/fly"
	"flydeploy/fly/local"
	"flydeploy/s3"
)

// world is a local Fly with machines that run version 1 of the sample app, and the real clients on it.
type world struct {
	t     testing.TB
	local *local.Fly
	fleet *fly.Client
	ids   []string
	env   map[string]string // of machines
	keys  *sign.Ring
}

const counters = 600 // processes on each machine; version 3 fails for every 500th

// embedded has every module loaded at the start, as a release does unless it is told otherwise: more than half of what a boot of the
// sample costs. The tests of what happens at a boot have it so, and those of package agent.
var embedded = map[string]string{"RELEASE_MODE": "embedded"}

func newWorld(t testing.TB, machines int) *world {
	t.Helper()
	return newWorldOn(t, local.Options{}, machines)
}

func newWorldOn(t testing.TB, o local.Options, machines int) *world {
	t.Helper()
	return newWorldWith(t, o, nil, machines)
}

// newWorldWith has machines with variables of their own.
func newWorldWith(t testing.TB, o local.Options, env map[string]string, machines int) *world {
	t.Helper()
	countertest.Agent(t)
	o.App, o.StateDir, o.ExecsInTurn = "counter", t.TempDir(), true
	l, err := local.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := fly.New(fly.Options{App: "counter", Token: l.Token(), BaseURL: l.APIURL()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, local: l, fleet: client, env: map[string]string{"COUNTERS": fmt.Sprint(counters), "RELEASE_MODE": "interactive"}}
	maps.Copy(w.env, env)
	image := w.push(1)
	for i := range machines {
		w.launch(image, []string{"ams", "fra"}[i%2])
	}
	return w
}

func (w *world) launch(image, region string) {
	w.t.Helper()
	id, err := w.local.Launch(w.t.Context(), local.MachineSpec{
		Region: region, Image: image, Env: w.env,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ids = append(w.ids, id)
	if err := w.client(id).AwaitHealth(w.t.Context()); err != nil {
		w.t.Fatalf("machine %s: %v", id, err)
	}
}

func (w *world) client(id string) *counter.Client {
	return counter.NewClient(func(ctx context.Context) (net.Conn, error) { return w.local.Dial(ctx, id, 8080) })
}

func (w *world) snapshot(id string) counter.Snapshot {
	w.t.Helper()
	s, err := w.client(id).Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatalf("machine %s: %v", id, err)
	}
	return s
}

func (w *world) push(version int) string {
	w.t.Helper()
	image, err := w.local.Push(w.t.Context(), countertest.Release(w.t, version), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return image.Ref
}

// ports are the real clients; the build is a push of a release that was built before.
func (w *world) ports(version int) deploy.Ports {
	return deploy.Ports{
		Fleet: w.fleet, Leases: w.fleet,
		Storage: func(ctx context.Context, otpApp string, env map[string]string) (engine.Storage, error) {
			b, err := s3.Open(ctx, s3.Config{
				Endpoint: env["AWS_ENDPOINT_URL_S3"], Region: env["AWS_REGION"], Bucket: env["BUCKET_NAME"], App: otpApp,
				AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"],
			})
			return engine.Storage{Locks: b, Records: b, Tarballs: b}, err
		},
		Build:  func(context.Context, func(string)) (string, error) { return w.push(version), nil },
		Image:  w.readImage(),
		Agents: kept.Agents(), // compiled once for all tests of this computer
		Keys:   w.keys,
	}
}

// bucket opens the storage as an observer.
func (w *world) bucket() *s3.Bucket {
	w.t.Helper()
	info := w.local.S3()
	b, err := s3.Open(w.t.Context(), s3.Config{
		Endpoint: info.Endpoint, Region: info.Region, Bucket: info.Bucket, App: "counter",
		AccessKeyID: info.AccessKeyID, SecretAccessKey: info.SecretAccessKey,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func settings() engine.Settings {
	return engine.Settings{
		App: "counter", Owner: "test@here", MaxConcurrency: 4, Timeout: 10 * time.Minute,
		SuspendTimeout: 250 * time.Millisecond, LockTimeout: 5 * time.Minute, Yes: true,
		Accept:   []string{"slow_rollback"}, // as it is estimated on a busy computer
		Rehearse: engine.RehearseNone,       // engine/agent's tests do
	}
}

// deploy runs a deploy to its end and gives the progress of its events.
func (w *world) deploy(s engine.Settings, version int) (*engine.Progress, engine.Result) {
	w.t.Helper()
	d := deploy.Start(w.t.Context(), s, w.ports(version))
	return w.watch(d, nil), d.Result()
}

// watch applies the events; each is shown to see, which may answer questions.
func (w *world) watch(d *deploy.Deployment, see func(*engine.Progress)) *engine.Progress {
	w.t.Helper()
	p := engine.NewProgress()
	for {
		batch, err := d.Next(w.t.Context())
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range batch {
			p.Apply(e)
		}
		if see != nil {
			see(p)
		}
	}
}

// temporaryMachines lists what deploys have left behind.
func (w *world) temporaryMachines() []string {
	w.t.Helper()
	all, err := w.fleet.Machines(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var left []string
	for _, m := range all {
		if m.Temporary != "" {
			left = append(left, m.ID)
		}
	}
	return left
}

func TestMain(m *testing.M) {
	if os.Getenv(consoleEnv) != "" {
		os.Exit(console())
	}
	os.Exit(m.Run())
}

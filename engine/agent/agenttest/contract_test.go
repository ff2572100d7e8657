package agenttest_test

import (
	"context"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/agent/agenttest/contract"
)

// played is a machine of the world, for the contract.
type played struct {
	t     testing.TB
	world *agenttest.World
	keys  map[string]string // of reports, by order
}

func play(t testing.TB, timing agenttest.Timing) *played {
	w := agenttest.NewWorld(1)
	w.SetTiming(timing)
	return &played{t: t, world: w, keys: map[string]string{}}
}

func (p *played) Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	return p.world.Fleet.Exec(ctx, "m00", command, stdin, timeout)
}

func (p *played) Order(version int) agent.Order {
	image := []string{"", agenttest.Image1, agenttest.Image2, agenttest.Image3}[version]
	p.world.Behave("m00", func(b *agenttest.Behaviour) {
		if b.Outcome = agent.Committed; version == 3 {
			b.Outcome = agent.RolledBack
		}
	})
	r := agenttest.ReleaseOf(image)
	o := agent.Order{ID: agent.NewID("01TEST"), SHA256: r.SHA256, Size: r.Size, OTPApp: agenttest.App, Owner: "ann@laptop", Version: r.Version, SourceImage: image}
	var err error
	o.Agent = p.world.PutAgent()
	if o.AgentURL, err = p.world.Storage.PresignGet(p.t.Context(), "releases/"+path.Base(o.Agent.URL), time.Hour); err != nil {
		p.t.Fatal(err)
	}
	if o.TarballURL, err = p.world.Storage.PresignGet(p.t.Context(), p.world.PutTarball(r), time.Hour); err != nil {
		p.t.Fatal(err)
	}
	o.ReportURL, p.keys[o.ID], err = p.world.Storage.PresignResult(p.t.Context(), "01TEST", o.ID+".report.json.gz", time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

func (p *played) Command(_ string, commands ...string) { p.world.Order("m00", commands...) }
func (p *played) Load()                                { p.world.Load("m00", agenttest.ReleaseOf(agenttest.Image3)) }
func (p *played) Crash()                               { p.world.Crash("m00", 1) }
func (p *played) Busy() (free func()) {
	set := func(busy bool) func() {
		return func() { p.world.Behave("m00", func(b *agenttest.Behaviour) { b.Busy = busy }) }
	}
	set(true)()
	return set(false)
}
func (p *played) MakeDir(id string)       { p.world.MakeDir("m00", "/tmp/flydeploy-"+id) }
func (p *played) Report(id string) []byte { return p.world.Object(p.keys[id]) }

func TestPlayedMachinesKeepTheContract(t *testing.T) {
	t.Parallel()
	for name, timing := range map[string]agenttest.Timing{"at once": {}, "in usual time": agenttest.Usual} {
		for _, group := range contract.Groups() {
			t.Run(name+"/"+group.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := play(t, timing)
					if timing.Latency > 0 {
						p.world.Behave("", func(b *agenttest.Behaviour) {
							b.Stages, b.Arms, b.Commits, b.Reports = 2*time.Second, 300*time.Millisecond, 20*time.Millisecond, time.Second
						})
					}
					for _, s := range group.Scenarios { // a bubble has no subtests
						t.Log(s.Name)
						s.Run(t, p)
					}
				})
			})
		}
	}
}

// playedTemporary is a temporary machine of the world.
type playedTemporary struct {
	t     testing.TB
	world *agenttest.World
	id    string
}

func (p playedTemporary) Exec(ctx context.Context, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	return p.world.Fleet.Exec(ctx, p.id, command, stdin, timeout)
}

func (p playedTemporary) Release() (root, otpApp string) { return "/app", agenttest.App }

func (p playedTemporary) Put(body []byte) (url string, remove func()) {
	const key = "releases/source"
	p.world.PutObject(key, body)
	url, err := p.world.Storage.PresignGet(p.t.Context(), key, time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	return url, func() {
		if err := p.world.Storage.Delete(p.t.Context(), key); err != nil {
			p.t.Error(err)
		}
	}
}

func TestPlayedTemporaryMachinesKeepTheContract(t *testing.T) {
	t.Parallel()
	for name, timing := range map[string]agenttest.Timing{"at once": {}, "in usual time": agenttest.Usual} {
		for _, s := range contract.TemporaryScenarios() {
			t.Run(name+"/"+s.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := agenttest.NewWorld(0)
					w.SetTiming(timing)
					m, err := w.Fleet.CreateTemporary(t.Context(), engine.TemporaryMachine{UpgradeID: "01TEST", Image: agenttest.Image2})
					if err != nil {
						t.Fatal(err)
					}
					s.Run(t, playedTemporary{t, w, m.ID})
				})
			})
		}
	}
}

type playedBucket struct{ *agenttest.World }

func (b playedBucket) Open() contract.Storage { return b.NewConsole("").Storage }

func TestThePlayedBucketKeepsTheContract(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		for _, s := range contract.StorageScenarios() {
			t.Run(skew.String()+"/"+s.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := agenttest.NewWorld(0)
					w.SetSkew(skew)
					s.Run(t, playedBucket{w})
				})
			})
		}
	}
}

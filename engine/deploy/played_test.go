package deploy_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
	"flydeploy/engine/deploy"
	"flydeploy/engine/record"
	"flydeploy/engine/sign"
)

// played runs a test on a fleet in memory, in virtual time.
func played(t *testing.T, machines int, test func(*testing.T, *stage)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(machines)
		w.SetTiming(agenttest.Usual)
		test(t, &stage{World: w, t: t})
	})
}

// stage is where a played deploy runs.
type stage struct {
	*agenttest.World
	t      *testing.T
	agents engine.Agents
	hooks  engine.Hooks
	keys   *sign.Ring
}

func portsOf(c *agenttest.Console) deploy.Ports {
	return deploy.Ports{
		Fleet: c.Fleet, Leases: c.Fleet,
		Storage: func(context.Context, string, map[string]string) (engine.Storage, error) {
			return engine.Storage{Locks: c.Storage, Records: c.Storage, Tarballs: c.Storage, Now: c.Storage.Now}, nil
		},
		Build: c.Build, Image: c.ReadImage,
	}
}

func playedSettings() engine.Settings {
	return engine.Settings{
		App: agenttest.App, Owner: "ann@laptop", MaxConcurrency: 20, Timeout: time.Minute, SuspendTimeout: 250 * time.Millisecond,
		LockTimeout: 2 * time.Minute, Yes: true,
	}
}

// asking gives the settings of a deploy that an operator watches.
func asking() engine.Settings {
	s := playedSettings()
	s.Yes, s.Ask = false, true
	return s
}

// start begins a deploy from the world's own console.
func (s *stage) start(settings engine.Settings) *run { return s.startOn(s.Console, settings) }

func (s *stage) startOn(c *agenttest.Console, settings engine.Settings) *run {
	s.t.Helper()
	ports := portsOf(c)
	ports.Agents, ports.Hooks, ports.Keys = s.agents, s.hooks, s.keys
	return &run{t: s.t, Deployment: deploy.Start(s.t.Context(), settings, ports), p: engine.NewProgress()}
}

// deploy runs a deploy to its end.
func (s *stage) deploy(settings engine.Settings) (*engine.Progress, engine.Result) {
	s.t.Helper()
	return s.start(settings).end()
}

// run is a deploy under way, read event by event.
type run struct {
	*deploy.Deployment
	t *testing.T
	p *engine.Progress
}

// until reads events until one satisfies is.
func (r *run) until(what string, is func(engine.Event) bool) {
	r.t.Helper()
	for {
		batch, err := r.Next(r.t.Context())
		if err != nil {
			r.t.Fatalf("the deploy ended before %s: %v\n%s", what, err, logOf(r.p))
		}
		found := false
		for _, e := range batch {
			r.p.Apply(e)
			found = found || is(e)
		}
		if found {
			return
		}
	}
}

// asks reads events until the deploy asks the question.
func (r *run) asks(q engine.Question) {
	r.t.Helper()
	r.until("it asked for the "+string(q), func(engine.Event) bool { return r.p.Asks() == q })
}

// end reads the events to the last one.
func (r *run) end() (*engine.Progress, engine.Result) {
	r.t.Helper()
	for {
		batch, err := r.Next(r.t.Context())
		if errors.Is(err, io.EOF) {
			return r.p, r.Result()
		}
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range batch {
			r.p.Apply(e)
		}
	}
}

// outcomes gives each machine's, in their order.
func outcomes(r engine.Result) string {
	var all []string
	for _, m := range r.Machines {
		all = append(all, m.ID+" "+string(m.Outcome))
	}
	return strings.Join(all, ", ")
}

// wants checks how a deploy has ended.
func wants(t *testing.T, p *engine.Progress, r engine.Result, outcome engine.Outcome, machines string) {
	t.Helper()
	if r.Outcome != outcome || outcomes(r) != machines {
		t.Errorf("it ended %s (%s), want %s (%s): %v\n%s", r.Outcome, outcomes(r), outcome, machines, r.Problem, logOf(p))
	}
}

// recorded gives the versions that current.json names: for the whole fleet, and for single machines.
func (s *stage) recorded() (fleet string, single map[string]string) {
	single = map[string]string{}
	md := s.Current()
	if md == nil {
		return "", single
	}
	if md.HotUpgrade != nil {
		fleet = md.HotUpgrade.Version
	}
	for id, u := range md.MachineUpgrades {
		single[id] = u.Version
	}
	return fleet, single
}

// nothingLeft: no temporary machine, no agent, no lock.
func (s *stage) nothingLeft() {
	s.t.Helper()
	if left := s.Temporaries(); len(left) > 0 {
		s.t.Errorf("temporary machines are left: %v", left)
	}
	machines, _ := s.Fleet.Machines(s.t.Context())
	for _, m := range machines {
		if a := s.State(m.ID).Agent; a != "" {
			s.t.Errorf("machine %s still has the agent of %s", m.ID, a)
		}
	}
	if l, err := s.Storage.Current(s.t.Context()); err == nil {
		s.t.Errorf("the lock is still held: %+v", l)
	}
}

// recordedEvents gives the events of a deploy's record.
func (s *stage) recordedEvents(id string) []engine.Event {
	s.t.Helper()
	events, _, err := record.ReadEvents(s.t.Context(), s.Storage, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

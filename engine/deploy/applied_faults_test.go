package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
	"flydeploy/examples/counter"
	"flydeploy/fly/local"
)

// applied is a machine on real nodes to which upgrades bring a configuration, or children of its supervisor.
type applied struct {
	*world
	id     string
	images [4]string // by version; the migration to version 3 fails
	apply  func(*engine.Settings)
	shows  func() string // what of it is there
	want   [3]string     // the same, by version
}

// appliedCells are what may become of it.
var appliedCells = []struct {
	name string
	run  func(*applied)
}{
	{"a migration fails", (*applied).migrationFails},
	{"its VM is killed as it commits", (*applied).killedAsItCommits},
	{"its VM restarts while it is watched", (*applied).restartsWhileWatched},
	{"taken back from a VM that has restarted", (*applied).takenBackFromAnotherVM},
	{"it restarts afterwards", (*applied).restartsAfterwards},
}

// Configurations and children that are applied meet faults on real nodes: `make faults` runs all of it, or what CELLS matches.
func TestFaultsOfWhatIsApplied(t *testing.T) {
	chosen := os.Getenv("FLYDEPLOY_FAULTS")
	if chosen == "" {
		t.Skip("make faults")
	}
	for what, world := range map[string]func(*testing.T) *applied{"configuration": configuredWorld, "children": grownWorld} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var a *applied
			for _, cell := range appliedCells {
				if !regexp.MustCompile(chosen).MatchString(what + ": " + cell.name) {
					continue
				}
				if a == nil {
					a = world(t)
				}
				t.Run(cell.name, func(t *testing.T) {
					a.t = t
					a.rewind()
					cell.run(a)
					a.expectNothingLeft()
				})
				a.t = t
			}
		})
	}
}

func newApplied(t *testing.T, env map[string]string, build func(version int) string, apply func(*engine.Settings)) *applied {
	a := &applied{world: newWorldWith(t, local.Options{}, env, 0), apply: apply}
	for version := 1; version <= 3; version++ {
		image, err := a.local.Push(t.Context(), build(version), "")
		if err != nil {
			t.Fatal(err)
		}
		a.images[version] = image.Ref
	}
	a.launch(a.images[1], "ams")
	a.id = a.ids[0]
	return a
}

func sources(t *testing.T) string {
	t.Helper()
	app := t.TempDir()
	if err := counter.WriteTo(app); err != nil {
		t.Fatal(err)
	}
	return app
}

func configuredWorld(t *testing.T) *applied {
	app := sources(t)
	a := newApplied(t, map[string]string{"COUNTER_SECRET": secret}, func(version int) string {
		config := [...]string{1: "color: :red, old: 1", 2: "color: :blue, size: 2", 3: "color: :green, size: 3"}[version]
		key := fmt.Sprintf("config :counter, key: System.fetch_env!(%q) <> \"-%d\"\n", "COUNTER_SECRET", version)
		return configured(t, app, version, "config :counter, "+config+"\n", key)
	}, func(s *engine.Settings) { s.ApplyConfig = true })
	a.shows = func() string {
		return a.asks(a.id, "Enum.sort(Keyword.take(Application.get_all_env(:counter), [:color, :size, :key, :old]))")
	}
	a.want = [...]string{1: `[color: :red, key: "` + secret + `-1", old: 1]`, 2: `[color: :blue, key: "` + secret + `-2", size: 2]`}
	return a
}

func grownWorld(t *testing.T) *applied {
	app := sources(t)
	a := newApplied(t, nil, func(version int) string {
		module := [...]string{1: "Counter.Before", 2: "Counter.After", 3: "Counter.Later"}[version]
		return grown(t, app, version, fmt.Sprintf("v%d", version), module, ":good")
	}, func(s *engine.Settings) { s.ApplyChildren = engine.ApplyChildrenKeep })
	a.shows = func() string {
		return a.asks(a.id, "for({id, pid, _, _} <- Enum.sort(Supervisor.which_children(Counter.Supervisor)), id in [Counter.Before, Counter.After, Counter.Later], do: {id, is_pid(pid)})")
	}
	a.want = [...]string{1: "[{Counter.Before, true}]", 2: "[{Counter.After, true}]"}
	return a
}

// rewind brings the machine back to version 1, as if no deploy had been.
func (a *applied) rewind() {
	a.t.Helper()
	if err := a.bucket().Delete(a.t.Context(), "releases/counter-current.json"); err != nil {
		a.t.Fatal(err)
	}
	a.restarted()
	a.has("at first", 1)
}

// restarted restarts the machine, and waits until it has booted.
func (a *applied) restarted() {
	a.t.Helper()
	if err := a.local.Restart(a.id); err != nil {
		a.t.Fatal(err)
	}
	if err := a.world.client(a.id).AwaitHealth(a.t.Context()); err != nil {
		a.t.Fatalf("machine %s: %v", a.id, err)
	}
}

// has expects that the machine runs a version, and has what that applies: the hook starts children once the application runs.
func (a *applied) has(when string, version int) {
	a.t.Helper()
	got := a.shows()
	for until := time.Now().Add(2 * time.Minute); got != a.want[version] && time.Now().Before(until); got = a.shows() {
		time.Sleep(time.Second)
	}
	if got != a.want[version] {
		a.t.Errorf("%s: it shows %s, want %s\n%s", when, got, a.want[version], a.local.Console(a.id))
	}
	if runs := a.snapshot(a.id).Versions.Version; runs != fmt.Sprintf("%d.0.0", version) {
		a.t.Errorf("%s: it runs %s", when, runs)
	}
}

// run deploys a version; whileWatched, which may be nil, happens once the machine is watched.
func (a *applied) run(version int, change func(*engine.Settings), whileWatched func()) (*engine.Progress, engine.Result) {
	a.t.Helper()
	s := settings()
	s.Image, s.Strategy = a.images[version], engine.Strategy{Kind: engine.StrategyAll}
	a.apply(&s)
	if change != nil {
		change(&s)
	}
	d := deploy.Start(a.t.Context(), s, a.ports(version))
	var once sync.Once
	p := a.watch(d, func(p *engine.Progress) {
		if m := p.Machine(a.id); whileWatched != nil && m != nil && m.Phases[engine.PhaseWatch].Status == engine.StatusRunning {
			once.Do(whileWatched)
		}
	})
	return p, d.Result()
}

func (a *applied) ends(p *engine.Progress, r engine.Result, outcome engine.Outcome, machines engine.MachineOutcome) {
	a.t.Helper()
	if r.Outcome != outcome || len(r.Machines) != 1 || r.Machines[0].Outcome != machines {
		a.t.Fatalf("it ended %s (%s), want %s (%s): %v\n%s", r.Outcome, outcomes(r), outcome, machines, r.Problem, logOf(p))
	}
}

func (a *applied) migrationFails() {
	p, r := a.run(3, nil, nil)
	a.ends(p, r, engine.OutcomeFailed, engine.OutcomeRolledBack)
	a.has("rolled back", 1)
	p, r = a.run(2, nil, nil)
	a.ends(p, r, engine.OutcomeSucceeded, engine.OutcomeCommitted)
	a.has("upgraded", 2)
}

func (a *applied) killedAsItCommits() {
	requests, stop := watchMoments(a.local)
	requests.at(momentOf("exec commit", 1), once(nil, func() {
		if err := a.local.Crash(a.id); err != nil {
			a.t.Error(err)
		}
	}))
	p, r := a.run(2, nil, nil)
	stop()
	if r.Outcome != engine.OutcomeFailed {
		a.t.Errorf("it ended %s (%s): %v\n%s", r.Outcome, outcomes(r), r.Problem, logOf(p))
	}
	a.awaitBoot(a.id)
	a.has("killed", 1)
	p, r = a.run(2, func(s *engine.Settings) { s.Resume, s.Image, s.LockWait = true, "", 10*time.Minute }, nil)
	a.ends(p, r, engine.OutcomeSucceeded, engine.OutcomeCommitted)
	a.has("resumed", 2)
}

func baked(how engine.OnSick) func(*engine.Settings) {
	return func(s *engine.Settings) { s.Strategy.Bake, s.OnSick = time.Minute, how }
}

// restartsWhileWatched: it boots the upgrade, which is recorded.
func (a *applied) restartsWhileWatched() {
	p, r := a.run(2, baked(engine.OnSickStop), func() { a.restartByItself(a.id) })
	a.ends(p, r, engine.OutcomeUnhealthy, engine.OutcomeRestarted)
	a.has("restarted", 2)
}

func (a *applied) takenBackFromAnotherVM() {
	p, r := a.run(2, baked(engine.OnSickBack), func() { a.restartByItself(a.id) })
	a.ends(p, r, engine.OutcomeUnhealthy, engine.OutcomeTakenBack)
	a.has("taken back", 1)
	if md := a.current(); md.NamesUpgrades() {
		a.t.Errorf("current.json names %+v, %+v", md.HotUpgrade, md.MachineUpgrades)
	}
	a.restarted()
	a.has("taken back, and restarted", 1)
}

// restartsAfterwards: also once while the storage is down.
func (a *applied) restartsAfterwards() {
	p, r := a.run(2, nil, nil)
	a.ends(p, r, engine.OutcomeSucceeded, engine.OutcomeCommitted)
	a.restarted()
	a.has("restarted", 2)
	lift := a.local.Faults().Inject(local.Target{Service: local.S3, Action: http.MethodGet}, 0, local.Cut())
	a.restarted()
	a.has("restarted without the storage", 1)
	lift()
	a.forgetBoots(a.id)
	a.restarted()
	a.has("restarted again", 2)
}

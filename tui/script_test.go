package tui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flydeploy/engine"
)

// script writes the events of a deploy as the engine would.
type script struct {
	at       time.Time
	seq      int64
	events   []engine.Event
	machines []engine.Machine
	upgrade  engine.Upgrade
	reports  map[string]*engine.MachineReport
}

// scriptStart is when every scripted deploy starts.
var scriptStart = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const scriptUpgradeID = "01K93QAB5Z7M4W2T8XCVDFGH1J"

var (
	scriptRegions = []string{"ams", "fra", "iad", "nrt", "syd"}
	scriptNames   = []string{"wispy-frost-12", "long-sun-88", "東京-カウンター-3", "quiet-river-7", "proud-moon-41", "cold-glade-9"}
)

func newScript(n int) *script {
	s := &script{at: scriptStart, reports: map[string]*engine.MachineReport{}}
	for i := range n {
		region := scriptRegions[i*len(scriptRegions)/max(n, len(scriptRegions))]
		if n > 1 && n <= 6 {
			region = scriptRegions[i/2]
		}
		s.machines = append(s.machines, engine.Machine{
			ID: fmt.Sprintf("148e%04d6c%04x", i+1, i*7919%65536), Name: scriptNames[i%len(scriptNames)], Region: region,
			State: "started", ProcessGroup: "app", Image: "registry.fly.io/counter:deployment-01K93Q0000", HostStatus: "ok",
			ChecksPassed: 2, ChecksTotal: 2, InstanceID: "01K93Q0001",
		})
	}
	s.upgrade = engine.Upgrade{ID: scriptUpgradeID, App: "counter", OTPApp: "counter", Owner: "ada@laptop"}
	return s
}

func (s *script) emit(e engine.Event) {
	s.seq++
	s.at = s.at.Add(7 * time.Millisecond)
	e.V, e.Seq, e.At, e.Attempt = engine.EventVersion, s.seq, s.at, max(e.Attempt, 1)
	s.events = append(s.events, e)
}

// run lets a phase of the fleet run for a while; lines are its output.
func (s *script) run(p engine.Phase, took time.Duration, text string, lines ...string) {
	started := s.at
	s.emit(engine.Event{Phase: p, Status: engine.StatusRunning, StartedAt: started, Text: text})
	for _, l := range lines {
		s.at = s.at.Add(took / time.Duration(len(lines)+1))
		s.emit(engine.Event{Phase: p, Log: l})
	}
	s.at = started.Add(took)
	s.emit(engine.Event{Phase: p, Status: engine.StatusDone, StartedAt: started, DurationUS: took.Microseconds(), Text: text})
}

func (s *script) start() {
	s.emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: "reading the running release", Upgrade: &s.upgrade})
	for _, m := range s.machines {
		s.emit(engine.Event{Machine: m.ID, Phase: engine.PhaseInject, Status: engine.StatusPending, Facts: &m})
	}
	s.run(engine.PhaseLock, 180*time.Millisecond, "held by ada@laptop")
}

func (s *script) build() {
	s.run(engine.PhaseBuild, 12300*time.Millisecond, "image", "#1 [internal] load build definition from Dockerfile",
		"#9 [builder 6/9] RUN mix compile", "Generated counter app", "#12 [builder 9/9] RUN mix release", "* assembling counter-0.2.0 on MIX_ENV=prod",
		"#15 pushing manifest for registry.fly.io/counter:deployment-01K93QAB5Z done")
	s.upgrade.SourceImage = "registry.fly.io/counter:deployment-01K93QAB5Z"
	s.run(engine.PhaseOrchestrator, 3100*time.Millisecond, "temporary machine e28650c1 in ams")
	s.run(engine.PhaseTarball, 420*time.Millisecond, "41 files")
	s.upgrade.Version, s.upgrade.Size, s.upgrade.SHA256 = "0.2.0", 1_204_331, "9f86d081884c7d659a2feaa0c55ad015"
	s.emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusRunning, StartedAt: s.at, Done: 600_000, Total: 1_204_331, Unit: "bytes"})
	s.run(engine.PhaseUpload, 230*time.Millisecond, "releases/counter-0.2.0.tar.gz")
}

// on reports that a phase of a machine ended.
func (s *script) on(id string, p engine.Phase, us int64) {
	report := *s.report(id)
	s.emit(engine.Event{
		Machine: id, Phase: p, Status: engine.StatusDone, StartedAt: s.at.Add(-time.Duration(us) * time.Microsecond), DurationUS: us,
		Report: &report,
	})
}

func (s *script) running(id string, p engine.Phase) {
	s.emit(engine.Event{Machine: id, Phase: p, Status: engine.StatusRunning, StartedAt: s.at})
}

func (s *script) report(id string) *engine.MachineReport {
	if s.reports[id] == nil {
		s.reports[id] = &engine.MachineReport{}
	}
	return s.reports[id]
}

func (s *script) stage() {
	started := s.at
	s.emit(engine.Event{Phase: engine.PhaseStage, Status: engine.StatusRunning, StartedAt: started, Text: fmt.Sprintf("%d machines", len(s.machines))})
	for i, m := range s.machines {
		s.running(m.ID, engine.PhaseInject)
		s.on(m.ID, engine.PhaseInject, 610_000+int64(i))
		s.emit(engine.Event{Machine: m.ID, Phase: engine.PhaseReload, Status: engine.StatusRunning, StartedAt: s.at, Done: 400_000, Total: 1_204_331, Unit: "bytes"})
	}
	for i, m := range s.machines {
		s.on(m.ID, engine.PhaseReload, 82_000+int64(i*131))
		s.on(m.ID, engine.PhaseExtract, 31_400+int64(i*77))
		*s.report(m.ID) = engine.MachineReport{ModulesChanged: 3, ModulesAdded: 1, Processes: 2003}
		s.on(m.ID, engine.PhaseDetection, 12_900+int64(i*17))
	}
	s.emit(engine.Event{
		Phase: engine.PhaseStage, Status: engine.StatusDone, StartedAt: started, DurationUS: s.at.Sub(started).Microseconds(),
		Text: fmt.Sprintf("%d of %d machines staged", len(s.machines), len(s.machines)),
	})
}

func (s *script) plan() *engine.Plan {
	p := &engine.Plan{
		Upgrade: s.upgrade, Strategy: "all at once",
		Modules: []engine.ModuleChange{
			{Module: "Elixir.Counter.Server", App: "counter", Change: "changed"}, {Module: "Elixir.Counter.Gate", App: "counter", Change: "changed"},
			{Module: "Elixir.Counter.History", App: "counter", Change: "added"}, {Module: "Elixir.Counter.Render", App: "counter", Change: "changed"},
		},
		Findings: []engine.Finding{
			{Name: "statem_changed", Severity: engine.SeverityWarn, What: "Counter.Gate is a gen_statem: its callback mode is asked again after the upgrade", Remedy: "Check that Counter.Gate.callback_mode/0 gives the same in both versions.", Machines: []string{s.machines[0].ID}},
			{Name: "static_changed", Severity: engine.SeverityInfo, What: "priv/static has 2 changed files: /app.js, /app.css"},
		},
		LeftOut: []engine.Machine{{ID: "3d8d9a2c660118", Region: "ams", LeftOut: "group cron runs no BEAM"}},
	}
	for _, m := range s.machines {
		p.Machines = append(p.Machines, engine.MachinePlan{
			Machine: m, Report: engine.MachineReport{ModulesChanged: 3, ModulesAdded: 1, Processes: 2003},
			Processes: []engine.ProcessChange{{Module: "Elixir.Counter.Server", Kind: "gen_server", Count: 2000}, {Module: "Elixir.Counter.Gate", Kind: "gen_statem", Count: 1}, {Module: "Elixir.Counter.Tally", Kind: "agent", Count: 2}},
		})
	}
	return p
}

func (s *script) ask(p *engine.Plan) {
	s.emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: p, Upgrade: &s.upgrade, StartedAt: s.at})
}

func (s *script) confirmed(p *engine.Plan) {
	s.emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusDone, Plan: p})
}

// arm arms all machines and starts the commit.
func (s *script) arm() {
	s.emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, StartedAt: s.at, Text: fmt.Sprintf("%d machines", len(s.machines))})
	for i, m := range s.machines {
		s.running(m.ID, engine.PhaseArm)
		s.on(m.ID, engine.PhaseArm, 21_000+int64(i*991))
	}
}

// commit upgrades one machine.
func (s *script) commit(i int) {
	id := s.machines[i].ID
	s.on(id, engine.PhaseSuspension, 1_210+int64(i*40))
	s.on(id, engine.PhaseCodeLoad, 640+int64(i*10))
	s.report(id).Migrated = 2003
	s.on(id, engine.PhaseMigration, 4_020+int64(i*300))
	s.report(id).SuspendedUS = 6_310 + int64(i*350)
	s.report(id).Outcome = "committed"
	s.on(id, engine.PhaseResume, 430+int64(i))
	s.emit(engine.Event{Machine: id, Phase: engine.PhaseLiveView, Status: engine.StatusSkipped})
}

// fail rolls one machine back, as version 3 of the sample does.
func (s *script) fail(i int) {
	id := s.machines[i].ID
	s.on(id, engine.PhaseSuspension, 1_310)
	s.on(id, engine.PhaseCodeLoad, 655)
	r := s.report(id)
	r.Outcome, r.SuspendedUS, r.FailuresTotal = "rolled_back", 61_200, 7
	r.Failures = []engine.Failure{{
		PID: "<0.412.0>", Name: "counter_13", Module: "Elixir.Counter.Server", Reason: "raised",
		Exception:   "** (RuntimeError) cannot migrate a counter that is negative",
		Stack:       []string{"(counter 0.3.0) lib/counter/server.ex:71: Counter.Server.code_change/3", "(stdlib 4.2) gen_server.erl:1142: :gen_server.system_code_change/4", "(stdlib 4.2) sys.erl:742: :sys.do_change_code/5"},
		StateBefore: "%Counter.State{count: integer, label: binary}", StateAfter: "{:error, exception}", Count: 7,
	}}
	report := *r
	problem := &engine.Problem{What: "7 of 2,003 processes could not be migrated; the machine took itself back: old code, old state", Remedy: "Fix code_change/3 of Counter.Server and deploy again.", Name: "rolled_back"}
	s.emit(engine.Event{Machine: id, Phase: engine.PhaseMigration, Status: engine.StatusFailed, DurationUS: 3_900, Report: &report, Problem: problem})
	s.on(id, engine.PhaseRollback, 52_000)
	s.on(id, engine.PhaseResume, 390)
}

func (s *script) finish() {
	s.emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusDone, DurationUS: 311_000, Text: fmt.Sprintf("%d of %d machines upgraded", len(s.machines), len(s.machines))})
	s.emit(engine.Event{Phase: engine.PhaseVerify, Status: engine.StatusRunning, StartedAt: s.at})
	for _, m := range s.machines {
		s.emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusDone})
	}
	s.run(engine.PhaseVerify, 90*time.Millisecond, "")
	s.run(engine.PhaseMetadata, 40*time.Millisecond, "the whole fleet runs 0.2.0")
	s.run(engine.PhaseResults, 55*time.Millisecond, "releases/counter-results/"+scriptUpgradeID+"/")
	s.emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
}

func (s *script) failed() {
	problem := &engine.Problem{What: "machine " + s.machines[0].ID + " rolled back", Remedy: "Nothing further was started. Fix the migration and deploy again, or deploy cold: fly deploy"}
	s.emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusFailed, DurationUS: 311_000, Problem: problem})
	s.run(engine.PhaseResults, 55*time.Millisecond, "releases/counter-results/"+scriptUpgradeID+"/")
	s.emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
}

// result gathers the reports, as the engine does.
func (s *script) result(outcome engine.Outcome) engine.Result {
	r := engine.Result{V: engine.EventVersion, Type: "result", Outcome: outcome, Upgrade: s.upgrade, DurationMS: s.at.Sub(scriptStart).Milliseconds()}
	for _, m := range s.machines {
		rep := s.report(m.ID)
		o := rep.Outcome
		if o == "" {
			o = "not_started"
		}
		r.Machines = append(r.Machines, engine.MachineResult{
			ID: m.ID, Region: m.Region, Outcome: engine.MachineOutcome(o), Modules: rep.ModulesChanged + rep.ModulesAdded, Processes: rep.Migrated,
			SuspendedUS: rep.SuspendedUS, Failures: rep.Failures,
		})
	}
	if outcome != engine.OutcomeSucceeded {
		r.Problem = &engine.Problem{What: "machine " + s.machines[0].ID + " rolled back: 7 processes could not be migrated", Remedy: "Nothing further was started. Fix the migration and deploy again, or deploy cold: fly deploy"}
	}
	return r
}

// upgraded is a whole deploy: the events up to the plan's question, those after its confirmation, and the end.
func upgraded(n int) (before, after []engine.Event, end engine.Result) {
	s := newScript(n)
	s.start()
	s.build()
	s.stage()
	plan := s.plan()
	s.ask(plan)
	before, s.events = s.events, nil
	s.confirmed(plan)
	s.arm()
	for i := range n {
		s.commit(i)
	}
	s.finish()
	return before, s.events, s.result(engine.OutcomeSucceeded)
}

// rolledBack is a deploy whose first machine rolls back.
func rolledBack(n int) (before, after []engine.Event, end engine.Result) {
	s := newScript(n)
	s.start()
	s.build()
	s.stage()
	plan := s.plan()
	s.ask(plan)
	before, s.events = s.events, nil
	s.confirmed(plan)
	s.arm()
	s.fail(0)
	for i := 1; i < n; i++ {
		s.commit(i)
	}
	s.failed()
	outcome := engine.OutcomePartial
	if n == 1 {
		outcome = engine.OutcomeFailed
	}
	return before, s.events, s.result(outcome)
}

// player is a Deployment that plays a script; it stands at the plan's question until it is answered.
type player struct {
	before, after []engine.Event
	end           engine.Result
	batch         int           // events for each Next
	pace          time.Duration // before each batch
	asked         bool

	mu       sync.Mutex
	answers  []engine.Answer
	answered chan engine.Answer
	stopped  chan struct{}
	stopOnce sync.Once
	hurried  atomic.Bool
}

func play(before, after []engine.Event, end engine.Result) *player {
	return &player{before: before, after: after, end: end, batch: 50, answered: make(chan engine.Answer, 1), stopped: make(chan struct{})}
}

func (p *player) Next(ctx context.Context) ([]engine.Event, error) {
	if p.pace > 0 {
		time.Sleep(p.pace)
	}
	if len(p.before) == 0 && !p.asked {
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
	if len(p.before) == 0 {
		return nil, io.EOF
	}
	n := min(p.batch, len(p.before))
	out := p.before[:n]
	p.before = p.before[n:]
	return out, nil
}

func (p *player) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		p.end.Outcome = engine.OutcomeCancelled
	case a := <-p.answered:
		if a.Proceed {
			p.before = p.after
		} else {
			p.end.Outcome = engine.OutcomeCancelled
		}
	}
	p.asked = true
	return nil
}

func (p *player) Answer(a engine.Answer) {
	p.mu.Lock()
	p.answers = append(p.answers, a)
	p.mu.Unlock()
	select {
	case p.answered <- a:
	default:
	}
}

func (p *player) given() []engine.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]engine.Answer(nil), p.answers...)
}

func (p *player) Stop() { p.stopOnce.Do(func() { close(p.stopped) }) }

func (p *player) Hurry() { p.hurried.Store(true) }

func (p *player) Result() engine.Result { return p.end }

// overviewOf shows the script's machines at home, with one of every odd kind.
func overviewOf(n int) engine.Overview {
	s := newScript(n)
	o := engine.Overview{App: "counter", At: scriptStart, Machines: append([]engine.Machine(nil), s.machines...)}
	if n >= 6 {
		o.Machines[1].ChecksPassed = 1
		o.Machines[3].State, o.Machines[3].ChecksTotal = "stopped", 0
		o.Machines[4].State, o.Machines[4].HostStatus = "suspended", "unreachable"
		o.Machines = append(o.Machines, engine.Machine{
			ID: "3d8d9a2c660118", Name: "old-cron-1", Region: "ams", State: "started", ProcessGroup: "cron", LeftOut: "group cron runs no BEAM",
		})
		o.Metadata = &engine.Metadata{
			ImageRef:   "registry.fly.io/counter:deployment-01K93Q0000",
			HotUpgrade: &engine.HotUpgrade{Version: "0.1.1", ID: "01K93P", DeployedAt: scriptStart.Add(-time.Hour)},
		}
	}
	return o
}

// recorded is the whole stream of a scripted deploy.
func recorded(before, after []engine.Event, _ engine.Result) []engine.Event {
	return append(slices.Clone(before), after...)
}

// stream is the events of a deploy that somebody else runs, all there at once.
type stream struct{ events []engine.Event }

func playRecorded(events []engine.Event) *stream { return &stream{events} }

func (s *stream) Next(context.Context) ([]engine.Event, error) {
	if len(s.events) == 0 {
		return nil, io.EOF
	}
	events := s.events
	s.events = nil
	return events, nil
}

// pastDeploys is a record with one deploy of every kind.
func pastDeploys() []engine.Past {
	at := scriptStart.Add(-30 * time.Hour)
	return []engine.Past{
		{ID: "01K93QZZZZ7M4W2T8XCVDFGH1J", At: scriptStart.Add(-20 * time.Second), Version: "0.3.0", Owner: "bob@ci-7", Host: "ci-7", Machines: 6, Running: true},
		{ID: scriptUpgradeID, At: at, Outcome: engine.OutcomeSucceeded, Version: "0.2.0", Owner: "ada@laptop", Host: "laptop", Message: "the new counter, 新しい",
			GitRevision: "4f2c91a", Machines: 6, Upgraded: 6, MaxSuspendedUS: 8_060, DurationMS: 17_200},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1H", At: at.Add(-time.Hour), Outcome: engine.OutcomePartial, Version: "0.2.0-rc.1", Owner: "ada@laptop", Host: "laptop",
			CILink: "https://ci.example.com/builds/1234", Machines: 6, Upgraded: 5, MaxSuspendedUS: 61_200, DurationMS: 18_000},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1G", At: at.Add(-2 * time.Hour), Outcome: engine.OutcomeCancelled, Owner: "bob@ci-7", Machines: 6, DurationMS: 9_100},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1F", At: at.Add(-3 * time.Hour), Outcome: "unreadable"},
	}
}

// inspectedOverview is a fleet whose VMs were asked: one of every kind of answer.
func inspectedOverview() engine.Overview {
	o := overviewOf(6)
	o.Code = map[string]engine.MachineCode{
		o.Machines[0].ID: {Applied: true, Hook: engine.HookCalled, Fingerprint: "5f2980b8"},
		o.Machines[1].ID: {Stale: true, Hook: engine.HookCalled},
		o.Machines[2].ID: {Applied: true, Hook: engine.HookCalled, Drift: 12, Drifted: []string{"Counter.Gate", "Counter.Server"}},
		o.Machines[4].ID: {Problem: &engine.Problem{What: "machine 148e00056c7bbc: no answer", Remedy: "Look at its logs: fly logs"}},
		o.Machines[5].ID: {Applied: true, Hook: engine.HookMissing},
	}
	return o
}

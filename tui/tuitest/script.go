// Package tuitest has deploys for the tests of what shows them: scripted streams of events, players of these, and an app
// that answers from memory.
package tuitest

import (
	"fmt"
	"slices"
	"time"

	"flydeploy/engine"
)

// Script writes the events of a deploy as the engine would.
type Script struct {
	at       time.Time
	seq      int64
	Events   []engine.Event
	Machines []engine.Machine
	upgrade  engine.Upgrade
	reports  map[string]*engine.MachineReport
}

// Start is when every scripted deploy starts.
var Start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// UpgradeID is the id of the scripted deploys.
const UpgradeID = "01K93QAB5Z7M4W2T8XCVDFGH1J"

var (
	scriptRegions = []string{"ams", "fra", "iad", "nrt", "syd"}
	scriptNames   = []string{"wispy-frost-12", "long-sun-88", "東京-カウンター-3", "quiet-river-7", "proud-moon-41", "cold-glade-9"}
)

// NewScript makes a script on n machines.
func NewScript(n int) *Script {
	s := &Script{at: Start, reports: map[string]*engine.MachineReport{}}
	for i := range n {
		region := scriptRegions[i*len(scriptRegions)/max(n, len(scriptRegions))]
		if n > 1 && n <= 6 {
			region = scriptRegions[i/2]
		}
		s.Machines = append(s.Machines, engine.Machine{
			ID: fmt.Sprintf("148e%04d6c%04x", i+1, i*7919%65536), Name: scriptNames[i%len(scriptNames)], Region: region,
			State: "started", ProcessGroup: "app", Image: "registry.fly.io/counter:deployment-01K93Q0000", HostStatus: "ok",
			ChecksPassed: 2, ChecksTotal: 2, InstanceID: "01K93Q0001",
		})
	}
	s.upgrade = engine.Upgrade{ID: UpgradeID, App: "counter", OTPApp: "counter", Owner: "ada@laptop"}
	return s
}

// Emit writes an event, 7 ms after the last.
func (s *Script) Emit(e engine.Event) {
	s.seq++
	s.at = s.at.Add(7 * time.Millisecond)
	e.V, e.Seq, e.At, e.Attempt = engine.EventVersion, s.seq, s.at, max(e.Attempt, 1)
	if e.Machine != "" && e.State == "" {
		e.State = stateAfter(e)
	}
	s.Events = append(s.Events, e)
}

// stateAfter is the state that the engine reports with an event.
func stateAfter(e engine.Event) engine.MachineState {
	done := e.Status == engine.StatusDone
	switch {
	case e.Report != nil && e.Report.Outcome != "":
		return e.Report.Outcome
	case e.Phase == engine.PhaseInject && e.Status == engine.StatusPending:
		return engine.MachineWaiting
	case e.Phase == engine.PhaseDetection && done:
		return engine.MachineStaged
	case e.Phase == engine.PhaseArm && done:
		return engine.MachineArmed
	case e.Phase == engine.PhaseArm:
		return engine.MachineArming
	case e.Phase == engine.PhaseCheck && done:
		return engine.MachineVerified
	case slices.Index(engine.MachinePhases, e.Phase) < slices.Index(engine.MachinePhases, engine.PhaseArm):
		return engine.MachineStaging
	case e.Phase == engine.PhaseLiveView:
		return engine.MachineCommitted
	}
	return engine.MachineCommitting
}

// run lets a phase of the fleet run for a while; lines are its output.
func (s *Script) run(p engine.Phase, took time.Duration, text string, lines ...string) {
	started := s.at
	s.Emit(engine.Event{Phase: p, Status: engine.StatusRunning, StartedAt: started, Text: text})
	for _, l := range lines {
		s.at = s.at.Add(took / time.Duration(len(lines)+1))
		s.Emit(engine.Event{Phase: p, Log: l})
	}
	s.at = started.Add(took)
	s.Emit(engine.Event{Phase: p, Status: engine.StatusDone, StartedAt: started, DurationUS: took.Microseconds(), Text: text})
}

// Start begins the deploy, up to its lock.
func (s *Script) Start() {
	s.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: "reading the running release", Upgrade: &s.upgrade})
	for _, m := range s.Machines {
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseInject, Status: engine.StatusPending, Facts: &m})
	}
	s.run(engine.PhaseLock, 180*time.Millisecond, "held by ada@laptop")
}

func (s *Script) build() {
	s.run(engine.PhaseBuild, 12300*time.Millisecond, "image", "#1 [internal] load build definition from Dockerfile",
		"#9 [builder 6/9] RUN mix compile", "Generated counter app", "#12 [builder 9/9] RUN mix release", "* assembling counter-0.2.0 on MIX_ENV=prod",
		"#15 pushing manifest for registry.fly.io/counter:deployment-01K93QAB5Z done")
	s.upgrade.SourceImage = "registry.fly.io/counter:deployment-01K93QAB5Z"
	s.run(engine.PhaseOrchestrator, 3100*time.Millisecond, "temporary machine e28650c1 in ams")
	s.run(engine.PhaseTarball, 420*time.Millisecond, "41 files")
	s.upgrade.Version, s.upgrade.Size, s.upgrade.SHA256 = "0.2.0", 1_204_331, "9f86d081884c7d659a2feaa0c55ad015"
	s.Emit(engine.Event{Phase: engine.PhaseUpload, Status: engine.StatusRunning, StartedAt: s.at, Done: 600_000, Total: 1_204_331, Unit: "bytes"})
	s.run(engine.PhaseUpload, 230*time.Millisecond, "releases/counter-0.2.0.tar.gz")
}

// on reports that a phase of a machine ended.
func (s *Script) on(id string, p engine.Phase, us int64) {
	report := *s.report(id)
	s.Emit(engine.Event{
		Machine: id, Phase: p, Status: engine.StatusDone, StartedAt: s.at.Add(-time.Duration(us) * time.Microsecond), DurationUS: us,
		Report: &report,
	})
}

// Running reports that a phase of a machine has begun.
func (s *Script) Running(id string, p engine.Phase) {
	s.Emit(engine.Event{Machine: id, Phase: p, Status: engine.StatusRunning, StartedAt: s.at})
}

func (s *Script) report(id string) *engine.MachineReport {
	if s.reports[id] == nil {
		s.reports[id] = &engine.MachineReport{}
	}
	return s.reports[id]
}

// Stage stages all machines.
func (s *Script) Stage() {
	started := s.at
	s.Emit(engine.Event{Phase: engine.PhaseStage, Status: engine.StatusRunning, StartedAt: started, Text: fmt.Sprintf("%d machines", len(s.Machines))})
	for i, m := range s.Machines {
		s.Running(m.ID, engine.PhaseInject)
		s.on(m.ID, engine.PhaseInject, 610_000+int64(i))
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseReload, Status: engine.StatusRunning, StartedAt: s.at, Done: 400_000, Total: 1_204_331, Unit: "bytes"})
	}
	for i, m := range s.Machines {
		s.on(m.ID, engine.PhaseReload, 82_000+int64(i*131))
		s.on(m.ID, engine.PhaseExtract, 31_400+int64(i*77))
		*s.report(m.ID) = engine.MachineReport{ModulesChanged: 3, ModulesAdded: 1, Processes: 2003}
		s.on(m.ID, engine.PhaseDetection, 12_900+int64(i*17))
	}
	s.Emit(engine.Event{
		Phase: engine.PhaseStage, Status: engine.StatusDone, StartedAt: started, DurationUS: s.at.Sub(started).Microseconds(),
		Text: fmt.Sprintf("%d of %d machines staged", len(s.Machines), len(s.Machines)),
	})
}

// Plan is the plan of the deploy.
func (s *Script) Plan() *engine.Plan {
	p := &engine.Plan{
		Upgrade: s.upgrade, Strategy: "all at once",
		Modules: []engine.ModuleChange{
			{Module: "Elixir.Counter.Server", App: "counter", Change: "changed", Functions: &engine.FunctionChanges{
				Added: []string{"code_change/3", "step/1"}, Changed: []string{"handle_call/3", "init/1"}, Removed: []string{"reset/1"},
			}},
			{Module: "Elixir.Counter.Gate", App: "counter", Change: "changed", Functions: &engine.FunctionChanges{Changed: []string{"open/3"}, More: 12}},
			{Module: "Elixir.Counter.History", App: "counter", Change: "added", Functions: &engine.FunctionChanges{Added: []string{"all/0"}}},
			{Module: "Elixir.Counter.Render", App: "counter", Change: "changed"},
		},
		Findings: []engine.Finding{
			{Name: "statem_changed", Severity: engine.SeverityWarn, What: "Counter.Gate is a gen_statem: its callback mode is asked again after the upgrade", Remedy: "Check that Counter.Gate.callback_mode/0 gives the same in both versions.", Machines: []string{s.Machines[0].ID}},
			{Name: "static_changed", Severity: engine.SeverityInfo, What: "priv/static has 2 changed files: /app.js, /app.css"},
		},
		LeftOut: []engine.Machine{{ID: "3d8d9a2c660118", Region: "ams", LeftOut: "group cron runs no BEAM"}},
	}
	for _, m := range s.Machines {
		p.Machines = append(p.Machines, engine.MachinePlan{
			Machine: m, Runs: engine.Code{Version: "0.1.0", GitRevision: "4f2c91a"},
			Report:    engine.MachineReport{ModulesChanged: 3, ModulesAdded: 1, Processes: 2003, Migrating: 2001},
			Processes: []engine.ProcessChange{{Module: "Elixir.Counter.Server", Kind: "gen_server", Count: 2000}, {Module: "Elixir.Counter.Gate", Kind: "gen_statem", Count: 1}, {Module: "Elixir.Counter.Tally", Kind: "agent", Count: 2}},
		})
	}
	p.Verdict = p.Judge()
	return p
}

func (s *Script) ask(p *engine.Plan) {
	s.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: p, Upgrade: &s.upgrade, StartedAt: s.at})
}

// Confirmed reports that the plan was confirmed.
func (s *Script) Confirmed(p *engine.Plan) {
	s.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusDone, Plan: p})
}

// Arm arms all machines and starts the commit.
func (s *Script) Arm() {
	s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, StartedAt: s.at, Text: fmt.Sprintf("%d machines", len(s.Machines))})
	for i, m := range s.Machines {
		s.Running(m.ID, engine.PhaseArm)
		s.on(m.ID, engine.PhaseArm, 21_000+int64(i*991))
	}
}

// Commit upgrades one machine.
func (s *Script) Commit(i int) {
	id := s.Machines[i].ID
	s.on(id, engine.PhaseSuspension, 1_210+int64(i*40))
	s.on(id, engine.PhaseCodeLoad, 640+int64(i*10))
	s.report(id).Migrated = 2003
	s.on(id, engine.PhaseMigration, 4_020+int64(i*300))
	s.report(id).SuspendedUS = 6_310 + int64(i*350)
	s.report(id).Outcome = engine.MachineCommitted
	s.on(id, engine.PhaseResume, 430+int64(i))
	s.Emit(engine.Event{Machine: id, Phase: engine.PhaseLiveView, Status: engine.StatusSkipped})
}

// Fail rolls one machine back, as version 3 of the sample does.
func (s *Script) Fail(i int) {
	id := s.Machines[i].ID
	s.on(id, engine.PhaseSuspension, 1_310)
	s.on(id, engine.PhaseCodeLoad, 655)
	r := s.report(id)
	r.Outcome, r.SuspendedUS, r.FailuresTotal = engine.MachineRolledBack, 61_200, 7
	r.Failures = []engine.Failure{{
		PID: "<0.412.0>", Name: "counter_13", Module: "Elixir.Counter.Server", Reason: "raised",
		Exception:   "** (RuntimeError) cannot migrate a counter that is negative",
		Stack:       []string{"(counter 0.3.0) lib/counter/server.ex:71: Counter.Server.code_change/3", "(stdlib 4.2) gen_server.erl:1142: :gen_server.system_code_change/4", "(stdlib 4.2) sys.erl:742: :sys.do_change_code/5"},
		StateBefore: "%Counter.State{count: integer, label: binary}", StateAfter: "{:error, exception}", Count: 7,
	}}
	report := *r
	problem := &engine.Problem{What: "7 of 2,003 processes could not be migrated; the machine took itself back: old code, old state", Remedy: "Fix code_change/3 of Counter.Server and deploy again.", Name: "rolled_back"}
	s.Emit(engine.Event{Machine: id, Phase: engine.PhaseMigration, Status: engine.StatusFailed, DurationUS: 3_900, Report: &report, Problem: problem})
	s.on(id, engine.PhaseRollback, 52_000)
	s.on(id, engine.PhaseResume, 390)
}

func (s *Script) finish() {
	s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusDone, DurationUS: 311_000, Text: fmt.Sprintf("%d of %d machines upgraded", len(s.Machines), len(s.Machines))})
	s.Emit(engine.Event{Phase: engine.PhaseVerify, Status: engine.StatusRunning, StartedAt: s.at})
	for _, m := range s.Machines {
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusDone})
	}
	s.run(engine.PhaseVerify, 90*time.Millisecond, "")
	s.run(engine.PhaseMetadata, 40*time.Millisecond, "the whole fleet runs 0.2.0")
	s.run(engine.PhaseResults, 55*time.Millisecond, "releases/counter-results/"+UpgradeID+"/")
	s.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
}

func (s *Script) failed() {
	problem := &engine.Problem{What: "machine " + s.Machines[0].ID + " rolled back", Remedy: "Nothing further was started. Fix the migration and deploy again, or deploy cold: fly deploy"}
	s.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusFailed, DurationUS: 311_000, Problem: problem})
	s.run(engine.PhaseResults, 55*time.Millisecond, "releases/counter-results/"+UpgradeID+"/")
	s.Emit(engine.Event{Phase: engine.PhaseUnlock, Status: engine.StatusDone})
}

// Result gathers the reports, as the engine does.
func (s *Script) Result(whole engine.Outcome) engine.Result {
	r := engine.Result{V: engine.EventVersion, Type: "result", Outcome: whole, Upgrade: s.upgrade, DurationMS: s.at.Sub(Start).Milliseconds()}
	for _, m := range s.Machines {
		rep := s.report(m.ID)
		outcome := engine.OutcomeNotStarted
		if rep.Outcome != "" {
			outcome = engine.MachineOutcome(rep.Outcome)
		}
		r.Machines = append(r.Machines, engine.MachineResult{
			ID: m.ID, Region: m.Region, Outcome: outcome, Modules: rep.ModulesChanged + rep.ModulesAdded, Processes: rep.Migrated,
			SuspendedUS: rep.SuspendedUS, Failures: rep.Failures,
		})
	}
	if whole != engine.OutcomeSucceeded {
		r.Problem = &engine.Problem{What: "machine " + s.Machines[0].ID + " rolled back: 7 processes could not be migrated", Remedy: "Nothing further was started. Fix the migration and deploy again, or deploy cold: fly deploy"}
	}
	return r
}

// armed begins a deploy: a script that goes on once all machines are armed, with the events since the confirmation, and those up to
// the plan's question.
func armed(n int) (s *Script, before []engine.Event) {
	s = NewScript(n)
	s.Start()
	s.build()
	s.Stage()
	plan := s.Plan()
	s.ask(plan)
	before, s.Events = s.Events, nil
	s.Confirmed(plan)
	s.Arm()
	return s, before
}

// Upgraded is a whole deploy: the events up to the plan's question, those after its confirmation, and the end.
func Upgraded(n int) (before, after []engine.Event, end engine.Result) {
	s, before := armed(n)
	for i := range n {
		s.Commit(i)
	}
	s.finish()
	return before, s.Events, s.Result(engine.OutcomeSucceeded)
}

// Watched is a deploy whose machines are watched after their commit: the events up to the plan's question, those until the watch has
// gone on for a while, and the rest of it. One machine crashes more often than before.
func Watched(n int) (before, watching, ended []engine.Event, end engine.Result) {
	s, before := armed(n)
	for i := range n {
		s.Commit(i)
		s.Emit(engine.Event{Machine: s.Machines[i].ID, Phase: engine.PhaseCheck, Status: engine.StatusDone})
	}
	began := s.at
	for look := range 10 {
		for i, m := range s.Machines {
			s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseWatch, Status: engine.StatusRunning, State: engine.MachineVerified, StartedAt: began, Vitals: vitals(i, look)})
		}
		s.at = began.Add(time.Duration(look+1) * 2 * time.Second)
	}
	watching, s.Events = s.Events, nil
	for i, m := range s.Machines {
		s.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseWatch, Status: engine.StatusDone, State: engine.MachineVerified, StartedAt: began, DurationUS: 20_000_000, Text: "well for 20s", Vitals: vitals(i, 9)})
	}
	s.finish()
	return before, watching, s.Events, s.Result(engine.OutcomeSucceeded)
}

// vitals are those of the i-th machine at one of ten looks.
func vitals(i, look int) *engine.Vitals {
	busy := (7 + 13*i + 11*look) % 100
	v := engine.Vitals{
		Memory: 182_400_000 + int64(i)*1_000_000_000, Processes: 3_204 + i, Mailbox: 12, MailboxOf: "Counter.Gate", RunQueue: i % 2,
		Crashes: 3 * i, Restarts: i, ChecksPassed: 2, ChecksTotal: 2, Schedulers: &busy,
	}
	was := v
	v.Before = &was
	v.Memory += int64(look) * 300_000
	if i == 1 {
		v.Crashes, v.Restarts, v.ChecksPassed = 214, 9, 1
	}
	return &v
}

// RolledBack is a deploy whose first machine rolls back.
func RolledBack(n int) (before, after []engine.Event, end engine.Result) {
	s, before := armed(n)
	s.Fail(0)
	for i := 1; i < n; i++ {
		s.Commit(i)
	}
	s.failed()
	outcome := engine.OutcomePartial
	if n == 1 {
		outcome = engine.OutcomeFailed
	}
	return before, s.Events, s.Result(outcome)
}

// Locked is a deploy that somebody else's lock keeps waiting.
func Locked() []engine.Event {
	s := NewScript(6)
	held := engine.LockInfo{
		LockedBy: "bob@ci-7", LockedAt: Start.Add(-2 * time.Minute), ExpiresAt: Start.Add(3 * time.Minute),
		DeploymentID: "01K93P0000Z7M4W2T8XCVDFGH1",
	}
	s.Emit(engine.Event{
		Phase: engine.PhaseLock, Status: engine.StatusRunning, StartedAt: s.at, Upgrade: &s.upgrade,
		Held: &engine.LockHeld{LockInfo: held, ETag: `"etag-of-bob"`},
	})
	return s.Events
}

// Freeze is ann's, two hours from Start on.
var Freeze = engine.LockInfo{
	LockedBy: "ann@laptop", LockedAt: Start.Add(-10 * time.Minute), ExpiresAt: Start.Add(2 * time.Hour), LifetimeMS: 130 * 60_000,
	DeploymentID: "01K93P0000Z7M4W2T8XCVDFGH2", Freeze: "Black Friday: the shop stays as it is",
}

// Frozen is a deploy that somebody's freeze keeps waiting.
func Frozen() []engine.Event {
	events := Locked()
	events[len(events)-1].Held.LockInfo = Freeze
	return events
}

// Blocked is a deploy whose plan has findings of a severity that must be accepted by name, or cannot.
func Blocked(n int, severity engine.Severity) []engine.Event {
	s := NewScript(n)
	s.Start()
	s.build()
	s.Stage()
	p := s.Plan()
	for _, name := range []string{"rollback_slow", "migrations_added"} {
		p.Findings = append(p.Findings, engine.Finding{
			Name: name, Severity: severity, What: "taking this upgrade back would suspend processes for about 5.6 s",
			Remedy: "Deploy at a quiet time, or deploy cold: fly deploy", Machines: []string{s.Machines[0].ID, s.Machines[n-1].ID},
		})
	}
	p.Verdict = p.Judge()
	s.ask(p)
	return s.Events
}

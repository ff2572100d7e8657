package tuitest

import (
	"context"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

// OverviewOf shows the script's machines at home, with one of every odd kind.
func OverviewOf(n int) engine.Overview {
	s := NewScript(n)
	o := engine.Overview{App: "counter", At: Start, Machines: append([]engine.Machine(nil), s.Machines...)}
	if n >= 6 {
		o.Machines[1].ChecksPassed = 1
		o.Machines[3].State, o.Machines[3].ChecksTotal = "stopped", 0
		o.Machines[4].State, o.Machines[4].HostStatus = "suspended", "unreachable"
		o.Machines = append(o.Machines, engine.Machine{
			ID: "3d8d9a2c660118", Name: "old-cron-1", Region: "ams", State: "started", ProcessGroup: "cron", LeftOut: "group cron runs no BEAM",
		})
		o.Metadata = &engine.Metadata{
			ImageRef:   "registry.fly.io/counter:deployment-01K93Q0000",
			HotUpgrade: &engine.HotUpgrade{Version: "0.1.1", ID: "01K93P", DeployedAt: Start.Add(-time.Hour)},
		}
	}
	return o
}

// RecordAddress is where the record of one of PastDeploys lies.
const RecordAddress = "https://fly.storage.tigris.dev/counter-releases/releases/counter-results/01K93QAB5Z7M4W2T8XCVDFGH1H/deploy.json"

// PastDeploys is a record with one deploy of every kind.
func PastDeploys() []engine.Past {
	at := Start.Add(-30 * time.Hour)
	return []engine.Past{
		{ID: "01K93QZZZZ7M4W2T8XCVDFGH1J", At: Start.Add(-20 * time.Second), Version: "0.3.0", Owner: "bob@ci-7", Host: "ci-7", Machines: 6, Running: true},
		{ID: UpgradeID, At: at, Outcome: engine.OutcomeSucceeded, Version: "0.2.0", Owner: "ada@laptop", Host: "laptop", Message: "the new counter, 新しい",
			GitRevision: "4f2c91a", Machines: 6, Upgraded: 6, MaxSuspendedUS: 8_060, DurationMS: 17_200},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1H", At: at.Add(-time.Hour), Outcome: engine.OutcomePartial, Version: "0.2.0-rc.1", Owner: "ada@laptop", Host: "laptop",
			CILink: "https://ci.example.com/builds/1234", Address: RecordAddress, Machines: 6, Upgraded: 5, MaxSuspendedUS: 61_200, DurationMS: 18_000},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1G", At: at.Add(-2 * time.Hour), Outcome: engine.OutcomeCancelled, Owner: "bob@ci-7", Machines: 6, DurationMS: 9_100},
		{ID: "01K93QAB5Z7M4W2T8XCVDFGH1F", At: at.Add(-3 * time.Hour), Outcome: "unreadable"},
	}
}

// InspectedOverview is a fleet whose VMs were asked: one of every kind of answer.
func InspectedOverview() engine.Overview {
	o := OverviewOf(6)
	o.Code = map[string]engine.MachineCode{
		o.Machines[0].ID: {Applied: true, Hook: engine.HookCalled, Fingerprint: "5f2980b8", Load: &engine.Load{Memory: 182_400_000, Processes: 3204, RunQueue: 1}},
		o.Machines[1].ID: {Stale: true, Hook: engine.HookCalled},
		o.Machines[2].ID: {Applied: true, Hook: engine.HookCalled, Drift: 12, Drifted: []string{"Counter.Gate", "Counter.Server"}, Load: &engine.Load{Memory: 1_240_000_000, Processes: 3310}},
		o.Machines[4].ID: {Problem: &engine.Problem{What: "machine 148e00056c7bbc: no answer", Remedy: "Look at its logs: fly logs"}},
		o.Machines[5].ID: {Applied: true, Hook: engine.HookMissing},
	}
	return o
}

// Backend is an app with six machines and a record of deploys; a function in the place of a method answers otherwise.
type Backend struct {
	OnOverview func(context.Context) (engine.Overview, error)
	OnInspect  func(context.Context) (engine.Overview, error)
	OnSheet    func(context.Context) (engine.Sheet, error)
	OnDeploy   func(engine.Request) (plain.Deployment, error)
	OnHistory  func(context.Context) ([]engine.Past, error)
	OnEvents   func(context.Context, string) ([]engine.Event, *engine.Result, error)
	OnWatch    func(string) engine.Source
	OnOutcome  func(context.Context, string) (engine.Result, error)
}

// Overview implements tui.Backend.
func (b *Backend) Overview(ctx context.Context) (engine.Overview, error) {
	if b.OnOverview != nil {
		return b.OnOverview(ctx)
	}
	return OverviewOf(6), nil
}

// Inspect implements tui.Backend.
func (b *Backend) Inspect(ctx context.Context) (engine.Overview, error) {
	if b.OnInspect != nil {
		return b.OnInspect(ctx)
	}
	return InspectedOverview(), nil
}

// Sheet implements tui.Backend.
func (b *Backend) Sheet(ctx context.Context) (engine.Sheet, error) {
	if b.OnSheet != nil {
		return b.OnSheet(ctx)
	}
	return engine.Sheet{
		Source: "a build of counter/fly.toml", Revision: "4f2c91a7d2e55b0c1f9a", Subject: "The new counter, 新しい", Dirty: true,
		Strategy: engine.Strategy{Kind: engine.StrategyAll, Bake: 10 * time.Second},
	}, nil
}

// Deploy implements tui.Backend.
func (b *Backend) Deploy(r engine.Request) (plain.Deployment, error) {
	if b.OnDeploy != nil {
		return b.OnDeploy(r)
	}
	return Play(nil, nil, engine.Result{}), nil
}

// History implements tui.Backend.
func (b *Backend) History(ctx context.Context) ([]engine.Past, error) {
	if b.OnHistory != nil {
		return b.OnHistory(ctx)
	}
	return PastDeploys(), nil
}

// Events implements tui.Backend.
func (b *Backend) Events(ctx context.Context, id string) ([]engine.Event, *engine.Result, error) {
	if b.OnEvents != nil {
		return b.OnEvents(ctx, id)
	}
	return Recorded(Upgraded(6)), nil, nil
}

// Watch implements tui.Backend.
func (b *Backend) Watch(id string) engine.Source {
	if b.OnWatch != nil {
		return b.OnWatch(id)
	}
	return PlayRecorded(Recorded(Upgraded(6)))
}

// Outcome implements tui.Backend.
func (b *Backend) Outcome(ctx context.Context, id string) (engine.Result, error) {
	if b.OnOutcome != nil {
		return b.OnOutcome(ctx, id)
	}
	return engine.Result{Outcome: engine.OutcomeUnfinished}, nil
}

package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

const (
	// inspectAtOnce is how many VMs are asked at the same time: each is asked twice, and what waits for an answer costs nothing.
	inspectAtOnce = 400
	// manyMachines is a fleet of which no machine is waited for longer than manyWithin.
	manyMachines = 50
	manyWithin   = 12 * time.Second
)

// Inspect asks the VM of every started machine which code it has loaded, and puts the answers into o.Code. It costs each VM a third
// of a second of CPU time, so it is for `flydeploy status` and not for a screen that refreshes itself. told, which may be nil, is called
// with each machine whose answer is in o.Code or that is not asked, for one after the other.
func Inspect(ctx context.Context, o *engine.Overview, fleet engine.Fleet, told func(engine.Machine)) {
	if told == nil {
		told = func(engine.Machine) {}
	}
	o.Code = map[string]engine.MachineCode{}
	var running []engine.Machine
	for _, m := range o.Machines {
		if engine.WhyLeftOut(m) == "" && m.Temporary == "" {
			running = append(running, m)
		} else {
			told(m)
		}
	}
	within := target.ConnectWithin
	if len(running) > manyMachines {
		within = manyWithin
	}
	var mu sync.Mutex
	_ = run.Each(ctx, running, inspectAtOnce, engine.Machine.Where, func(ctx context.Context, m engine.Machine) error {
		var code engine.MachineCode
		if err := run.Guarded(func() error { code = inspect(ctx, o, fleet, m, within); return nil }); err != nil {
			code.Problem = engine.AsProblem(err)
		}
		mu.Lock()
		defer mu.Unlock()
		o.Code[m.ID] = code
		told(m)
		return nil
	})
}

func inspect(ctx context.Context, o *engine.Overview, fleet engine.Fleet, m engine.Machine, within time.Duration) engine.MachineCode {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	exec := target.ExecOn(fleet, m.ID)
	code, err := run.RetryUnknown(ctx, nil, func() (agent.Code, error) {
		vm, err := agent.Discover(ctx, exec, o.Release)
		if err != nil {
			return agent.Code{}, err
		}
		return agent.Loaded(ctx, exec, vm)
	})
	if err != nil {
		return engine.MachineCode{Problem: engine.AsProblem(fmt.Errorf("machine %s: %w", m.ID, err))}
	}
	c := engine.MachineCode{
		Drift: code.DriftedTotal, Drifted: code.Drifted, Fingerprint: code.Fingerprint, Version: code.Version,
	}
	c.Hook, c.HookProblem = hookOf(code.Hook, o.OTPApp)
	c.CatchUp, c.Undone = code.Hook.CatchUp, undoneIn(code.Hook)
	if code.Memory > 0 {
		c.Load = &engine.Load{Memory: code.Memory, Processes: code.Processes, RunQueue: code.RunQueue}
	}
	c.OnTrial = code.Trial.ID
	if u, ok := o.HotUpgradeOf(m); ok && c.OnTrial == "" {
		c.Applied = runs(code, u)
		c.Stale = !c.Applied
	}
	return c
}

// runs reports whether a VM has loaded an upgrade: by its code if the record has a fingerprint, or else by what the package in the
// VM says.
func runs(code agent.Code, u engine.HotUpgrade) bool {
	if u.Fingerprint != "" {
		return code.Fingerprint == u.Fingerprint
	}
	return code.HotRef == u.SourceImageRef && code.Version == u.Version
}

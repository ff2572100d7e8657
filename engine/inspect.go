package engine

import (
	"context"
	"fmt"
	"sync"

	"flydeploy/engine/agent"
)

// MachineCode is what a machine's VM says of its loaded code, beside what the record says that it runs.
type MachineCode struct {
	// Applied: the upgrade that the record names for this machine is what its VM has loaded; false where none is named.
	Applied bool `json:"applied"`
	// Stale: the record names an upgrade, and the VM has loaded other code: it woke from a suspension, or its startup hook
	// is missing or failed.
	Stale bool `json:"stale,omitempty"`
	// Drift counts loaded modules whose file on disk is other code; Drifted are the first of them.
	Drift   int      `json:"drift,omitempty"`
	Drifted []string `json:"drifted,omitempty"`
	// Hook: whether a restart leads back to the upgrade; HookProblem says what is wrong with it.
	Hook        Hook     `json:"hook,omitempty"`
	HookProblem *Problem `json:"hook_problem,omitempty"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	Version     string   `json:"version,omitempty"` // of the upgrade, as the package in the VM knows it
	Problem     *Problem `json:"problem,omitempty"` // the VM could not be asked
}

// inspectAtOnce bounds how many VMs are asked at the same time.
const inspectAtOnce = 20

// Inspect asks the VM of every started machine for its loaded code, one rpc each, and puts the answers into the overview.
// It costs each VM a third of a second of a CPU: for `flydeploy status`, not for a screen that refreshes itself.
func (o *Overview) Inspect(ctx context.Context, fleet Fleet) {
	o.Code = map[string]MachineCode{}
	slots := make(chan struct{}, inspectAtOnce)
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, m := range o.Machines {
		if whyOut(m) != "" || m.Temporary != "" {
			continue
		}
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var code MachineCode
			if err := guarded(func() error { code = o.ask(ctx, fleet, m); return nil }); err != nil {
				code.Problem = AsProblem(err)
			}
			mu.Lock()
			defer mu.Unlock()
			o.Code[m.ID] = code
		})
	}
	asking.Wait()
}

func (o *Overview) ask(ctx context.Context, fleet Fleet, m Machine) MachineCode {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	exec := execOn(fleet, m.ID)
	code, err := insist(ctx, quietly, func() (agent.Code, error) {
		vm, err := agent.Discover(ctx, exec, o.Release)
		if err != nil {
			return agent.Code{}, err
		}
		return agent.Loaded(ctx, exec, vm)
	})
	if err != nil {
		return MachineCode{Problem: AsProblem(fmt.Errorf("machine %s: %w", m.ID, err))}
	}
	c := MachineCode{
		Drift: code.DriftedTotal, Drifted: code.Drifted, Fingerprint: code.Fingerprint, Version: code.Version,
	}
	c.Hook, c.HookProblem = hookOf(code.Hook, o.OTPApp)
	if u, ok := o.HotUpgradeOf(m); ok {
		c.Applied = runs(code, u)
		c.Stale = !c.Applied
	}
	return c
}

// runs tells whether a VM has loaded an upgrade: by its code where the record has its fingerprint, else by what the
// package in the VM says.
func runs(code agent.Code, u HotUpgrade) bool {
	if u.Fingerprint != "" {
		return code.Fingerprint == u.Fingerprint
	}
	return code.HotRef == u.SourceImageRef && code.Version == u.Version
}

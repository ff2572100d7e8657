package deploy

import (
	"context"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// ahead looks for the VMs of machines while the image is built and packed, so that staging need not. A nil ahead has found none.
type ahead struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	found map[string]agent.VM // by machine
	times map[string]time.Duration
}

// lookAhead begins to look; nothing of it is told, and what does not answer is looked for again when it is staged. The caller must end it.
func (j *job) lookAhead(ctx context.Context, s *surveyed) *ahead {
	if s.reusesTarball() && s.reusesAgent() {
		return nil // it is staged at once
	}
	a := &ahead{found: map[string]agent.VM{}, times: map[string]time.Duration{}}
	ctx, a.cancel = context.WithCancel(ctx)
	a.done.Go(func() {
		_ = run.Each(ctx, s.in, askedAtOnce, engine.Machine.Where, func(ctx context.Context, m engine.Machine) error {
			began := time.Now()
			vm, err := agent.Discover(ctx, target.ExecOn(j.ports.Fleet, m.ID), j.settings.Release)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.times[m.ID] = time.Since(began)
			if err == nil {
				a.found[m.ID] = vm
			}
			return err
		})
	})
	return a
}

// end waits until nobody looks any more.
func (a *ahead) end() {
	if a != nil {
		a.cancel()
		a.done.Wait()
	}
}

// orElse gives the VM that was found on a machine, early: it may have ended since; or, also when it is asked for once more, what look finds.
func (a *ahead) orElse(machine string, look func() (agent.VM, error)) (vm agent.VM, early bool, err error) {
	if vm, early = a.take(machine); !early {
		vm, err = look()
	}
	return vm, early, err
}

// took is how long a machine took to answer, or was waited for; 0 where none was asked.
func (a *ahead) took(r *rollout) time.Duration {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times[r.machine.ID]
}

func (a *ahead) take(machine string) (agent.VM, bool) {
	if a == nil {
		return agent.VM{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	vm, ok := a.found[machine]
	delete(a.found, machine)
	return vm, ok
}

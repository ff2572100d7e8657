package agenttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

// Fleet is the Machines API as a console sees it. It is an engine.Fleet.
type Fleet struct {
	world   *World
	console string
}

var _ engine.Fleet = (*Fleet)(nil)

// Machines implements engine.Fleet.
func (f *Fleet) Machines(ctx context.Context) ([]engine.Machine, error) {
	w := f.world
	return ask(ctx, w, Call{Console: f.console, Kind: ListMachines}, func() ([]engine.Machine, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.endTemporary()
		all := make([]engine.Machine, 0, len(w.machines))
		for _, m := range w.machines {
			all = append(all, m.listed())
		}
		return all, nil
	})
}

// MayCreate implements engine.Fleet.
func (f *Fleet) MayCreate(ctx context.Context) error {
	w := f.world
	return tell(ctx, w, Call{Console: f.console, Kind: MayCreate}, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.forbidden {
			return engine.ErrForbidden
		}
		return nil
	})
}

// Forbid takes the right to create machines from the token.
func (w *World) Forbid() { w.locked(func() { w.forbidden = true }) }

// Exec implements engine.Fleet.
func (f *Fleet) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (Output, error) {
	w := f.world
	c := Call{Console: f.console, Machine: id}
	r := read(command, stdin)
	r.describe(&c)
	// The platform cuts a command after its time.
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, errCut)
	defer cancel()
	a := w.through(bounded, c, func() Answer {
		out, err := w.exec(bounded, id, r)
		return Answer{Out: out, Err: err}
	})
	if a.Err != nil && ctx.Err() == nil && errors.Is(context.Cause(bounded), errCut) && !errors.Is(a.Err, errUnknownOutcome) {
		return Output{}, unanswered(c, errCut)
	}
	return a.Out, a.Err
}

// exec carries out what the words of an exec ask a machine for.
func (w *World) exec(ctx context.Context, id string, r request) (Output, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endTemporary()
	m := w.byID[id]
	switch {
	case m == nil:
		return Output{}, fmt.Errorf("exec on machine %s: 404 not found", id)
	case m.State != engine.StateStarted:
		return Output{}, fmt.Errorf("exec on machine %s: 412 failed_precondition: the machine is %s", id, m.State)
	}
	switch r.script {
	case agent.ScriptDiscover:
		return w.discover(m), nil
	case agent.ScriptStorage, agent.ScriptStorageConfig, agent.ScriptOrder, agent.ScriptFacts, agent.ScriptCode, agent.ScriptTrial, agent.ScriptSettings:
		return w.enter(ctx, m, r)
	case agent.ScriptCall:
		return w.call(ctx, m, r)
	case agent.ScriptImage:
		return w.describeImage(m), nil
	case agent.ScriptJob:
		return w.startJob(ctx, m, r)
	case agent.ScriptPoll:
		return w.pollJob(ctx, m, r.args[1], r.args[2])
	case agent.ScriptRun:
		return w.runCommand(m), nil
	case agent.ScriptOutput:
		return w.followCommand(ctx, m, r)
	default:
		return Output{Stderr: "sh: not found\n", ExitCode: 127}, nil
	}
}

// await lets others change the machine until it has news, a time has come or the context ends. The mutex is held before and
// after. An error means that the exec's connection broke.
func (w *World) await(ctx context.Context, m *machine, until time.Time) error {
	news := m.changed
	w.mu.Unlock()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var err error
	select {
	case <-news:
	case <-timer.C:
	case <-ctx.Done():
		err = unanswered(Call{Kind: Wait, Machine: m.ID}, context.Cause(ctx))
	}
	w.mu.Lock()
	if err == nil && m.State != engine.StateStarted {
		err = unanswered(Call{Kind: Wait, Machine: m.ID}, errReset)
	}
	return err
}

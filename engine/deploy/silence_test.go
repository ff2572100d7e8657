package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/deploy"
)

// deaf loses answers of exec on the way: the work is done, as on Fly, or not.
type deaf struct {
	engine.Fleet
	answer func(id string, command []string, carryOut func() (engine.Output, error)) (engine.Output, error)
}

func (d deaf) Exec(ctx context.Context, id string, command []string, stdin string, timeout time.Duration) (engine.Output, error) {
	return d.answer(id, command, func() (engine.Output, error) { return d.Fleet.Exec(ctx, id, command, stdin, timeout) })
}

var errLost = fmt.Errorf("408: %w", engine.ErrUnknownOutcome)

// startDeaf begins a deploy of version 2 whose answers of exec go through answer.
func (w *world) startDeaf(s engine.Settings, answer func(id string, command []string, carryOut func() (engine.Output, error)) (engine.Output, error)) *deploy.Deployment {
	ports := w.ports(2)
	ports.Fleet = deaf{w.fleet, answer}
	return deploy.Start(w.t.Context(), s, ports)
}

func isCommit(command []string) bool { return len(command) == 7 && command[5] == "commit" }

// A machine that never answers keeps nobody from deploying to the others; a deploy that is stopped while an agent starts
// takes it back; answers that come after the time are found.
func TestSilentMachinesBeforeTheCommit(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	listed, err := w.fleet.Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := listed[0].ID, listed[1].ID

	s := settings()
	s.Select.Machines = []string{second}
	d := w.startDeaf(s, func(id string, _ []string, carryOut func() (engine.Output, error)) (engine.Output, error) {
		if id == first {
			return engine.Output{}, errLost
		}
		return carryOut()
	})
	p := w.watch(d, nil)
	if r := d.Result(); r.Outcome != engine.OutcomeSucceeded {
		t.Fatalf("with a silent machine that is not selected: %s, %v\n%s", r.Outcome, r.Problem, logOf(p))
	}

	s.Select.Machines = []string{first}
	var started atomic.Bool
	var stopped *deploy.Deployment
	ready := make(chan struct{})
	stopped = w.startDeaf(s, func(_ string, _ []string, carryOut func() (engine.Output, error)) (engine.Output, error) {
		<-ready
		out, err := carryOut()
		if strings.Contains(out.Stdout, "FLYDEPLOY1 started {") && !started.Swap(true) {
			stopped.Stop() // and the request ends as a cancelled one does
			return engine.Output{}, errors.Join(context.Canceled, engine.ErrUnknownOutcome)
		}
		return out, err
	})
	close(ready)
	p = w.watch(stopped, nil)
	if r := stopped.Result(); r.Outcome != engine.OutcomeCancelled || !started.Load() {
		t.Fatalf("stopped while the agent starts: %s, %v\n%s", r.Outcome, r.Problem, logOf(p))
	}
	w.expectNoAgent(first)

	s = settings()
	s.Timeout = 25 * time.Second
	var committed, givenUp atomic.Bool
	d = w.startDeaf(s, func(id string, command []string, carryOut func() (engine.Output, error)) (engine.Output, error) {
		out, err := carryOut()
		if id == first && (committed.Load() || isCommit(command)) && !givenUp.Load() {
			committed.Store(true)
			return engine.Output{}, errLost
		}
		return out, err
	})
	p = w.watch(d, func(p *engine.Progress) {
		if m := p.Machine(first); m != nil {
			if _, status := m.Now(); status == engine.StatusUnknown {
				givenUp.Store(true)
			}
		}
	})
	if !givenUp.Load() {
		t.Error("the machine that did not answer was never shown as unknown")
	}
	r := d.Result()
	if r.Outcome != engine.OutcomeSucceeded || p.Machine(first).Problem != nil {
		t.Errorf("answers that come late: %s, %v, machine shown with %v\n%s", r.Outcome, r.Problem, p.Machine(first).Problem, logOf(p))
	}
	w.expectMetadata(r)
	w.expectNothingLeft()
}

// A VM that restarts while the plan waits is staged again; a machine that goes silent at its commit does not take the
// record of the other with it, and its lock stays until it expires.
func TestSilentMachineAtTheCommit(t *testing.T) {
	t.Parallel() // mostly waits for rate limits
	w := newWorld(t, 2)
	well, silent := w.ids[0], w.ids[1]
	s := settings()
	s.Yes, s.Ask, s.Timeout = false, true, 20*time.Second
	var gone atomic.Bool
	d := w.startDeaf(s, func(id string, command []string, carryOut func() (engine.Output, error)) (engine.Output, error) {
		if id != silent {
			return carryOut()
		}
		if isCommit(command) && !gone.Swap(true) {
			_, _ = carryOut()
		}
		if gone.Load() {
			return engine.Output{}, errLost
		}
		return carryOut()
	})
	asked := false
	p := w.watch(d, func(p *engine.Progress) {
		if p.Asks() == engine.QuestionPlan && !asked {
			asked = true
			w.restart(well)
			d.Answer(engine.Answer{To: engine.QuestionPlan, Proceed: true})
		}
	})

	r := d.Result()
	if r.Outcome != engine.OutcomePartial || p.Machine(well).Attempt != 2 {
		t.Fatalf("outcome %s after %d attempts: %v\n%s", r.Outcome, p.Machine(well).Attempt, r.Problem, logOf(p))
	}
	md, _, err := w.bucket().Metadata(t.Context())
	if err != nil || md.MachineUpgrades[well].SHA256 != r.Upgrade.SHA256 || len(md.MachineUpgrades) != 1 {
		t.Errorf("current.json: %+v, %v", md, err)
	}
	for _, ph := range []engine.Phase{engine.PhaseVerify, engine.PhaseMetadata, engine.PhaseResults} {
		if status := p.Fleet[ph].Status; status != engine.StatusDone {
			t.Errorf("phase %s is %s: %v", ph, status, p.Fleet[ph].Problem)
		}
	}
	if status := p.Fleet[engine.PhaseUnlock].Status; status != engine.StatusSkipped {
		t.Errorf("unlocking is %s although a machine may still commit", status)
	}
}

// expectNoAgent: no upgrade is under way in the machine's VM.
func (w *world) expectNoAgent(id string) {
	w.t.Helper()
	w.rpc(id, `nil = Process.whereis(:flydeploy_agent)`)
}

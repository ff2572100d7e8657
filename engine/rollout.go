package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine/agent"
)

// rollout is the deploy on one machine: its agent and what the agent told last.
type rollout struct {
	machine Machine
	attempt int
	session *agent.Session // nil before the agent was injected
	sent    *agent.Order   // of an injection that may have begun
	vm      agent.VM       // where it was sent
	report  string         // the key under which its agent stores the report of what failed
	status  agent.Status
	shown   map[Phase]agent.Phase // what events have told of the agent's phases
	problem *Problem
	noVM    bool // runs no release: left out
	commit  bool // a commit was sent
	gone    bool // its agent ended while it was watched after the commit
	// verified: its VM was asked, and has loaded the upgrade. code is what it answered.
	verified bool
	code     agent.Code
	recorded bool           // in current.json
	end      MachineOutcome // what became of a machine after its commit, "" where it runs on
}

// committed: the agent says that the machine runs the upgrade.
func (r *rollout) committed() bool { return r.status.State == agent.Committed || r.upToDate() }

// upgraded: the machine was verified to run the upgrade.
func (r *rollout) upgraded() bool { return r.committed() && r.verified }

func (r *rollout) isVerified() bool { return r.upgraded() && r.end == "" }

func (r *rollout) upToDate() bool { return r.status.UpToDate }

// outcomeUnknown: a commit was sent and no end was seen.
const (
	outcomeUnknown    = OutcomeUnknown
	outcomeNotStarted = OutcomeNotStarted
)

// outcome is the agent's terminal state, or what stands for it where there is none.
func (r *rollout) outcome() MachineOutcome {
	switch {
	case r.end != "":
		return r.end
	case r.upToDate():
		return "up_to_date"
	case r.noVM:
		return "left_out"
	case r.status.State.Terminal():
		return MachineOutcome(r.status.State)
	case r.commit:
		return outcomeUnknown
	default:
		return outcomeNotStarted
	}
}

func (r *rollout) result() MachineResult {
	report := reportOf(r.status)
	m := MachineResult{
		ID: r.machine.ID, Region: r.machine.Region, Outcome: r.outcome(),
		Modules: report.ModulesChanged + report.ModulesAdded, Processes: report.Migrated,
		SuspendedUS: report.SuspendedUS, SuspendedAtUS: report.SuspendedAtUS, ResumedAtUS: report.ResumedAtUS,
		Failures: report.Failures, FailuresTotal: report.FailuresTotal,
	}
	if r.status.Report == agent.ReportStored {
		m.FullReport = r.report
	}
	if r.problem != nil {
		m.Error = r.problem.What
	}
	return m
}

// insist makes a call that may be made twice until its outcome is known, or until ctx ends: answers get lost.
func insist[T any](ctx context.Context, lost func(error), call func() (T, error)) (T, error) {
	for pause := askAgainAfter; ; pause = min(2*pause, askAgainAtLeast) {
		result, err := call()
		if !errors.Is(err, agent.ErrUnknownOutcome) || ctx.Err() != nil {
			return result, err
		}
		lost(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// A platform that answers errors at once is not asked all the time: the pauses grow.
const (
	askAgainAfter   = 500 * time.Millisecond
	askAgainAtLeast = 4 * time.Second // at least so often
)

// lost tells that an answer did not come. It is no failure: the next look resolves it.
func (p *pipeline) lost(ph Phase, machineID string) func(error) {
	return func(err error) {
		p.rec.emit(Event{Machine: machineID, Phase: ph, Status: StatusRunning, Log: printableLine(AsProblem(err).What + "; asking again")})
	}
}

// order gives the agent a command, which may be sent twice, and follows it until the wanted state or a terminal one.
// Its phases are shown as they come.
func (p *pipeline) order(ctx context.Context, r *rollout, command func(context.Context, int64) (agent.Status, error), wanted agent.State) error {
	moved := time.Now()
	for {
		before := r.status.Seq
		status, err := insist(ctx, p.lost(p.phaseOf(r, PhaseInject), r.machine.ID), func() (agent.Status, error) {
			return command(ctx, before)
		})
		if err != nil {
			return err
		}
		p.show(r, status)
		if status.Seq > before {
			moved = time.Now()
		} else if time.Since(moved) > stillFor {
			if err := p.stillThere(ctx, r); err != nil {
				return err
			}
			moved = time.Now()
		}
		if r.status.State == wanted {
			return nil
		}
		if r.status.State.Terminal() {
			return endOf(r.status)
		}
		command = r.session.Wait
	}
}

// stillFor: an agent moves its status every few seconds, also without news, except inside the window.
const stillFor = 15 * time.Second

// stillThere looks whether a machine still runs the VM whose agent does not move.
func (p *pipeline) stillThere(ctx context.Context, r *rollout) error {
	now, err := p.ports.Fleet.Machines(ctx)
	if err != nil {
		return fmt.Errorf("look at a machine whose agent does not move: %w", err)
	}
	at := slices.IndexFunc(now, func(m Machine) bool { return m.ID == r.machine.ID })
	if at < 0 || now[at].State != StateStarted || now[at].InstanceID != r.machine.InstanceID {
		return fmt.Errorf("the machine stopped or was replaced, its agent is %w", agent.ErrGone)
	}
	vm, err := agent.Discover(ctx, execOn(p.ports.Fleet, r.machine.ID), p.settings.Release)
	switch {
	case errors.Is(err, agent.ErrNoVM), err == nil && vm.Boot() != r.vm.Boot():
		return fmt.Errorf("the VM restarted, its agent is %w", agent.ErrGone)
	}
	return nil // it is there, or nobody knows: the deadline decides
}

// endOf tells why an agent reached another end than the wanted one.
func endOf(s agent.Status) *Problem {
	ended := strings.ReplaceAll(string(s.State), "_", " ")
	switch {
	case s.Error != nil:
		return NewProblem(s.Error.Name, s.Error.What, nil, remedies[s.Error.Name])
	case len(s.Failures) > 0:
		f := s.Failures[0]
		more := ""
		if s.FailuresTotal > 1 {
			more = fmt.Sprintf(" (and %d more)", s.FailuresTotal-1)
		}
		return NewProblem("migration_failed", fmt.Sprintf("%s: %s of %s %s: %s%s", ended, cmp.Or(f.Name, f.PID), f.Module,
			strings.ReplaceAll(f.Reason, "_", " "), f.Exception, more), nil, remedies[f.Reason])
	default:
		return NewProblem(string(s.State), "the agent ended: "+ended, nil, remedies[string(s.State)])
	}
}

// show turns a status into events: one for every phase of which it tells something new.
func (p *pipeline) show(r *rollout, s agent.Status) {
	r.status = s
	if r.shown == nil {
		r.shown = map[Phase]agent.Phase{}
	}
	report := reportOf(s)
	for _, ph := range s.Phases {
		name := Phase(ph.Name)
		if r.shown[name] == ph {
			continue
		}
		r.shown[name] = ph
		e := Event{
			Machine: r.machine.ID, Attempt: r.attempt, Phase: name, Status: Status(ph.Status), DurationUS: ph.US, Report: &report,
		}
		if ph.AtUS > 0 {
			e.StartedAt = time.UnixMicro(ph.AtUS)
		}
		if name == PhaseReload {
			e.Done, e.Total, e.Unit = s.Download.Done, s.Download.Total, "bytes"
		}
		p.rec.emit(e)
	}
}

// fail records why a machine stopped, with the phase in which it did. The operator's stop is no failure of the machine: the deploy's
// end tells what became of it.
func (p *pipeline) fail(r *rollout, ph Phase, err error) error {
	r.problem = AsProblem(err)
	if errors.Is(err, errStopped) || errors.Is(err, context.Canceled) && !r.commit { // by a signal; later it is the end that is hurried
		return err
	}
	report := reportOf(r.status)
	e := Event{Machine: r.machine.ID, Attempt: r.attempt, Phase: ph, Status: StatusFailed, Problem: r.problem, Report: &report}
	if told, ok := r.shown[ph]; ok {
		e.StartedAt, e.DurationUS = time.UnixMicro(told.AtUS), told.US
	}
	p.rec.emit(e)
	return err
}

// withTimeout bounds one step on one machine.
func (p *pipeline) withTimeout(ctx context.Context, step func(context.Context) error) error {
	return within(ctx, p.settings.Timeout, "Look at the machine with `fly logs`, or give it more time with --timeout.", step)
}

// within bounds a step, and tells that it was the time that ended it.
func within(ctx context.Context, limit time.Duration, remedy string, step func(context.Context) error) error {
	timeout := NewProblem("timeout", fmt.Sprintf("nothing final within %s", limit), nil, remedy)
	bounded, cancel := context.WithTimeoutCause(ctx, limit, timeout)
	defer cancel()
	err := step(bounded)
	if err != nil && bounded.Err() != nil {
		return context.Cause(bounded)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // the time that was left did not suffice for a request
		return timeout
	}
	return err
}

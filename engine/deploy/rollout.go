package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/engine/target"
)

// rollout is the deploy on one machine: its agent and what the agent told last.
type Rollout struct {
	Machine engine.Machine
	attempt int
	session *agent.Session // nil before the agent was injected
	sent    *agent.Order   // of an injection that may have begun
	vm      agent.VM       // where it was sent
	report  string         // the key under which its agent stores the report of what failed
	status  agent.Status
	shown   map[engine.Phase]agent.Phase // what events have told of the agent's phases
	problem *engine.Problem
	noVM    bool // runs no release: left out
	commit  bool // a commit was sent
	gone    bool // its agent ended while it was watched after the commit
	// verified: its VM was asked, and has loaded the upgrade. code is what it answered.
	verified bool
	code     agent.Code
	recorded bool                  // in current.json
	end      engine.MachineOutcome // what became of a machine after its commit, "" where it runs on
}

// committed: the agent says that the machine runs the upgrade.
func (r *Rollout) committed() bool { return r.status.State == agent.Committed || r.upToDate() }

// upgraded: the machine was verified to run the upgrade.
func (r *Rollout) upgraded() bool { return r.committed() && r.verified }

func (r *Rollout) isVerified() bool { return r.upgraded() && r.end == "" }

func (r *Rollout) upToDate() bool { return r.status.UpToDate }

// outcomeUnknown: a commit was sent and no end was seen.
const (
	outcomeUnknown    = engine.OutcomeUnknown
	outcomeNotStarted = engine.OutcomeNotStarted
)

// outcome is the agent's terminal state, or what stands for it where there is none.
func (r *Rollout) outcome() engine.MachineOutcome {
	switch {
	case r.end != "":
		return r.end
	case r.upToDate():
		return "up_to_date"
	case r.noVM:
		return "left_out"
	case r.status.State.Terminal():
		return engine.MachineOutcome(r.status.State)
	case r.commit:
		return outcomeUnknown
	default:
		return outcomeNotStarted
	}
}

func (r *Rollout) result() engine.MachineResult {
	report := reportOf(r.status)
	m := engine.MachineResult{
		ID: r.Machine.ID, Region: r.Machine.Region, Outcome: r.outcome(),
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

// lost tells that an answer did not come. It is no failure: the next look resolves it.
func (p *Pipeline) lost(ph engine.Phase, machineID string) func(error) {
	return func(err error) {
		p.rec.Emit(engine.Event{Machine: machineID, Phase: ph, Status: engine.StatusRunning, Log: record.PrintableLine(engine.AsProblem(err).What + "; asking again")})
	}
}

// order gives the agent a command, which may be sent twice, and follows it until the wanted state or a terminal one.
// Its phases are shown as they come.
func (p *Pipeline) order(ctx context.Context, r *Rollout, command func(context.Context, int64) (agent.Status, error), wanted agent.State) error {
	moved := time.Now()
	for {
		before := r.status.Seq
		status, err := run.Insist(ctx, p.lost(p.phaseOf(r, engine.PhaseInject), r.Machine.ID), func() (agent.Status, error) {
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
func (p *Pipeline) stillThere(ctx context.Context, r *Rollout) error {
	now, err := p.ports.Fleet.Machines(ctx)
	if err != nil {
		return fmt.Errorf("look at a machine whose agent does not move: %w", err)
	}
	at := slices.IndexFunc(now, func(m engine.Machine) bool { return m.ID == r.Machine.ID })
	if at < 0 || now[at].State != engine.StateStarted || now[at].InstanceID != r.Machine.InstanceID {
		return fmt.Errorf("the machine stopped or was replaced, its agent is %w", agent.ErrGone)
	}
	vm, err := agent.Discover(ctx, target.ExecOn(p.ports.Fleet, r.Machine.ID), p.settings.Release)
	switch {
	case errors.Is(err, agent.ErrNoVM), err == nil && vm.Boot() != r.vm.Boot():
		return fmt.Errorf("the VM restarted, its agent is %w", agent.ErrGone)
	}
	return nil // it is there, or nobody knows: the deadline decides
}

// endOf tells why an agent reached another end than the wanted one.
func endOf(s agent.Status) *engine.Problem {
	ended := strings.ReplaceAll(string(s.State), "_", " ")
	switch {
	case s.Error != nil:
		return engine.NewProblem(s.Error.Name, s.Error.What, nil, engine.Remedies[s.Error.Name])
	case len(s.Failures) > 0:
		f := s.Failures[0]
		more := ""
		if s.FailuresTotal > 1 {
			more = fmt.Sprintf(" (and %d more)", s.FailuresTotal-1)
		}
		return engine.NewProblem("migration_failed", fmt.Sprintf("%s: %s of %s %s: %s%s", ended, cmp.Or(f.Name, f.PID), f.Module,
			strings.ReplaceAll(f.Reason, "_", " "), f.Exception, more), nil, engine.Remedies[f.Reason])
	default:
		return engine.NewProblem(string(s.State), "the agent ended: "+ended, nil, engine.Remedies[string(s.State)])
	}
}

// show turns a status into events: one for every phase of which it tells something new.
func (p *Pipeline) show(r *Rollout, s agent.Status) {
	r.status = s
	if r.shown == nil {
		r.shown = map[engine.Phase]agent.Phase{}
	}
	report := reportOf(s)
	for _, ph := range s.Phases {
		name := engine.Phase(ph.Name)
		if r.shown[name] == ph {
			continue
		}
		r.shown[name] = ph
		e := engine.Event{
			Machine: r.Machine.ID, Attempt: r.attempt, Phase: name, Status: engine.Status(ph.Status), DurationUS: ph.US, Report: &report,
		}
		if ph.AtUS > 0 {
			e.StartedAt = time.UnixMicro(ph.AtUS)
		}
		if name == engine.PhaseReload {
			e.Done, e.Total, e.Unit = s.Download.Done, s.Download.Total, "bytes"
		}
		p.rec.Emit(e)
	}
}

// fail records why a machine stopped, with the phase in which it did. The operator's stop is no failure of the machine: the deploy's
// end tells what became of it.
func (p *Pipeline) fail(r *Rollout, ph engine.Phase, err error) error {
	r.problem = engine.AsProblem(err)
	if errors.Is(err, errStopped) || errors.Is(err, context.Canceled) && !r.commit { // by a signal; later it is the end that is hurried
		return err
	}
	report := reportOf(r.status)
	e := engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: ph, Status: engine.StatusFailed, Problem: r.problem, Report: &report}
	if told, ok := r.shown[ph]; ok {
		e.StartedAt, e.DurationUS = time.UnixMicro(told.AtUS), told.US
	}
	p.rec.Emit(e)
	return err
}

// withTimeout bounds one step on one machine.
func (p *Pipeline) withTimeout(ctx context.Context, step func(context.Context) error) error {
	return run.Within(ctx, p.settings.Timeout, "Look at the machine with `fly logs`, or give it more time with --timeout.", step)
}

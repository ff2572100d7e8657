package deploy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/plan"
	"flydeploy/text"
)

// freshStates is the finding about processes that cannot go back with their states: they end, and their supervisors start them again.
const freshStates = "fresh_states"

// endsTold is how many kinds of processes are named that end.
const endsTold = 6

// acceptBack gives the names of the blockers that are accepted for the way back. Who ends for it is told before anything does; an
// operator is asked about that, and about what blocks it, and may accept both.
func (c *committing) acceptBack(ctx context.Context, p *engine.Plan) ([]string, error) {
	fresh := endsProcesses(p.Findings)
	if fresh != nil {
		c.rec.Log(engine.PhaseCommit, "taking it back ends processes: "+fresh.What)
	}
	c.logBack(p.Findings)
	blocked := blockers(p.Findings, c.accepted)
	switch {
	case blocked == nil && (fresh == nil || !c.settings.Ask):
		return c.accepted, nil
	case !c.settings.Ask, slices.ContainsFunc(p.Findings, func(f engine.Finding) bool { return f.Severity == engine.SeverityRefuse }):
		return c.accepted, blocked
	}
	asked, says := blocked, "taking it back is blocked"
	if blocked == nil {
		asked, says = fresh, "taking it back ends processes"
	} else if fresh != nil {
		asked = engine.NewProblem("blocked", engine.AsProblem(blocked).What+"; and it ends processes: "+fresh.What, nil, engine.AsProblem(blocked).Remedy).WithCause(blocked)
	}
	way, err := c.choose(ctx, engine.QuestionBack, says, asked, []engine.Way{engine.WayStop, engine.WayBack})
	if err != nil || way != engine.WayBack {
		if blocked == nil {
			asked = engine.NewProblem(freshStates, "it would end processes: "+fresh.What, nil, fresh.Remedy)
		}
		return c.accepted, errors.Join(asked, err)
	}
	accepted := slices.Clone(c.accepted)
	for _, f := range p.Blockers() {
		accepted = append(accepted, f.Name)
	}
	return accepted, nil
}

// goesDown is the finding about processes whose states a code_change with {:down, vsn} takes back.
const goesDown = "goes_down"

// logBack logs what else the plan of the way back has found, before anything is suspended for it.
func (c *committing) logBack(findings []engine.Finding) {
	for _, f := range findings {
		if f.Name == goesDown || f.Name != freshStates && f.Severity != engine.SeverityInfo {
			c.rec.Log(engine.PhaseCommit, fmt.Sprintf("the plan of the way back: %s %s%s: %s", f.Severity, f.Name, onMachines(f.Machines), f.What))
		}
	}
}

// endsProcesses tells which processes end for the way back; nil for none.
func endsProcesses(findings []engine.Finding) *engine.Problem {
	var says []string
	for _, f := range findings {
		if f.Name == freshStates {
			says = append(says, f.What+" ("+strings.TrimPrefix(onMachines(f.Machines), " ")+")")
		}
	}
	if says == nil {
		return nil
	}
	if more := len(says) - endsTold; more > 0 {
		says = append(says[:endsTold], fmt.Sprintf("and %d more", more))
	}
	return engine.NewProblem(freshStates, strings.Join(says, "; "), nil, engine.Remedies[freshStates])
}

// afresh tries machines again that could not go back since processes did not take their states along: those of the modules that
// failed start afresh then.
func (c *committing) afresh(ctx context.Context, work *committing, machines []*rollout) error {
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning,
		Text: fmt.Sprintf("trying %s again: what could not go back with its state starts afresh", text.Counted(len(machines), "machine"))})
	failed := work.each(ctx, machines, func(ctx context.Context, r *rollout) error {
		r.fresh = append(r.fresh, failedModules(r.status)...)
		work.awaitReport(ctx, r)
		_ = r.session.Finish(ctx) // its place is needed
		return work.restage(ctx, r)
	})
	machines = filter(machines, (*rollout).isStaged)
	if len(machines) == 0 || context.Cause(ctx) != nil {
		return failed
	}
	if _, err := c.acceptBack(ctx, plan.Make(factsOf(work.staged, machines))); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, work.wave(ctx, wave{number: 1, of: 1, machines: machines}))
}

func factsOf(st *staged, machines []*rollout) plan.Facts {
	some := *st
	some.machines = machines
	return some.facts()
}

// mayStartAfresh: it has rolled back, or nothing was loaded, since of some modules a process did not take its state along.
func (r *rollout) mayStartAfresh() bool {
	switch r.state {
	case engine.MachineRolledBack, engine.MachineRolledBackWithLosses, engine.MachineFailed:
		return r.session != nil && len(r.fresh) == 0 && len(failedModules(r.status)) > 0
	}
	return false
}

// startsAfresh are the reasons of failures that a fresh start does away with.
var startsAfresh = []string{"raised", "exited", "bad_return", "timeout", "too_slow", "busy", "not_suspended", agent.NotRendered}

// moduleName is what a module's name is made of, as Elixir shows it.
var moduleName = regexp.MustCompile(`^:?[A-Za-z0-9_.@]+$`)

func validModule(name string) bool { return len(name) <= 200 && moduleName.MatchString(name) }

// failedModules are the modules whose processes did not take their states along.
func failedModules(s agent.Status) []string {
	var modules []string
	for _, f := range s.Failures {
		if slices.Contains(startsAfresh, f.Reason) && validModule(f.Module) && !slices.Contains(modules, f.Module) {
			modules = append(modules, f.Module)
		}
	}
	return modules
}

// takenBackOf gives which way the processes of a machine went back.
func takenBackOf(s agent.Status) *engine.WayOfProcesses {
	return &engine.WayOfProcesses{Kept: s.Suspended, Migrated: min(s.Counts.Migrating, s.Suspended), Fresh: s.Fresh}
}

// wayBack sums up which way processes went back.
func (st *staged) wayBack() engine.WayOfProcesses {
	var all engine.WayOfProcesses
	for _, r := range filter(st.machines, (*rollout).isTakenBack) {
		all = all.Plus(r.back)
	}
	return all
}

package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"flydeploy/engine"
	"flydeploy/engine/agent"
)

var errDeclined = errors.New("the plan was not confirmed")

// errPlanned ends a dry run after its plan.
var errPlanned = errors.New("dry run")

// blockedError says which findings keep the deploy from going on.
type blockedError struct{ by []engine.Finding }

func (e *blockedError) Error() string {
	parts := make([]string, 0, len(e.by))
	for _, f := range e.by {
		parts = append(parts, fmt.Sprintf("%s%s (%s)", f.Name, onMachines(f.Machines), f.What))
	}
	return "blocked by the plan: " + strings.Join(parts, "; ")
}

// onMachines says where a finding was made.
func onMachines(ids []string) string {
	switch len(ids) {
	case 0:
		return ""
	case 1:
		return " on machine " + ids[0]
	}
	return fmt.Sprintf(" on machine %s and %d more", ids[0], len(ids)-1)
}

// confirm shows the plan and waits for the operator. Nothing is suspended before.
func (p *Pipeline) confirm(ctx context.Context) error {
	p.rec.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusRunning, Plan: p.plan, Upgrade: p.known(), Text: p.planText()})
	accepted, err := p.decide(ctx)
	accepted = append(accepted, p.settings.Accept...)
	if err == nil {
		err = blockers(p.plan, accepted)
	}
	switch {
	case p.settings.DryRun && (err == nil || errors.Is(err, errPlanned)):
		p.rec.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusDone, Plan: p.plan, Text: p.planText()})
		return errPlanned
	case err != nil:
		p.rec.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusFailed, Plan: p.plan, Problem: engine.AsProblem(err)})
		return err
	}
	p.rec.Emit(engine.Event{Phase: engine.PhasePlan, Status: engine.StatusDone, Plan: p.plan, Text: p.planText()})
	p.accepted = accepted
	return p.stageChanged(ctx)
}

func (p *Pipeline) planText() string {
	return engine.Counted(len(p.plan.Modules), "module") + ", " + engine.Counted(p.plan.Processes(), "process") + " on " + engine.Counted(len(p.plan.Machines), "machine")
}

// decide gives the blockers that the operator accepted.
func (p *Pipeline) decide(ctx context.Context) ([]string, error) {
	switch {
	case p.settings.DryRun, p.settings.Yes:
		return nil, nil
	case !p.settings.Ask:
		return nil, engine.NewProblem("unconfirmed", "nobody is there to confirm the plan", nil, "Run in a terminal, or give --yes.")
	}
	answer, err := p.ask(ctx, engine.QuestionPlan, confirmWithin)
	if errors.Is(err, errNoAnswer) {
		return nil, engine.NewProblem("unconfirmed", fmt.Sprintf("the plan was not confirmed within %s", confirmWithin), nil,
			"Nothing was changed. Deploy again when you are ready.")
	}
	if err == nil && !answer.Proceed {
		err = errDeclined
	}
	return answer.Accept, err
}

func blockers(plan *engine.Plan, accepted []string) error {
	var by []engine.Finding
	for _, f := range plan.Blockers() {
		if f.Severity == engine.SeverityRefuse || !slices.Contains(accepted, f.Name) {
			by = append(by, f)
		}
	}
	if len(by) == 0 {
		return nil
	}
	remedies := make([]string, 0, len(by))
	for _, f := range by {
		remedies = append(remedies, f.Remedy)
	}
	return engine.NewProblem("blocked", (&blockedError{by}).Error(), nil, strings.Join(slices.Compact(remedies), "\n    ")).Because(&blockedError{by})
}

// stageChanged stages machines again whose instance or VM changed while the plan waited for its confirmation. What was
// accepted before holds for what is found there now, and no more.
func (p *Pipeline) stageChanged(ctx context.Context) error {
	now, err := p.ports.Fleet.Machines(ctx)
	if err != nil {
		return fmt.Errorf("list machines again after the confirmation: %w", err)
	}
	found := engine.ByID(now)
	gone := p.agentsGone(ctx)
	var changed []*Rollout
	for _, r := range p.machines {
		m, there := found[r.Machine.ID]
		switch {
		case !there || engine.WhyOut(m) != "":
			return engine.NewProblem("machine_changed", fmt.Sprintf("machine %s is no longer started", r.Machine.ID), nil,
				"Nothing was suspended. Look at `fly machine list`, then deploy again.")
		case m.InstanceID != r.Machine.InstanceID || gone[r]:
			r.Machine = m
			changed = append(changed, r)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := p.each(ctx, changed, p.stageAgain); err != nil {
		return err
	}
	p.plan = p.makePlan()
	return blockers(p.plan, p.accepted)
}

// agentsGone asks every staged agent whether it is there: a VM that restarted has none.
func (p *Pipeline) agentsGone(ctx context.Context) map[*Rollout]bool {
	var mu sync.Mutex
	gone := map[*Rollout]bool{}
	_ = p.each(ctx, p.machines, func(ctx context.Context, r *Rollout) error {
		_, err := r.session.Wait(ctx, 0)
		if errors.Is(err, agent.ErrGone) {
			mu.Lock()
			defer mu.Unlock()
			gone[r] = true
		}
		return nil // no answer: arming will tell
	})
	return gone
}

package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/plan"
	"flydeploy/text"
)

// confirmWithin is how long a plan waits for its confirmation. What was staged expires about then.
const confirmWithin = 10 * time.Minute

// blockedError is the findings that block the deploy.
type blockedError struct{ by []engine.Finding }

func (e *blockedError) Error() string {
	parts := make([]string, 0, len(e.by))
	for _, f := range e.by {
		parts = append(parts, fmt.Sprintf("%s%s (%s)", f.Name, onMachines(f.Machines), f.What))
	}
	return "blocked by the plan: " + strings.Join(parts, "; ")
}

// onMachines says on which machines something was found: " on machine m1 and 2 more", "" for none.
func onMachines(ids []string) string {
	switch len(ids) {
	case 0:
		return ""
	case 1:
		return " on machine " + ids[0]
	}
	return fmt.Sprintf(" on machine %s and %d more", ids[0], len(ids)-1)
}

// confirm shows the plan and waits for the operator. It gives the names of the accepted blockers.
func (j *job) confirm(ctx context.Context, p *engine.Plan, u engine.Upgrade) ([]string, error) {
	emit := func(status engine.Status, err error) {
		j.rec.Emit(engine.Event{
			Phase: engine.PhasePlan, Status: status, Plan: p, Upgrade: copyOf(&u), Text: planText(p), Problem: engine.AsProblem(err),
		})
	}
	emit(engine.StatusRunning, nil)
	telling, cancel := context.WithCancel(ctx)
	defer cancel()
	told := j.telling(telling, engine.PhasePlan, engine.MomentEvent{Hook: engine.MomentPlanned, Upgrade: u, Plan: p})
	accepted, err := j.decide(ctx, p)
	if err != nil && !errors.Is(err, errGoCold) {
		cancel()
	}
	told()
	accepted = append(accepted, j.settings.Accept...)
	if err == nil {
		err = blockers(p.Findings, accepted)
		if err != nil && j.settings.OrCold && p.MayGoCold {
			err = errGoCold
		}
	}
	if errors.Is(err, errGoCold) {
		err = cmp.Or(keptFromCold(p, accepted), err)
	}
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, errGoCold)) {
		err = cause
	}
	if errors.Is(err, errGoCold) {
		emit(engine.StatusDone, nil)
		return nil, err
	}
	if err != nil {
		emit(failedBy(err), err)
		return nil, err
	}
	emit(engine.StatusDone, nil)
	if j.settings.DryRun {
		return nil, errPlanned
	}
	return accepted, nil
}

func planText(p *engine.Plan) string {
	return text.Counted(len(p.Modules), "module") + ", " + text.Counted(p.Processes(), "process") + " on " + text.Counted(len(p.Machines), "machine")
}

// decide asks the operator whether to go on, and gives the names of the blockers that were accepted.
func (j *job) decide(ctx context.Context, p *engine.Plan) ([]string, error) {
	switch {
	case j.settings.DryRun, j.settings.Yes:
		return nil, nil
	case !j.settings.Ask:
		return nil, engine.NewProblem("unconfirmed", "the plan must be confirmed, but there is no terminal to ask in", nil, "Run in a terminal, or give --yes.")
	}
	answer, err := j.askAlone(ctx, engine.QuestionPlan, confirmWithin)
	if errors.Is(err, errNoAnswer) {
		return nil, engine.NewProblem("unconfirmed", fmt.Sprintf("the plan was not confirmed within %s", confirmWithin), nil,
			"Nothing was changed. Deploy again when you are ready.")
	}
	switch {
	case err != nil:
	case answer.Way == engine.WayCold && p.MayGoCold:
		err = errGoCold
	case !answer.Proceed:
		err = errDeclined
	}
	return answer.Accept, err
}

// blockers gives an error for the findings that block the deploy: blocks that were not accepted, and refusals; nil for none.
func blockers(findings []engine.Finding, accepted []string) error {
	var by []engine.Finding
	for _, f := range (&engine.Plan{Findings: findings}).Blockers() {
		if f.Severity == engine.SeverityRefuse || !slices.Contains(accepted, f.Name) {
			by = append(by, f)
		}
	}
	return blockedBy(by)
}

// keptFromCold gives an error for the findings that a cold deploy does not cure, and that were not accepted; nil for none.
func keptFromCold(p *engine.Plan, accepted []string) error {
	return blockedBy(p.NotCured(accepted), "A cold deploy does not put this right: where it is to go out nevertheless, accept it by name (--accept).")
}

// blockedBy gives an error for findings that block the deploy, with their remedies and more of them; nil for none.
func blockedBy(findings []engine.Finding, more ...string) error {
	if len(findings) == 0 {
		return nil
	}
	remedies := make([]string, 0, len(findings)+len(more))
	for _, f := range findings {
		remedies = append(remedies, f.Remedy)
	}
	blocked := &blockedError{findings}
	return engine.NewProblem("blocked", blocked.Error(), nil, strings.Join(slices.Compact(append(remedies, more...)), "\n    ")).WithCause(blocked)
}

// stageChanged stages machines again whose instance or VM has changed while the plan waited for its confirmation. If that finds
// blockers that were not accepted before, the deploy ends. It gives the plan that holds now.
func (st *staged) stageChanged(ctx context.Context, p *engine.Plan, accepted []string) (*engine.Plan, error) {
	now, err := st.ports.Fleet.Machines(ctx)
	if err != nil {
		return p, fmt.Errorf("list machines again after the confirmation: %w", err)
	}
	found := engine.ByID(now)
	gone := st.agentsGone(ctx, st.machines)
	var changed []*rollout
	for _, r := range st.machines {
		m, there := found[r.machine.ID]
		switch {
		case r.state == engine.MachineDown || r.problem != nil: // as the plan said
		case (!there || engine.WhyLeftOut(m) != "") && st.mayFail(st.machines) > 0:
			_ = r.fail(engine.MachineGone, engine.PhaseArm, engine.NewProblem("machine_changed", "it is no longer started", nil, lookAgain))
		case !there || engine.WhyLeftOut(m) != "":
			return p, engine.NewProblem("machine_changed", fmt.Sprintf("machine %s is no longer started", r.machine.ID), nil,
				"Nothing was suspended. Look at `fly machine list`, then deploy again.")
		case m.InstanceID != r.machine.InstanceID || gone[r]:
			r.machine = m
			changed = append(changed, r)
		}
	}
	if len(changed) == 0 {
		return p, nil
	}
	if err := st.each(ctx, changed, st.stageAgain); err != nil {
		return p, err
	}
	p = plan.Make(st.facts())
	return p, blockers(p.Findings, accepted)
}

// stagedLately is how long after an agent's last word nobody asks whether it is still there: arming it shows that as well.
const stagedLately = 20 * time.Second

// agentsGone gives the machines whose staged agent is gone, because the VM has restarted.
func (j *job) agentsGone(ctx context.Context, machines []*rollout) map[*rollout]bool {
	var mu sync.Mutex
	gone := map[*rollout]bool{}
	withAgent := filter(machines, func(r *rollout) bool {
		return r.session != nil && !r.status.State.Terminal() && time.Since(r.heard) > stagedLately
	})
	_ = j.eachButLast(ctx, withAgent, j.mayFail(machines), lastOnesGet, func(ctx context.Context, r *rollout) error {
		_, err := r.session.Wait(ctx, 0)
		if errors.Is(err, agent.ErrGone) {
			mu.Lock()
			defer mu.Unlock()
			gone[r] = true
		}
		return nil // without an answer, arming will show it
	})
	return gone
}

package deploy

import (
	"cmp"
	"context"
	"errors"
	"time"

	"flydeploy/engine"
)

// result gives the deploy's result from the machines' states and err, which ended it, nil if nothing did.
func (j *job) result(all *soFar, err error) engine.Result {
	r := engine.Result{
		V: engine.EventVersion, Type: "result", Upgrade: all.upgrade, DryRun: j.settings.DryRun, Cold: all.cold, Machines: resultsOf(all.machines()),
		DurationMS: time.Since(j.started).Milliseconds(), WaitedMS: j.waited.Load() / int64(time.Millisecond), Problem: engine.AsProblem(err), Trial: all.trial, TrialEnd: j.settings.EndTrial,
	}
	if j.settings.DryRun {
		r.Plan = all.plan
	}
	for _, m := range all.machines() {
		r.Health = r.Health.Worst(cmp.Or(m.health, engine.HealthNotWatched))
	}
	r.Outcome = outcome(err, j.settings.DryRun, all.machines())
	if j.settings.EndTrial == engine.TrialTakenBack {
		r.Outcome = outcomeOfBack(err, r.Outcome, all.machines())
	}
	if r.Outcome == engine.OutcomePartial && r.Problem == nil {
		r.Problem = partial(all.machines())
	}
	r.Problem = all.staged.withCommand(r.Problem)
	return r
}

// outcome gives the outcome of a deploy that err has ended. A dry run succeeds with its plan.
func outcome(err error, dryRun bool, machines []*rollout) engine.Outcome {
	var held *engine.LockHeldError
	var blocked *blockedError
	upgraded := count(machines, (*rollout).isUpgraded)
	all := upgraded == len(machines) && !anyOf(machines, func(r *rollout) bool { return r.unheard || r.oldPages() != nil })
	switch {
	case errors.Is(err, errUnhealthy):
		return engine.OutcomeUnhealthy
	case err == nil && (dryRun || all):
		return engine.OutcomeSucceeded
	case upgraded > 0 && !all:
		return engine.OutcomePartial
	case errors.As(err, &held):
		return engine.OutcomeLocked
	case errors.As(err, &blocked):
		return engine.OutcomeBlocked
	case errors.Is(err, errStopped), errors.Is(err, context.Canceled), errors.Is(err, errDeclined):
		return engine.OutcomeCancelled
	default:
		return engine.OutcomeFailed
	}
}

// outcomeOfBack is outcome for machines whose trial is taken back.
func outcomeOfBack(err error, otherwise engine.Outcome, machines []*rollout) engine.Outcome {
	back := count(machines, (*rollout).isTakenBack)
	switch {
	case back == 0:
		return otherwise
	case back == len(machines) && err == nil:
		return engine.OutcomeSucceeded
	}
	return engine.OutcomePartial
}

// partial gives the problem of the first machine that does not run the upgrade, or not on every open page, or of which nobody knows whether
// it is well. It is for deploys that no error has ended: such machines were accepted with the plan, or fell silent at last.
func partial(machines []*rollout) *engine.Problem {
	for _, r := range machines {
		if p := r.oldPages(); p != nil {
			return p.WithPrefix(r.where())
		}
		if r.unheard {
			return r.doubt.WithPrefix(r.where())
		}
		if !r.isUpgraded() && r.problem != nil {
			return r.problem.WithPrefix(r.where())
		}
	}
	return nil
}

package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
)

// Ends of machines that the agent's own terminal state does not tell.
const (
	outcomeRestarted  = engine.OutcomeRestarted
	outcomeReplaced   = engine.OutcomeReplaced
	outcomeStopped    = engine.OutcomeStopped
	outcomeGone       = engine.OutcomeGone
	outcomeUnverified = engine.OutcomeUnverified
)

// check asks a machine's VM, past the agent, which code it has loaded. All must be what the verified tarball put onto its
// disk, and the VM must be the one that was upgraded.
func (p *Pipeline) check(ctx context.Context, r *Rollout) error {
	if r.verified {
		return nil
	}
	p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseCheck, Status: engine.StatusRunning})
	err := p.withTimeout(ctx, func(ctx context.Context) error {
		code, err := run.Insist(ctx, p.lost(engine.PhaseCheck, r.Machine.ID), func() (agent.Code, error) { return r.session.Loaded(ctx) })
		if err == nil {
			r.code = code
			err = wrongCode(r)
		}
		return err
	})
	switch {
	case err == nil:
		r.verified = true
		p.rec.Emit(engine.Event{Machine: r.Machine.ID, Attempt: r.attempt, Phase: engine.PhaseCheck, Status: engine.StatusDone,
			Text: fmt.Sprintf("%d modules loaded, code %.8s", r.code.Modules, r.code.Fingerprint)})
		return nil
	case errors.Is(err, agent.ErrGone):
		r.end = outcomeRestarted
		err = engine.NewProblem("machine_restarted", fmt.Sprintf("machine %s restarted after the commit, and booted what the record said then", r.Machine.ID), nil, remedyLookAgain)
	default:
		r.end = cmp.Or(r.end, outcomeUnverified)
	}
	return p.fail(r, engine.PhaseCheck, err)
}

const remedyLookAgain = "See what runs with `flydeploy status`, then `flydeploy hot --resume`."

// wrongCode tells what the VM has loaded beside the upgrade.
func wrongCode(r *Rollout) error {
	if e := r.status.Error; e != nil && e.Name == "md5_differs" {
		return engine.NewProblem(e.Name, e.What, nil, remedyLookAgain)
	}
	if r.code.DriftedTotal > 0 && len(r.status.Unplaced) == 0 {
		return engine.NewProblem("md5_differs", fmt.Sprintf("%d modules are loaded that are not the upgrade's: %s", r.code.DriftedTotal,
			strings.Join(r.code.Drifted, ", ")), nil, "Restart the machine, so that memory and disk agree again: `fly machine restart "+r.Machine.ID+"`.")
	}
	return nil
}

// verify checks every machine that should run the upgrade and was not checked yet, and looks at the fleet again: machines
// that came, went or restarted meanwhile are named.
func (p *Pipeline) verify(ctx context.Context) error {
	return p.phase(engine.PhaseVerify, "", func() (string, error) {
		now, err := p.ports.Fleet.Machines(ctx)
		if err != nil {
			return "", fmt.Errorf("list machines after the commit: %w", err)
		}
		p.after = now
		found := engine.ByID(now)
		var open []*Rollout
		var wrong []error
		for _, r := range p.machines {
			if !r.committed() {
				continue
			}
			if err := p.sameMachine(r, found[r.Machine.ID]); err != nil {
				wrong = append(wrong, err)
				continue
			}
			open = append(open, r)
		}
		wrong = append(wrong, p.each(ctx, open, p.check))
		p.nameNewcomers(now)
		p.compareCode()
		return engine.Running(p.upgradedCount()) + " " + p.Upgrade.Version, errors.Join(wrong...)
	})
}

// sameMachine: the machine that committed must be the instance that was upgraded, and run.
func (p *Pipeline) sameMachine(r *Rollout, now engine.Machine) error {
	switch {
	case now.ID == "":
		r.end = outcomeGone
	case now.InstanceID != r.Machine.InstanceID:
		r.end = outcomeReplaced
	case now.State != engine.StateStarted:
		r.end = outcomeStopped
	default:
		return nil
	}
	r.verified = false
	return p.fail(r, engine.PhaseCheck, engine.NewProblem("machine_changed",
		fmt.Sprintf("machine %s was %s after the commit", r.Machine.ID, r.end), nil, remedyLookAgain))
}

// nameNewcomers tells which machines started while the deploy was under way: they booted what the record said then.
func (p *Pipeline) nameNewcomers(now []engine.Machine) {
	before := engine.ByID(p.Target.Machines)
	for _, m := range now {
		if engine.WhyOut(m) != "" || m.Temporary != "" || before[m.ID].State == engine.StateStarted {
			continue
		}
		p.rec.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseCheck, Status: engine.StatusSkipped, Facts: &m,
			Text: "it started while the deploy was under way: `flydeploy hot --resume` looks whether it has the upgrade"})
	}
}

// compareCode tells when verified machines do not run the same code: their images or earlier upgrades differ.
func (p *Pipeline) compareCode() {
	groups := map[string][]string{}
	for _, r := range p.machines {
		if r.verified {
			groups[r.code.Fingerprint] = append(groups[r.code.Fingerprint], r.Machine.ID)
		}
	}
	if len(groups) < 2 {
		return
	}
	for code, ids := range groups {
		p.rec.Log(engine.PhaseVerify, fmt.Sprintf("code %.8s runs on %s", code, strings.Join(ids, ", ")))
	}
}

func stateOr(state string) string {
	if state == "" {
		return string(outcomeGone)
	}
	return state
}

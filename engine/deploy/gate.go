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
	"flydeploy/text"
)

// wave is a group of machines that commit together.
type wave struct {
	number, of int
	machines   []*rollout
}

// showWave emits how far the commit has come, with a text about the wave.
func (c *committing) showWave(w wave, text string) {
	c.showAsking(w, count(c.machines, (*rollout).isUpgraded), text, engine.QuestionNone)
}

func (c *committing) showAsking(w wave, upgraded int, text string, asks engine.Question, ways ...engine.Way) {
	if w.of > 1 {
		text = fmt.Sprintf("wave %d of %d: %s", w.number, w.of, text)
	}
	c.rec.Emit(engine.Event{
		Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text,
		Done: int64(upgraded), Total: int64(len(c.machines)), Unit: "machines", Asks: asks, Ways: ways,
	})
}

// MaxBake is the longest bake time of a strategy: the agents of upgraded machines, which are asked meanwhile, stay for ten
// minutes.
const MaxBake = 8 * time.Minute

// lookAgainAfter is the pause after the fleet could not be listed.
const lookAgainAfter = 2 * time.Second

// errUnhealthy: machines run the upgrade, and are not well.
var errUnhealthy = errors.New("the upgrade is not well")

// gate watches those machines of a wave that run the upgrade for the bake time. It is an error if one is not well, or if that is not
// known. If the watch is cut short, the error is the cause.
func (c *committing) gate(ctx context.Context, w wave) error {
	machines := filter(w.machines, func(r *rollout) bool { return r.reportsUpgrade() && r.session != nil })
	if c.bakeOf(w) <= 0 && !c.waitsForKey(w) || len(machines) == 0 {
		if anyOf(w.machines, (*rollout).isSick) {
			return c.unhealthyError()
		}
		return nil
	}
	g := newWatch(c, w, machines)
	err := g.run(ctx)
	g.conclude()
	if err == nil && !anyOf(w.machines, (*rollout).isSick) { // of earlier waves somebody has said what becomes of them
		return nil
	}
	return cmp.Or[error](c.unhealthyError(), err)
}

// unhealthyEverywhere is the remedy where no machine is left that could be kept from it.
const unhealthyEverywhere = "All of these machines run the new code: look at them with `fly logs`. Deploying the earlier version takes them back."

// unhealthySince is the remedy where the VM of each machine that took it has ended since.
const unhealthySince = "Nothing more was started. The VMs that took it have ended: `fly logs` says why, `flydeploy status` what their machines have booted since."

// unhealthyError says that machines are not well, in the words of the outcome: "2.1.0 runs on 2 of 6 machines, and is not well: …"; nil if
// all are, as far as is known.
func (st *staged) unhealthyError() error {
	if !anyOf(st.machines, (*rollout).isSick) {
		return nil
	}
	if back := count(st.machines, (*rollout).isTakenBack); back > 0 {
		return st.takenBackError(back)
	}
	verb, n := "runs", count(st.machines, (*rollout).reportsUpgrade)
	remedy := engine.Remedies["unhealthy"]
	switch n {
	case 0: // their VMs have ended since
		verb, n, remedy = "was taken", count(st.machines, (*rollout).isSick), unhealthySince
	case len(st.machines):
		remedy = unhealthyEverywhere
	}
	p := engine.NewProblem("unhealthy", fmt.Sprintf("%s %s on %d of %s, and is not well: %s", st.upgrade.Version, verb, n,
		text.Counted(len(st.machines), "machine"), st.whyUnhealthy()), nil, remedy)
	if i := slices.IndexFunc(st.machines, func(r *rollout) bool { return r.isSick() && r.sick.Remedy != "" }); i >= 0 {
		p.Remedy = st.machines[i].sick.Remedy // it could not be taken back
	}
	return p.WithCause(errUnhealthy)
}

// takenBackError says what was taken back, and what was not.
func (st *staged) takenBackError(back int) error {
	what := fmt.Sprintf("%s was not well, and was taken back from %s (%s)", st.upgrade.Version, text.Counted(back, "machine"), st.wayBack())
	remedy := engine.Remedies["taken_back"]
	if left := filter(st.machines, (*rollout).reportsUpgrade); len(left) > 0 {
		what += fmt.Sprintf("; %s it still (%s)", runs(len(left)), strings.TrimPrefix(onMachines(idsOf(left)), " "))
		remedy = engine.Remedies["back_failed"]
	}
	if ended := filter(st.machines, func(r *rollout) bool { return r.hasEnded() && r.stays != nil }); len(ended) > 0 {
		what += fmt.Sprintf("; %s had ended, and could not be looked at (%s)", text.Counted(len(ended), "VM"), strings.TrimPrefix(onMachines(idsOf(ended)), " "))
		remedy = ended[0].stays.Remedy
	}
	return engine.NewProblem("taken_back", what+": "+st.whyUnhealthy(), nil, remedy).WithCause(errUnhealthy)
}

func idsOf(machines []*rollout) []string {
	ids := make([]string, 0, len(machines))
	for _, r := range machines {
		ids = append(ids, r.machine.ID)
	}
	return ids
}

func (r *rollout) isTakenBack() bool { return r.state == engine.MachineTakenBack }

// whyUnhealthy words what is most wrong: the most frequent crash of all machines, else what the first machine has.
func (st *staged) whyUnhealthy() string {
	var crashes []engine.Crash
	var longest time.Duration
	sick := filter(st.machines, (*rollout).isSick)
	for _, r := range sick {
		found, during := r.status.Watch.New()
		crashes, longest = append(crashes, found...), max(longest, during)
	}
	if crashes = engine.SumCrashes(crashes); len(crashes) > 0 {
		why := crashes[0].During(longest)
		if more := len(crashes) - 1; more > 0 {
			why += fmt.Sprintf("; and %s of crashes", text.Counted(more, "other kind"))
		}
		return why
	}
	why := sick[0].where() + ": " + sick[0].sick.What
	if more := len(sick) - 1; more > 0 {
		why += fmt.Sprintf("; and %d more not well", more)
	}
	return why
}

// onSick does what is to be done about an upgrade that is not well; nil lets the deploy go on.
func (c *committing) onSick(ctx context.Context, w wave, err error) error {
	telling, cancel := c.detached(ctx, tellWithin)
	defer cancel()
	defer c.telling(telling, engine.PhaseCommit, engine.MomentEvent{
		Hook: engine.MomentUnhealthy, Upgrade: c.upgrade, Machines: resultsOf(c.machines), Problem: engine.AsProblem(err),
	})()
	way := engine.Way(cmp.Or(c.settings.OnSick, engine.OnSickStop))
	if c.settings.Ask {
		ways := []engine.Way{engine.WayStop, engine.WayBack}
		if w.number < w.of {
			ways = append(ways, engine.WayContinue)
		}
		chosen, unanswered := c.choose(ctx, engine.QuestionSick, "it is not well", err, ways)
		if unanswered != nil {
			return errors.Join(err, unanswered)
		}
		way = cmp.Or(chosen, way)
	}
	switch way {
	case engine.WayContinue:
		return nil
	case engine.WayBack:
		failed := c.takeBack(ctx, c.whyUnhealthy())
		return errors.Join(c.unhealthyError(), failed)
	}
	return err
}

// choose asks the operator which way the deploy takes, about a problem; "" if nobody has answered in time, as if nobody could be asked.
func (c *committing) choose(ctx context.Context, about engine.Question, text string, problem error, ways []engine.Way) (engine.Way, error) {
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text, Problem: engine.AsProblem(problem), Asks: about, Ways: ways})
	answer, err := c.askAlone(ctx, about, confirmWithin)
	c.rec.Emit(engine.Event{Phase: engine.PhaseCommit, Status: engine.StatusRunning, Text: text, Problem: engine.AsProblem(problem)})
	if errors.Is(err, errNoAnswer) {
		return "", nil
	}
	return answer.Way, err
}

// undone says what an agent could not do after its commit that the upgrade needs, "" for nothing: the new code runs without it. The next agent
// in that VM has a finding of the same name, and tries again.
func undone(s agent.Status) string {
	if s.State == agent.Committed && s.Error != nil && (s.Error.Name == "config_not_taken" || s.Error.Name == "child_not_started") {
		return s.Error.What
	}
	return ""
}

func (r *rollout) isSick() bool { return r.sick != nil }

// becomeUnhealthy gives a verified machine that is not well its state.
func (r *rollout) becomeUnhealthy() {
	if r.isSick() && r.state.CanBecome(engine.MachineUnhealthy) {
		report := reportOf(r.status)
		r.move(engine.MachineUnhealthy, engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusFailed, Problem: r.sick, Report: &report})
	}
}

// currentState gives Fly's state of a machine, "gone" if it does not exist any more.
func currentState(m engine.Machine) string {
	if m.ID == "" {
		return "gone"
	}
	return string(m.State)
}

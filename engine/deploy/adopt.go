package deploy

import (
	"context"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/text"
)

// adoptsUntil is how much longer than the bake time an agent must live to be adopted. It may end in a pause after that, see
// watch.watchedEnough.
const adoptsUntil = 30 * time.Second

// adopt takes over the watch of a machine whose console died while it watched: the deploy that is resumed has committed there, and its
// agent has counted crashes all along. It reports whether it has; if not, that agent is to be ended, as one is that left something undone: a new
// one tries that again.
func (st *staged) adopt(ctx context.Context, r *rollout, exec agent.Exec, vm agent.VM, busy *agent.BusyError) bool {
	if busy.State != agent.Committed || !st.surveyed.brings(busy.ID) || st.settings.Strategy.Bake <= 0 && st.settings.Strategy.Pause == 0 {
		return false
	}
	session, err := busy.Session(exec, vm)
	if err != nil {
		return false
	}
	status, err := session.Wait(ctx, 0)
	if err != nil || status.Watch == nil || undone(status) != "" || time.Duration(status.ExpiresInMS)*time.Millisecond < bakeLeft(status, st.settings.Strategy.Bake)+adoptsUntil {
		return false
	}
	r.session, r.status, r.adopted, r.report = session, status, true, ""
	report := reportOf(status)
	r.move(engine.MachineUpToDate, engine.Event{Phase: engine.PhaseDetection, Status: engine.StatusDone, Report: &report,
		Text: "has run the upgrade for " + text.Seconds(watchedFor(status)) + ", and its agent has watched it all that time"})
	return true
}

// brings reports whether a VM's order is one of the deploy that is resumed, or of one that this one has resumed.
func (s *surveyed) brings(order string) bool {
	return s.resumes && slices.ContainsFunc(s.chain, func(id string) bool { return strings.HasPrefix(order, id+"-") })
}

// watchedFor is how long an agent has watched since its commit.
func watchedFor(s agent.Status) time.Duration {
	if s.Watch == nil {
		return 0
	}
	return time.Duration(s.Watch.AfterMS) * time.Millisecond
}

// bakeLeft is what is left of a bake time.
func bakeLeft(s agent.Status, bake time.Duration) time.Duration { return max(bake-watchedFor(s), 0) }

// isAdopted: the deploy that is resumed has committed there, and it is watched further.
func (r *rollout) isAdopted() bool { return r.adopted && r.state == engine.MachineUpToDate }

// saysUnwatched says of machines that a deploy which this one resumes has upgraded that they are not watched again: the agents that have counted
// their crashes since are gone, and a new one does not know what was usual before.
func (st *staged) saysUnwatched() {
	if st.settings.Strategy.Bake <= 0 {
		return
	}
	for _, r := range filter(st.machines, func(r *rollout) bool { return r.state == engine.MachineUpToDate && !r.adopted && st.tookEarlier(r) }) {
		r.health = engine.HealthNotWatched
		r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusSkipped, Text: "not watched again: the agent that has watched it is gone"})
	}
}

// split gives the waves. What is adopted is the first of them, and a canary that was committed before is the canary.
func (c *committing) split(adopted, todo []*rollout) []wave {
	strategy := c.settings.Strategy
	var waves []wave
	if len(adopted) > 0 {
		waves = append(waves, wave{machines: adopted})
		if strategy.Kind == engine.StrategyCanary {
			strategy.Kind = engine.StrategyAll
		}
	}
	todo, groups := engine.Grouped(strategy.By, todo, (*rollout).facing)
	for _, size := range strategy.Waves(groups...) {
		waves = append(waves, wave{machines: todo[:size]})
		todo = todo[size:]
	}
	for i := range waves {
		waves[i].number, waves[i].of = i+1, len(waves)
	}
	return waves
}

// foundBefore gives the current.json that says what a machine ran before this deploy and those that it resumes. That is the one that this deploy
// has found, also where one of those has taken the machine back, and signed anew what it names; but the one that the first has found where the
// upgrade of one of them is named for the machine.
func (s *surveyed) foundBefore(m engine.Machine) engine.Metadata {
	u, named := s.recorded.UpgradeOf(m)
	if s.resumes && s.first != nil && (s.recorded.ImageRef == "" || named && slices.Contains(s.chain, u.ID)) {
		return *s.first
	}
	return s.recorded
}

// before gives the upgrade that a machine ran before this deploy and those that it resumes, nil for the image's code.
func (s *surveyed) before(m engine.Machine) *engine.HotUpgrade {
	recorded := s.foundBefore(m)
	if own, ok := recorded.MachineUpgrades[m.ID]; ok && slices.Contains(s.chain, own.ID) {
		recorded.MachineUpgrades = nil
	}
	if u, ok := recorded.UpgradeOf(m); ok && !slices.Contains(s.chain, u.ID) {
		return &u
	}
	return nil
}

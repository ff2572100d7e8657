package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/sign"
	"flydeploy/text"
)

const (
	// MinTrial and MaxTrial bound how long an upgrade is on trial.
	MinTrial = time.Minute
	MaxTrial = 24 * time.Hour
	// takenBackApart is the time between two machines that are taken back by themselves, and takenBackWithin that of all of them.
	takenBackApart  = 30 * time.Second
	takenBackWithin = 10 * time.Minute
	// trialAgentStays is how much longer than a trial its agent stays.
	trialAgentStays = 2 * time.Minute
)

func (st *staged) tries() bool { return st.settings.Strategy.Trial > 0 }

// trialFor is how long the machine is on trial after its commit: they are not all taken back in the same moment.
func (st *staged) trialFor(r *rollout) time.Duration {
	if !st.tries() {
		return 0
	}
	at := slices.IndexFunc(st.machines, func(o *rollout) bool { return o.machine.ID == r.machine.ID })
	return st.settings.Strategy.Trial + time.Duration(max(at, 0))*takenBackEvery(len(st.machines))
}

// takenBackEvery is the time between two of so many machines that are taken back.
func takenBackEvery(machines int) time.Duration {
	return min(takenBackApart, takenBackWithin/time.Duration(max(machines, 1)))
}

// keyPause is what a pause that waits for a key has at least, where something is on trial.
const keyPause = time.Minute

// firstTrialEnds is when the first machine that was verified to be on trial is not any more; zero for none.
func (st *staged) firstTrialEnds() time.Time {
	var first time.Time
	for _, r := range st.machines {
		if !r.trialEnds.IsZero() && (first.IsZero() || r.trialEnds.Before(first)) {
			first = r.trialEnds
		}
	}
	return first
}

// checkTrial fails if the first wave's trial would end while others are watched.
func (st *staged) checkTrial(todo []*rollout) error {
	s := st.settings.Strategy
	waves := time.Duration(len(s.Waves(st.groups(todo)...)))
	pause := s.Pause
	if pause == engine.PauseForKey {
		pause = keyPause
	}
	if needs := waves*s.Bake + max(waves-1, 0)*pause + MinTrial; st.tries() && s.Trial < needs {
		return engine.NewProblem("trial_too_short", fmt.Sprintf("a trial of %s is too short: all waves are watched for %s", text.Time(s.Trial), text.Time(needs-MinTrial)), nil,
			fmt.Sprintf("Nothing was suspended. Give it more time (--trial %s), or watch for less (--bake).", text.Time(needs)))
	}
	return nil
}

// checkNotTried fails while another upgrade is on trial on machines of this deploy: what would become of it, nobody has said. While one is
// on trial anywhere, no other trial begins: current.json tells of one.
func (s *surveyed) checkNotTried(j *job) error {
	now := s.target.Storage.Clock()
	t := s.recorded.Trial()
	if t == nil || t.Over(now) || j.settings.DryRun || j.settings.EndTrial != "" || s.resumes && s.earlier.Upgrade.SHA256 == t.SHA256 {
		return nil
	}
	if s.strategy.Trial == 0 && !slices.ContainsFunc(s.in, func(m engine.Machine) bool { _, on := t.Machines[m.ID]; return on }) {
		return nil
	}
	return engine.NewProblem("on_trial", t.Describe(now), nil, "Confirm it (`flydeploy confirm`), or take it back (`flydeploy confirm --back`), then deploy again.").
		WithCause(&blockedError{})
}

// stopsTrying: a deploy whose trial was confirmed is resumed for good, unless it is to be on trial again. That it was, only what is recorded
// (and signed) can say.
func (s *surveyed) stopsTrying(j *job) {
	if !s.resumes || s.strategy.Trial == 0 || j.settings.StrategyGiven.Trial {
		return
	}
	app := sign.App{Fly: j.settings.App, OTP: s.target.OTPApp}
	for _, m := range s.target.Machines {
		u, named := s.recorded.UpgradeOf(m)
		if named && slices.Contains(s.chain, u.ID) && u.SHA256 == s.earlier.Upgrade.SHA256 && j.ports.Keys.CheckUpgrade(app, u, engine.BaseImage(s.in), m.ID) == nil {
			s.strategy.Trial = 0
		}
	}
}

// isOnTrial: the VM runs the upgrade on trial.
func (r *rollout) isOnTrial() bool { return r.reportsUpgrade() && r.code.Trial.ID != "" }

// onTrial says of an entry how current.json tells that it is on trial; false if it is not.
func (l *ledger) onTrial(e *entry) (engine.Trial, bool) {
	if l.back != nil || e.trial.ID == "" || l.settings.EndTrial != "" {
		return engine.Trial{}, false
	}
	return engine.Trial{
		ID: l.upgrade.ID, Version: l.upgrade.Version, SHA256: l.upgrade.SHA256, Owner: l.upgrade.Owner,
		Machines: map[string]engine.MachineTrial{e.machine.ID: e.trial},
	}, true
}

// noteTrial notes when the trial ends that the VM has just told.
func (r *rollout) noteTrial() {
	if r.trialEnds = (time.Time{}); r.code.Trial.ID != "" {
		r.trialEnds = time.Now().Add(r.code.Trial.Left)
	}
}

// trialOf is the trial in a machine's VM, by the bucket's clock.
func (l *ledger) trialOf(r *rollout) engine.MachineTrial {
	if r.code.Trial.ID == "" {
		return engine.MachineTrial{}
	}
	return engine.MachineTrial{ID: r.code.Trial.ID, Until: l.surveyed.target.Storage.Clock().Add(r.code.Trial.Left).UTC().Truncate(time.Second)}
}

// ofTrial gives the trial that this deploy has begun on its machines; nil for none.
func (l *ledger) ofTrial(machines []*rollout) *engine.Trial {
	tried := map[string]bool{}
	for _, r := range filter(machines, (*rollout).isOnTrial) {
		tried[r.machine.ID] = true
	}
	var all engine.Metadata
	for _, e := range l.all() {
		if t, on := l.onTrial(e); on && tried[e.machine.ID] {
			all.AddTrial(t)
		}
	}
	return all.Trial()
}

// saysTrial emits until when the upgrade is on trial, and what happens then.
func (st *staged) saysTrial(t *engine.Trial) {
	if t != nil {
		st.rec.Emit(engine.Event{Phase: engine.PhaseMetadata, Status: engine.StatusDone, Text: t.Describe(time.Now())})
	}
}

// trialFinding says what becomes of a trial, for the plan.
func (st *staged) trialFinding() (engine.Finding, bool) {
	if !st.tries() {
		return engine.Finding{}, false
	}
	apart := ""
	if n := len(st.machines); n > 1 {
		apart = ", " + text.Time(takenBackEvery(n).Round(time.Millisecond)) + " apart"
	}
	return engine.Finding{
		Name: "trial", Severity: engine.SeverityWarn,
		What: fmt.Sprintf("it is on trial for %s, and recorded nowhere: a machine that restarts meanwhile runs %s. Unless somebody confirms it, the VMs stop after that time%s, and their machines start again without it",
			text.Time(st.settings.Strategy.Trial), st.bootsNow(), apart),
		Remedy: engine.Remedies["trial"],
	}, true
}

// bootsNow names what machines boot: the versions that are recorded for them, or their image's.
func (st *staged) bootsNow() string {
	var versions []string
	for _, r := range st.machines {
		version := "its image"
		if u := st.surveyed.before(r.machine); u != nil {
			version = text.Line(u.Version)
		}
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	slices.Sort(versions)
	return strings.Join(versions, " or ")
}

// keepsDisk gives the finding about a machine whose restart does not lead back to its image's files: it would boot the code that was on trial.
func (st *staged) keepsDisk(m engine.Machine) (engine.Finding, bool) {
	if !st.tries() || !m.KeepsDisk {
		return engine.Finding{}, false
	}
	return engine.Finding{
		Name: "trial_keeps_disk", Severity: engine.SeverityRefuse,
		What: "its disk outlives a restart (persist_rootfs), so it would boot the upgrade that is on trial", Remedy: engine.Remedies["trial_keeps_disk"],
	}, true
}

// keepsAgent: its agent goes on to count what crashes, until the trial has ended.
func (r *rollout) keepsAgent() bool { return r.isOnTrial() && r.status.State == agent.Committed }

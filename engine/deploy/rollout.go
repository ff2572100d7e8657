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
	"flydeploy/engine/plan"
	"flydeploy/engine/record"
	"flydeploy/text"
)

// rollout is the deploy on one machine. Only one goroutine at a time may use it.
type rollout struct {
	rec   *record.Recorder
	alike *alike

	machine engine.Machine
	attempt int
	state   engine.MachineState
	problem *engine.Problem // why it does not go on, nil while it goes well

	vm      agent.VM       // that was given the order
	order   *agent.Order   // of an injection that may have begun, else nil
	session *agent.Session // nil before the agent was injected
	report  string         // key under which the agent stores its report of failures
	status  agent.Status   // the agent's last one
	heard   time.Time      // when it told that
	shown   []agent.Phase  // what was emitted last of each
	took    time.Duration  // to be staged
	code    agent.Code     // that the VM had loaded when it was verified

	trialEnds time.Time // of its VM, zero if it is on none

	toldVitals time.Time // when they were told last

	boots   bool            // its VM has ended, and is waited for in this attempt
	silent  bool            // it kept a step from ending when all others had
	adopted bool            // its agent is that of the deploy that is resumed, and has committed
	health  engine.Health   // as far as it was watched
	sick    *engine.Problem // why it is not well, nil if it is, or nobody knows
	doubt   *engine.Problem // why nobody knows whether it is, nil if somebody does
	unheard bool            // nobody knows that since it was not heard, and nobody wanted to do without

	fresh  []string               // modules whose processes start afresh when an upgrade is taken back
	back   *engine.WayOfProcesses // once it is taken back
	backTo string                 // the version that it runs again then
	stays  *engine.Problem        // why it could not be taken back, though it is well
}

func (j *job) newRollout(m engine.Machine) *rollout {
	r := &rollout{rec: j.rec, alike: j.alike, machine: m, attempt: 1, state: engine.MachineWaiting}
	r.emit(engine.Event{Phase: engine.PhaseInject, Status: engine.StatusPending, Facts: &m})
	return r
}

// facing gives the machine as Fly shows it.
func (r *rollout) facing() engine.Machine { return r.machine }

// where names the machine in errors.
func (r *rollout) where() string { return r.machine.Where() }

// emit emits an event of the machine with its current state.
func (r *rollout) emit(e engine.Event) {
	e.Machine, e.Attempt, e.State = r.machine.ID, r.attempt, r.state
	r.rec.Emit(e)
}

// move sets the machine's next state and emits the event. A transition that is not allowed is a bug: it is logged, and the state
// stays, since a wrong state would be worse.
func (r *rollout) move(next engine.MachineState, e engine.Event) {
	if next != r.state && !r.state.CanBecome(next) {
		r.emit(engine.Event{Phase: e.Phase, Status: engine.StatusRunning,
			Log: fmt.Sprintf("a machine that is %s cannot become %s: this is a bug in flydeploy", r.state, next)})
		return
	}
	r.state = next
	r.emit(e)
}

// newAttempt starts over on the machine.
func (r *rollout) newAttempt() {
	*r = rollout{rec: r.rec, alike: r.alike, machine: r.machine, attempt: r.attempt + 1, state: engine.MachineWaiting, fresh: r.fresh}
}

// reportsUpgrade: the agent or the VM says that the machine runs the upgrade.
func (r *rollout) reportsUpgrade() bool {
	return r.state == engine.MachineUpToDate || r.state == engine.MachineCommitted || r.state.Upgraded()
}

// isUnverified: the agent says that the machine runs the upgrade, and the VM has not confirmed it.
func (r *rollout) isUnverified() bool {
	return r.state == engine.MachineUpToDate || r.state == engine.MachineCommitted
}

func (r *rollout) isUpgraded() bool { return r.state.Upgraded() }
func (r *rollout) isStaged() bool   { return r.state == engine.MachineStaged }
func (r *rollout) isExpired() bool  { return r.state == engine.MachineExpired }

// awaitsCommit: it is staged or armed, and no commit was sent.
func (r *rollout) awaitsCommit() bool {
	return r.isStaged() || r.state == engine.MachineArming || r.state == engine.MachineArmed
}

// endUnknown: a commit was sent, but its end was not seen.
func (r *rollout) endUnknown() bool {
	return r.state == engine.MachineCommitting || r.state == engine.MachineUnknown
}

// commitSent: a commit was sent, and the VM was not asked yet what came of it.
func (r *rollout) commitSent() bool { return r.endUnknown() || r.state == engine.MachineCommitted }

// oldPages is the problem of a machine that runs the upgrade, but not all of whose open pages can show it; nil for any other.
func (r *rollout) oldPages() *engine.Problem {
	i := slices.IndexFunc(r.status.Failures, func(f agent.Failure) bool { return f.Reason == agent.NotRendered })
	if i < 0 || r.status.State != agent.Committed {
		return nil
	}
	f := r.status.Failures[i]
	return engine.NewProblem(f.Reason, fmt.Sprintf("%s of %s cannot show the new code: %s", text.Counted(max(f.Count, 1), "open page"), f.Module,
		f.Exception), nil, engine.Remedies[f.Reason])
}

func (r *rollout) outcome() engine.MachineOutcome { return r.state.Outcome(r.status.UpToDate) }

// runs gives the version that the machine runs as its deploy ends, "" if that is not known.
func (r *rollout) runs() string {
	switch o := r.outcome(); {
	case o.Upgraded() && r.order != nil:
		return r.order.Version
	case o == engine.OutcomeTakenBack:
		return r.backTo
	case o.AsBefore():
		return r.status.Running
	}
	return ""
}

func (r *rollout) result() engine.MachineResult {
	report := reportOf(r.status)
	m := engine.MachineResult{
		ID: r.machine.ID, Region: r.machine.Region, Outcome: r.outcome(), Runs: r.runs(),
		Modules: report.ModulesChanged + report.ModulesAdded, Processes: report.Migrated,
		Skipped: report.Skipped, SuspendedUS: report.SuspendedUS, SuspendedAtUS: report.SuspendedAtUS, ResumedAtUS: report.ResumedAtUS,
		Failures: report.Failures, FailuresTotal: report.FailuresTotal, Health: r.health, Crashes: report.Crashes, Back: r.back,
	}
	if r.status.Report == agent.ReportStored {
		m.FullReport = r.report
	}
	switch {
	case r.isSick() && (m.Outcome == engine.OutcomeMachineUnhealthy || m.Outcome == engine.OutcomeTakenBack):
		m.Error = r.sick.What
	case r.stays != nil:
		m.Error = r.stays.What
	case r.problem != nil && !m.Outcome.Upgraded():
		m.Error = r.problem.What
	case r.health == engine.HealthUnknown && m.Outcome.Upgraded():
		m.Error = r.doubt.What
	}
	return m
}

// facts gives what the plan needs to know about the machine.
func (r *rollout) facts() plan.Machine {
	m := plan.Machine{State: r.state, MachinePlan: engine.MachinePlan{
		Machine: r.machine, Runs: engine.Code{Version: r.status.Running}, UpToDate: r.status.UpToDate || r.adopted, Report: reportOf(r.status), Problem: r.problem,
		Processes: r.status.Processes,
	}}
	if r.adopted { // what it says of is over
		m.Report, m.Processes = engine.MachineReport{}, nil
		return m
	}
	for _, c := range r.status.Modules {
		m.Modules = append(m.Modules, engine.ModuleChange(c))
	}
	for _, f := range r.status.Findings {
		m.Findings = append(m.Findings, engine.Finding{
			Name: f.Name, Severity: engine.Severity(f.Severity), What: f.Subject + ": " + f.Detail, Remedy: engine.Remedies[f.Name], Processes: f.Processes,
		})
	}
	return m
}

// show takes over an agent's status: it emits an event for every phase that has changed, with the state that the status means.
func (r *rollout) show(s agent.Status) {
	r.alike.share(&s, r.status)
	r.status, r.heard = s, time.Now()
	report := reportOf(s)
	moved := false
	var vitals *engine.Vitals // with the first event of a new state
	if next := stateOf(s); next != r.state && r.state.CanBecome(next) {
		r.state, moved, vitals = next, true, vitalsOf(s, r.machine)
	}
	last := engine.Event{Phase: engine.PhaseInject, Status: engine.StatusDone, Report: &report}
	for _, ph := range s.Phases {
		name := engine.Phase(ph.Name)
		last = engine.Event{Phase: name, Status: engine.Status(ph.Status), DurationUS: ph.US, Report: &report}
		if before, shown := r.shownOf(name); shown && before == ph {
			continue
		}
		if ph.AtUS > 0 {
			last.StartedAt = time.UnixMicro(ph.AtUS)
		}
		if name == engine.PhaseReload {
			last.Done, last.Total, last.Unit = s.Download.Done, s.Download.Total, "bytes"
		}
		last.Vitals, vitals = vitals, nil
		r.emit(last)
		moved = false
	}
	r.shown = s.Phases
	if moved { // the state has changed without a phase
		last.Vitals = vitals
		r.emit(last)
	}
}

// shownOf gives a phase as it was emitted last.
func (r *rollout) shownOf(name engine.Phase) (agent.Phase, bool) {
	for _, ph := range r.shown {
		if engine.Phase(ph.Name) == name {
			return ph, true
		}
	}
	return agent.Phase{}, false
}

// stateOf gives the machine's state that an agent's status means.
func stateOf(s agent.Status) engine.MachineState {
	if s.State == agent.Staged && s.UpToDate {
		return engine.MachineUpToDate
	}
	return engine.MachineState(s.State) // the same names
}

// phase gives the last phase that the agent reported as running or failed, or else first.
func (r *rollout) phase(first engine.Phase) engine.Phase {
	at := first
	for _, ph := range r.status.Phases {
		if s := engine.Status(ph.Status); s == engine.StatusRunning || s == engine.StatusFailed {
			at = engine.Phase(ph.Name)
		}
	}
	return at
}

// fail ends the machine in a state, with the phase in which it failed, and returns err. An operator's stop or a lost lock before
// the commit is not a failure of the machine: settling decides how the machine ends.
func (r *rollout) fail(next engine.MachineState, ph engine.Phase, err error) error {
	if !r.commitSent() && (errors.Is(err, errStopped) || errors.Is(err, context.Canceled) || errors.Is(err, engine.ErrLockLost)) {
		return err
	}
	r.problem = engine.AsProblem(err)
	report := reportOf(r.status)
	e := engine.Event{Phase: ph, Status: engine.StatusFailed, Problem: r.problem, Report: &report}
	if shown, ok := r.shownOf(ph); ok {
		e.StartedAt, e.DurationUS = time.UnixMicro(shown.AtUS), shown.US
	}
	r.move(next, e)
	return err
}

// noAnswer says that the machine did not answer, and returns err. This is not final: a later look may resolve it.
func (r *rollout) noAnswer(next engine.MachineState, ph engine.Phase, err error) error {
	r.problem = engine.AsProblem(err)
	r.move(next, engine.Event{Phase: ph, Status: engine.StatusUnknown, Text: "did not answer", Problem: r.problem})
	return err
}

// endProblem explains why the machine's agent has ended otherwise than wanted.
func (r *rollout) endProblem() *engine.Problem {
	s := r.status
	ended := strings.ReplaceAll(string(s.State), "_", " ")
	switch {
	case s.Error != nil:
		return engine.NewProblem(s.Error.Name, s.Error.What, nil, engine.Remedies[s.Error.Name])
	case len(s.Failures) > 0:
		f := s.Failures[0]
		if i := slices.IndexFunc(s.Failures, func(f agent.Failure) bool { return f.Reason != configNotBack }); i >= 0 {
			f = s.Failures[i] // what has led to it
		}
		more := ""
		if s.FailuresTotal > 1 {
			more = fmt.Sprintf(" (and %d more)", s.FailuresTotal-1)
		}
		more += settings(s)
		return engine.NewProblem("migration_failed", fmt.Sprintf("%s%s: %s of %s %s: %s%s", ended, losses(s), cmp.Or(f.Name, f.PID), f.Module,
			strings.ReplaceAll(f.Reason, "_", " "), f.Exception, more), nil, strings.TrimSpace(r.before()+" "+engine.Remedies[f.Reason]))
	case s.State == agent.Expired:
		what := "what was staged was not armed within 20 minutes, so it was discarded"
		if slices.ContainsFunc(s.Phases, func(p agent.Phase) bool { return p.Name == string(engine.PhaseArm) && p.Status == "done" }) {
			what = "its commit did not arrive within a minute after it was armed, so it was discarded"
		}
		return engine.NewProblem("expired", what, nil, engine.Remedies["expired"])
	default:
		return engine.NewProblem(string(s.State), "the agent ended: "+ended, nil, engine.Remedies[string(s.State)])
	}
}

// configNotBack is the reason of the failure that applied settings were not seen to be taken back.
const configNotBack = "config_not_back"

// settings says so, "" where there is nothing to say.
func settings(s agent.Status) string {
	i := slices.IndexFunc(s.Failures, func(f agent.Failure) bool { return f.Reason == configNotBack })
	if i < 0 {
		return ""
	}
	return "; it is not known whether the applied configuration was taken back: " + s.Failures[i].Exception
}

// before says what is as it was before the window.
func (r *rollout) before() string {
	switch s := r.status; {
	case r.order != nil && r.order.Back && s.State.Terminal() && s.State != agent.Committed: // to what it was to be rid of
		return "The machine still runs the upgrade."
	case settings(s) != "":
		return engine.Remedies[configNotBack]
	case s.State == agent.RolledBackWithLosses || s.Crashed > 0:
		return "All other processes are as before."
	case s.State == agent.RolledBack || s.State == agent.Failed:
		return "The machine is as before."
	}
	return ""
}

// losses says how many processes a window that was rolled back has cost.
func losses(s agent.Status) string {
	var lost []string
	if n := max(s.KilledTotal, len(s.Killed)); n > 0 {
		lost = append(lost, text.Counted(n, "process")+" ended")
	}
	if s.Crashed > 0 {
		lost = append(lost, fmt.Sprintf("%d crashed since", s.Crashed))
	}
	if len(lost) == 0 {
		return ""
	}
	return " (" + strings.Join(lost, ", ") + ")"
}

// reportOf gives what an agent has counted, as events carry it.
func reportOf(s agent.Status) engine.MachineReport {
	report := engine.MachineReport{
		ModulesChanged: s.Counts.ModulesChanged, ModulesAdded: s.Counts.ModulesAdded, ModulesRemoved: s.Counts.ModulesRemoved,
		Processes: s.Counts.Processes, Migrating: s.Counts.Migrating, SuspendedUS: s.SuspendedUS, SuspendedAtUS: s.SuspendedAtUS, ResumedAtUS: s.ResumedAtUS,
		UpToDate: s.UpToDate, Killed: s.Killed, Skipped: s.Skipped, FailuresTotal: s.FailuresTotal,
	}
	if s.State.Terminal() {
		report.Outcome = engine.MachineState(s.State)
	}
	if s.Suspended > 0 {
		report.Processes = s.Suspended
	}
	if s.State == agent.Committed {
		report.Migrated = s.Migrated
	}
	report.Crashes, _ = s.Watch.New()
	for _, f := range s.Failures {
		report.Failures = append(report.Failures, engine.Failure(f))
	}
	return report
}

func anyOf(all []*rollout, is func(*rollout) bool) bool { return slices.ContainsFunc(all, is) }

func everyOf(all []*rollout, is func(*rollout) bool) bool {
	return !slices.ContainsFunc(all, func(r *rollout) bool { return !is(r) })
}

func count(all []*rollout, is func(*rollout) bool) int { return len(filter(all, is)) }

// filter gives the rollouts for which is holds.
func filter(all []*rollout, is func(*rollout) bool) []*rollout {
	var found []*rollout
	for _, r := range all {
		if is(r) {
			found = append(found, r)
		}
	}
	return found
}

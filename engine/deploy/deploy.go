// Package deploy runs a deploy. Each step is a function from the results of earlier steps to a result of its own: connect → lock
// → survey → pack → stage → plan → confirm → commit → verify → record → settle. job.run is the only place that puts them in
// order.
package deploy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/engine/sign"
	"flydeploy/text"
)

// Ports are a deploy's connections to the outside.
type Ports struct {
	Fleet   engine.Fleet
	Storage engine.OpenStorage
	Build   engine.Build
	Cold    engine.Cold      // nil: a plan whose verdict is cold blocks
	Agents  engine.Agents    // nil: each deploy that packs a release compiles the agent
	Image   engine.ReadImage // nil: only a temporary machine packs a release
	Hooks   engine.Hooks     // nil: none
	Leases  engine.Leases    // nil: none are taken
	Keys    *sign.Ring       // nil: nothing is signed, and nothing need be
}

// job is what a deploy was asked to do, and with what. Every step reads it; none changes it.
type job struct {
	settings engine.Settings
	ports    Ports
	rec      *record.Recorder
	answers  <-chan engine.Answer
	hurry    context.Context // ends at Deployment.Hurry
	started  time.Time
	left     *leftovers
	machines *atomic.Int64 // that take part, 0 until they are known
	waited   *atomic.Int64 // nanoseconds, for the operator's answers
	glanced  *glance
	alike    *alike
}

// soFar holds the results of the steps so far, for settle, which needs them wherever the deploy has ended. Only job.steps writes
// it.
type soFar struct {
	upgrade engine.Upgrade // as the last step has completed it
	storage engine.Storage
	locked  locked
	journal *record.Journal // nil in a dry run, and before the survey
	earlier *record.Record  // the deploy that is resumed or deployed again, nil for none
	packed  packed
	staged  *staged // nil until machines are staged
	plan    *engine.Plan
	cold    bool          // the image goes out as a cold deploy
	trial   *engine.Trial // that this deploy has begun, nil for none
}

// machines gives the machines that take part, none until they are staged.
func (s *soFar) machines() []*rollout {
	if s.staged == nil {
		return nil
	}
	return s.staged.machines
}

// Start runs a deploy in the background, until it ends by itself or ctx ends, which stops it like Deployment.Stop.
func Start(ctx context.Context, s engine.Settings, p Ports) *Deployment {
	feed := record.NewFeed()
	work, cancel := context.WithCancelCause(ctx)
	hurry, hurryUp := context.WithCancel(context.WithoutCancel(ctx))
	answers := make(chan engine.Answer, 1)
	rec := record.NewRecorder(feed)
	d := &Deployment{
		feed: feed, rec: rec, answers: answers, done: make(chan struct{}), stop: func() { cancel(errStopped) }, hurry: hurryUp,
	}
	j := &job{
		settings: s, ports: p, rec: rec, answers: answers, hurry: hurry, started: time.Now(),
		left: &leftovers{}, machines: &atomic.Int64{}, waited: &atomic.Int64{}, glanced: newGlance(), alike: newAlike(),
	}
	go func() {
		defer close(d.done)
		defer rec.Close()
		defer cancel(nil)
		defer hurryUp()
		d.result = j.run(work)
	}()
	return d
}

// run goes through the steps, and settles whatever has happened.
func (j *job) run(ctx context.Context) engine.Result {
	all := &soFar{upgrade: engine.Upgrade{
		App: j.settings.App, Owner: j.settings.Owner, Host: j.settings.Host, Message: j.settings.Message, GitRevision: j.settings.GitRevision,
		CILink: j.settings.CILink, DryRun: j.settings.DryRun, ReleaseCommand: j.settings.ReleaseCommand,
	}}
	err := run.Guarded(func() error { return j.steps(ctx, all) })
	if errors.Is(err, errPlanned) {
		err = nil
	}
	return j.settle(ctx, all, err)
}

// steps goes from the connection to the record of what runs. A step that fails ends it, except that what was committed is always
// verified and recorded.
func (j *job) steps(ctx context.Context, all *soFar) error {
	found, err := j.connect(ctx, all.upgrade)
	if err != nil {
		return preferCause(ctx, err)
	}
	all.storage = found.Storage
	all.upgrade.OTPApp = found.OTPApp
	ctx, all.locked, err = j.takeLock(ctx, found.Storage)
	all.upgrade.ID = all.locked.id
	if err != nil {
		return preferCause(ctx, err)
	}
	surveyed, err := j.survey(ctx, found, all.locked.waited())
	if err != nil {
		return preferCause(ctx, err)
	}
	j.machines.Store(int64(len(surveyed.in)))
	all.earlier, all.upgrade.BaseImage = surveyed.earlier, engine.BaseImage(surveyed.in)
	all.journal = j.startRecord(ctx, surveyed, all.locked, all.upgrade)
	if j.settings.EndTrial != engine.TrialGoesOn {
		return j.endTrial(ctx, all, surveyed)
	}
	all.upgrade.ApplyConfig, all.upgrade.ApplyChildren = j.appliesConfig(surveyed), j.appliesChildren(surveyed)
	looked := j.lookAhead(ctx, surveyed)
	all.packed, err = j.pack(ctx, surveyed, all.upgrade)
	looked.end()
	all.upgrade = all.packed.upgrade
	if err != nil {
		return preferCause(ctx, j.orColdUnstaged(ctx, all, surveyed, err))
	}
	all.staged = j.newStaged(surveyed, all.packed, all.locked.held)
	all.staged.looked = looked
	if all.plan, err = all.staged.stage(ctx); err != nil {
		return preferCause(ctx, err)
	}
	if err := all.staged.checkTrial(filter(all.staged.machines, (*rollout).isStaged)); err != nil {
		return preferCause(ctx, err)
	}
	accepted, err := j.confirm(ctx, all.plan, all.upgrade)
	if all.cold = errors.Is(err, errGoCold); all.cold {
		return preferCause(ctx, all.staged.goCold(ctx, all.plan))
	}
	if err != nil {
		return preferCause(ctx, err)
	}
	if all.plan, err = all.staged.beforeWaves(ctx, all.plan, accepted); err != nil {
		return preferCause(ctx, err)
	}
	book := newLedger(j, surveyed, all.upgrade, all.locked.held)
	book.knowOwnCode(all.staged)
	err = all.staged.commit(ctx, book, accepted)
	err = j.verifyAndRecord(ctx, all.staged, book, err)
	all.trial = book.ofTrial(all.staged.machines)
	all.staged.saysTrial(all.trial)
	j.tellCommitted(ctx, all.staged)
	return err
}

// preferCause gives why ctx has ended, a lost lock or the operator's stop, rather than what a step made of that.
func preferCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// verifyAndRecord finds out and records what runs, even if machines have failed or the operator has stopped the deploy. err is the
// commit's.
func (j *job) verifyAndRecord(ctx context.Context, st *staged, book *ledger, err error) error {
	j.withSettleTimeout(ctx, func(ctx context.Context) { j.resolve(ctx, st.machines) })
	if !anyOf(st.machines, (*rollout).reportsUpgrade) {
		return err
	}
	if everyOf(st.machines, (*rollout).reportsUpgrade) && !errors.Is(err, engine.ErrLockLost) {
		err = st.unhealthyError() // anything else was about answers that have been found since
	}
	var unverified, unrecorded error
	var after []engine.Machine
	j.withSettleTimeout(ctx, func(ctx context.Context) { after, unverified = j.verify(ctx, st, book) })
	j.withSettleTimeout(ctx, func(ctx context.Context) { unrecorded = j.record(ctx, st, book, after) })
	return errors.Join(err, unverified, unrecorded)
}

// phase does the work of one phase of the fleet between its first and its last event. u, which may be nil, goes into the last.
func (j *job) phase(ph engine.Phase, text string, u *engine.Upgrade, work func() (string, error)) error {
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Text: text})
	text, err := work()
	if without := (*noTemporary)(nil); errors.As(err, &without) {
		j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusSkipped, Text: without.Error()})
		return err
	}
	if err != nil {
		j.rec.Emit(engine.Event{Phase: ph, Status: failedBy(err), Text: text, Problem: engine.AsProblem(err)})
		return err
	}
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusDone, Text: text, Upgrade: copyOf(u)})
	return nil
}

// failedBy is the status of a phase that err has ended: an operator's own decision is no failure.
func failedBy(err error) engine.Status {
	if engine.AsProblem(err).IsWilful() {
		return engine.StatusSkipped
	}
	return engine.StatusFailed
}

// copyOf copies an upgrade for an event, since the original still changes; nil gives nil.
func copyOf(u *engine.Upgrade) *engine.Upgrade {
	if u == nil {
		return nil
	}
	now := *u
	return &now
}

// lostAnswer gives a function that logs an answer that got lost, once for each reason in a row.
func (j *job) lostAnswer(ph engine.Phase, machineID string) func(error) {
	last := ""
	return func(err error) {
		why := engine.AsProblem(err).What
		if why == last {
			return
		}
		last = why
		j.rec.Emit(engine.Event{Machine: machineID, Phase: ph, Status: engine.StatusRunning, Log: text.Line(why + "; asking again")})
	}
}

// Package deploy runs a deploy. Its steps are functions from what the step before gave to a result of their own: connect →
// lock → survey → pack → stage → plan → confirm → commit → verify → record → settle. run is the one place that puts them
// in their order.
package deploy

import (
	"context"
	"errors"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// Ports are what a deploy needs from outside.
type Ports struct {
	Fleet   engine.Fleet
	Storage engine.OpenStorage
	Build   engine.Build
}

// job is what a deploy was asked to do, and with what. Every step may read it, and none changes it.
type job struct {
	settings engine.Settings
	ports    Ports
	rec      *record.Recorder
	answers  <-chan engine.Answer
	hurry    context.Context // done when the end may not take long any more
	started  time.Time
}

// soFar is what the steps have given, for those that tell and settle the end. Only run and its steps' results write it.
type soFar struct {
	upgrade  engine.Upgrade
	held     *lock.Held // nil in a dry run, and before the lock was taken
	storage  engine.Storage
	journal  *record.Journal // nil where held is
	packed   packed
	earlier  *record.Record // whose record is to be closed; nil for none
	staged   *staged        // nil before machines were staged
	plan     *engine.Plan
	lockLeft bool // the lock stays until it expires
}

// machines are those that take part.
func (s *soFar) machines() []*rollout {
	if s.staged == nil {
		return nil
	}
	return s.staged.machines
}

// Start runs a deploy in a goroutine of its own.
func Start(ctx context.Context, s engine.Settings, p Ports) *Deployment {
	feed := record.NewFeed()
	work, cancel := context.WithCancelCause(ctx)
	hurry, hurryUp := context.WithCancel(context.WithoutCancel(ctx))
	answers := make(chan engine.Answer, 1)
	rec := record.NewRecorder(feed)
	d := &Deployment{
		feed: feed, rec: rec, answers: answers, done: make(chan struct{}), stop: func() { cancel(errStopped) }, hurry: hurryUp,
	}
	j := &job{settings: s, ports: p, rec: rec, answers: answers, hurry: hurry, started: time.Now()}
	go func() {
		defer close(d.done)
		defer rec.Close()
		defer cancel(nil)
		defer hurryUp()
		d.result = j.run(work)
	}()
	return d
}

// run goes through the steps, and settles whatever happened.
func (j *job) run(ctx context.Context) engine.Result {
	all := &soFar{upgrade: engine.Upgrade{
		App: j.settings.App, Owner: j.settings.Owner, Host: j.settings.Host, Message: j.settings.Message, GitRevision: j.settings.GitRevision,
		CILink: j.settings.CILink, DryRun: j.settings.DryRun,
	}}
	err := run.Guarded(func() error { return j.steps(ctx, all) })
	if errors.Is(err, errPlanned) {
		err = nil
	}
	return j.settle(ctx, all, err)
}

// steps goes from the connection to the record of what runs. Each step that fails ends it; what was committed by then is
// verified and recorded all the same.
func (j *job) steps(ctx context.Context, all *soFar) error {
	found, err := j.connect(ctx, all)
	if err != nil {
		return because(ctx, err)
	}
	ctx, scope, err := j.takeLock(ctx, all, found)
	if err != nil {
		return because(ctx, err)
	}
	if all.packed, err = j.pack(ctx, all, scope); err != nil {
		return because(ctx, err)
	}
	if err = j.stage(ctx, all, scope); err != nil {
		return because(ctx, err)
	}
	accepted, err := j.confirm(ctx, all, scope)
	if err != nil {
		return because(ctx, err)
	}
	book := newLedger(j, scope, all.upgrade, all.held)
	err = j.commit(ctx, all, book, accepted)
	return j.ascertain(ctx, all, book, err)
}

// because prefers why ctx ended, a lost lock or the operator's stop, to what a step made of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// ascertain finds out and records what runs, also where machines failed or the operator stopped.
func (j *job) ascertain(ctx context.Context, all *soFar, book *ledger, err error) error {
	j.bounded(ctx, func(ctx context.Context) { j.resolve(ctx, all.staged.machines) })
	if !anyOf(all.staged.machines, (*rollout).mayRun) {
		return err
	}
	if everyOf(all.staged.machines, (*rollout).mayRun) && !errors.Is(err, engine.ErrLockLost) {
		err = nil // the answers that did not come were found
	}
	var unverified, unrecorded error
	var after []engine.Machine
	j.bounded(ctx, func(ctx context.Context) { after, unverified = j.verify(ctx, all.staged, book) })
	j.bounded(ctx, func(ctx context.Context) { unrecorded = j.record(ctx, all.staged, book, after) })
	return errors.Join(err, unverified, unrecorded)
}

// phase runs one phase of the fleet between its first and last event. u is what is known of the upgrade at its end.
func (j *job) phase(ph engine.Phase, text string, u *engine.Upgrade, work func() (string, error)) error {
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Text: text})
	text, err := work()
	if err != nil {
		j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusFailed, Text: text, Problem: engine.AsProblem(err)})
		return err
	}
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusDone, Text: text, Upgrade: known(u)})
	return nil
}

// known is a copy of what is known of the upgrade, for an event.
func known(u *engine.Upgrade) *engine.Upgrade {
	if u == nil {
		return nil
	}
	now := *u
	return &now
}

// lostAnswer says that an answer did not come, once for each reason. It is no failure: the next look resolves it.
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

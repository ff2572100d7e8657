// Package deploy runs a deploy. Each step is a function from the results of earlier steps to a result of its own: connect → lock
// → survey → pack → stage → plan → confirm → commit → verify → record → settle. job.run is the only place that puts them in
// order.
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

// Ports are a deploy's connections to the outside.
type Ports struct {
	Fleet   engine.Fleet
	Storage engine.OpenStorage
	Build   engine.Build
}

// job is what a deploy was asked to do, and with what. Every step reads it; none changes it.
type job struct {
	settings engine.Settings
	ports    Ports
	rec      *record.Recorder
	answers  <-chan engine.Answer
	hurry    context.Context // ends at Deployment.Hurry
	started  time.Time
}

// soFar holds the results of the steps so far, for settle, which needs them wherever the deploy has ended.
type soFar struct {
	upgrade  engine.Upgrade
	held     *lock.Held // nil in a dry run, and until the lock is taken
	storage  engine.Storage
	journal  *record.Journal // nil whenever held is
	packed   packed
	earlier  *record.Record // whose record is to be closed; nil for none
	staged   *staged        // nil until machines are staged
	plan     *engine.Plan
	lockLeft bool // the lock was not released and stays until it expires
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

// run goes through the steps, and settles whatever has happened.
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

// steps goes from the connection to the record of what runs. A step that fails ends it, except that what was committed is always
// verified and recorded.
func (j *job) steps(ctx context.Context, all *soFar) error {
	found, err := j.connect(ctx, all)
	if err != nil {
		return preferCause(ctx, err)
	}
	ctx, scope, err := j.takeLock(ctx, all, found)
	if err != nil {
		return preferCause(ctx, err)
	}
	if all.packed, err = j.pack(ctx, all, scope); err != nil {
		return preferCause(ctx, err)
	}
	if err = j.stage(ctx, all, scope); err != nil {
		return preferCause(ctx, err)
	}
	accepted, err := j.confirm(ctx, all, scope)
	if err != nil {
		return preferCause(ctx, err)
	}
	book := newLedger(j, scope, all.upgrade, all.held)
	err = j.commit(ctx, all, book, accepted)
	return j.verifyAndRecord(ctx, all, book, err)
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
func (j *job) verifyAndRecord(ctx context.Context, all *soFar, book *ledger, err error) error {
	j.withSettleTimeout(ctx, func(ctx context.Context) { j.resolve(ctx, all.staged.machines) })
	if !anyOf(all.staged.machines, (*rollout).reportsUpgrade) {
		return err
	}
	if everyOf(all.staged.machines, (*rollout).reportsUpgrade) && !errors.Is(err, engine.ErrLockLost) {
		err = nil // it was about answers that have been found since
	}
	var unverified, unrecorded error
	var after []engine.Machine
	j.withSettleTimeout(ctx, func(ctx context.Context) { after, unverified = j.verify(ctx, all.staged, book) })
	j.withSettleTimeout(ctx, func(ctx context.Context) { unrecorded = j.record(ctx, all.staged, book, after) })
	return errors.Join(err, unverified, unrecorded)
}

// phase does the work of one phase of the fleet between its first and its last event. u, which may be nil, goes into the last.
func (j *job) phase(ph engine.Phase, text string, u *engine.Upgrade, work func() (string, error)) error {
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Text: text})
	text, err := work()
	if err != nil {
		j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusFailed, Text: text, Problem: engine.AsProblem(err)})
		return err
	}
	j.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusDone, Text: text, Upgrade: copyOf(u)})
	return nil
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

package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/record"
	"flydeploy/engine/run"
	"flydeploy/engine/target"

	"github.com/oklog/ulid/v2"
)

// confirmWithin: an unanswered plan lets staged work expire.
const confirmWithin = 10 * time.Minute

var errStopped = errors.New("stopped by the operator")

// Ports are what a deploy needs from outside.
type Ports struct {
	Fleet   engine.Fleet
	Storage engine.OpenStorage
	Build   engine.Build
}

// pipeline is one deploy under way. ctx of its steps is cancelled to stop *starting* work; settling has its own.
type Pipeline struct {
	settings engine.Settings
	ports    Ports
	rec      *record.Recorder
	answers  chan engine.Answer
	cancel   context.CancelCauseFunc
	hurry    context.Context // done when the end may not take long any more
	started  time.Time

	Upgrade  engine.Upgrade
	Target   *target.Target
	Scope    target.Scope
	tarball  tarball
	plan     *engine.Plan // nil before every machine was staged
	lock     *heldLock
	journal  *record.Journal // nil before the lock was taken
	machines []*Rollout
	accepted []string // blockers of the plan, by name

	earlier *record.Record   // the deploy that is resumed or deployed again, nil for none
	Before  engine.Metadata  // current.json as the deploy found it
	after   []engine.Machine // the fleet after the commit, nil before

	recording sync.Mutex // current.json is being changed
	guard     sync.Mutex // of sure
	sure      []*Rollout // machines that were verified, and may be recorded
}

// Start runs a deploy in a goroutine of its own.
func Start(ctx context.Context, s engine.Settings, p Ports) *Deployment {
	feed := record.NewFeed()
	work, cancel := context.WithCancelCause(ctx)
	hurry, hurryUp := context.WithCancel(context.WithoutCancel(ctx))
	d := &Deployment{
		feed: feed, answers: make(chan engine.Answer, 1), done: make(chan struct{}),
		stop: func() { cancel(errStopped) }, hurry: hurryUp,
	}
	pl := &Pipeline{
		settings: s, ports: p, rec: record.NewRecorder(feed), answers: d.answers, cancel: cancel, hurry: hurry, started: time.Now(),
	}
	pl.Upgrade = engine.Upgrade{
		ID: ulid.Make().String(), App: s.App, Owner: s.Owner, Host: s.Host, Message: s.Message, GitRevision: s.GitRevision,
		CILink: s.CILink, DryRun: s.DryRun,
	}
	go func() {
		defer close(d.done)
		defer pl.rec.Close()
		defer cancel(nil)
		defer hurryUp()
		err := run.Guarded(func() error { return pl.run(work) })
		if errors.Is(err, errPlanned) {
			err = nil
		}
		if crash := run.Guarded(func() error { d.result = pl.settle(work, err); return nil }); crash != nil {
			d.result = pl.result(crash)
		}
	}()
	return d
}

// run goes through the phases up to the metadata; settle does the rest, whatever happened.
func (p *Pipeline) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		p.connect, p.acquireLock, p.readMetadata, p.build, p.makeTarball, p.stage, p.confirm,
	} {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	err := p.commit(ctx)
	// Machines may run the new code: that is verified and recorded, also where others failed or the operator stopped.
	p.settling(ctx, p.resolve)
	if p.committedCount() == 0 {
		return err
	}
	if p.committedCount() == len(p.machines) && !errors.Is(err, engine.ErrLockLost) {
		err = nil // the answers that did not come were found
	}
	var unverified, unrecorded error
	p.settling(ctx, func(ctx context.Context) {
		unverified = p.verify(ctx)
		p.lookAside(ctx)
	})
	p.settling(ctx, func(ctx context.Context) { unrecorded = p.writeMetadata(ctx) })
	return errors.Join(err, unverified, unrecorded)
}

// phase runs one phase of the fleet between its first and last event.
func (p *Pipeline) phase(ph engine.Phase, text string, work func() (string, error)) error {
	p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusRunning, Text: text})
	text, err := work()
	if err != nil {
		p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusFailed, Text: text, Problem: engine.AsProblem(err)})
		return err
	}
	p.rec.Emit(engine.Event{Phase: ph, Status: engine.StatusDone, Text: text, Upgrade: p.known()})
	return nil
}

// known is what is known of the upgrade so far, as a copy for events.
func (p *Pipeline) known() *engine.Upgrade {
	u := p.Upgrade
	return &u
}

// connect finds the release, the storage and the machines. It belongs to the lock's phase: without them there is none.
func (p *Pipeline) connect(ctx context.Context) error {
	p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusRunning, Text: "reading the running release and its storage settings", Upgrade: p.known()})
	err := p.findTarget(ctx)
	if err == nil {
		err = p.checkPower(ctx)
	}
	if err != nil {
		p.rec.Emit(engine.Event{Phase: engine.PhaseLock, Status: engine.StatusFailed, Problem: engine.AsProblem(err)})
		return err
	}
	p.rec.Log(engine.PhaseLock, p.Target.StorageText())
	return nil
}

// checkPower spares a build whose temporary machine the token may not create.
func (p *Pipeline) checkPower(ctx context.Context) error {
	if p.again() {
		return nil
	}
	if err := p.ports.Fleet.MayCreate(ctx); errors.Is(err, engine.ErrForbidden) {
		return fmt.Errorf("check what the token may do: %w", err)
	}
	return nil // else the launch will tell
}

func (p *Pipeline) findTarget(ctx context.Context) (err error) {
	if p.Target, err = target.Connect(ctx, engine.App{p.settings.OTPApp, p.settings.Release}, p.ports.Fleet, p.ports.Storage); err != nil {
		return err
	}
	if err := p.findEarlier(ctx); err != nil {
		return err
	}
	if p.Scope, err = target.InScope(p.Target.Machines, p.settings.Select); err != nil {
		return err
	}
	p.Upgrade.OTPApp, p.Upgrade.BaseImage = p.Target.OTPApp, engine.BaseImage(p.Scope.In)
	for _, m := range p.Scope.In {
		r := &Rollout{Machine: m, attempt: 1}
		p.machines = append(p.machines, r)
		p.rec.Emit(engine.Event{Machine: m.ID, Phase: engine.PhaseInject, Status: engine.StatusPending, Facts: &m})
	}
	return nil
}

// each runs work for every rollout, at most MaxConcurrency at once, and gives the errors as one. One machine's error
// does not stop the others that have started; a stopped deploy starts no more.
func (p *Pipeline) each(ctx context.Context, all []*Rollout, work func(context.Context, *Rollout) error) error {
	return run.EachOf(ctx, all, max(p.settings.MaxConcurrency, 1), work)
}

// settle leaves nothing behind, whatever happened: agents, the temporary machine, results, the lock.
func (p *Pipeline) settle(ctx context.Context, err error) engine.Result {
	p.settling(ctx, p.settleAgents)
	p.settling(ctx, p.removeTemporary)
	p.settling(ctx, p.dropDryRunUpload)
	result := p.result(err)
	p.settling(ctx, p.writeResults)
	p.settling(ctx, p.releaseLock)
	result.DurationMS = time.Since(p.started).Milliseconds()
	p.settling(ctx, func(ctx context.Context) {
		if err := p.finishRecord(ctx, result); err != nil && result.Problem == nil {
			result.Problem = engine.NewProblem("record", "the end of the record could not be written", err, "The deploy itself is done; `flydeploy history` shows it as unfinished.")
		}
	})
	return result
}

// result tells the end of the deploy from the machines' ends.
func (p *Pipeline) result(err error) engine.Result {
	r := engine.Result{
		V: engine.EventVersion, Type: "result", Upgrade: p.Upgrade, DryRun: p.settings.DryRun, Machines: []engine.MachineResult{},
		DurationMS: time.Since(p.started).Milliseconds(), Problem: engine.AsProblem(err),
	}
	upgraded := 0
	for _, m := range p.machines {
		if m.upgraded() {
			upgraded++
		}
		r.Machines = append(r.Machines, m.result())
	}
	if p.settings.DryRun {
		r.Plan = p.plan
	}
	r.Outcome = outcome(err, upgraded, len(p.machines))
	return r
}

func outcome(err error, upgraded, all int) engine.Outcome {
	var held *engine.LockHeldError
	var blocked *blockedError
	switch {
	case err == nil:
		return engine.OutcomeSucceeded
	case upgraded > 0 && upgraded < all:
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

package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// confirmWithin: an unanswered plan lets staged work expire.
const confirmWithin = 10 * time.Minute

var errStopped = errors.New("stopped by the operator")

// Ports are what a deploy needs from outside.
type Ports struct {
	Fleet   Fleet
	Storage OpenStorage
	Build   Build
}

// pipeline is one deploy under way. ctx of its steps is cancelled to stop *starting* work; settling has its own.
type pipeline struct {
	settings Settings
	ports    Ports
	rec      *recorder
	answers  chan Answer
	cancel   context.CancelCauseFunc
	hurry    context.Context // done when the end may not take long any more
	started  time.Time

	upgrade  Upgrade
	target   *Target
	scope    scope
	tarball  tarball
	plan     *Plan // nil before every machine was staged
	lock     *heldLock
	journal  *journal // nil before the lock was taken
	machines []*rollout
	accepted []string // blockers of the plan, by name

	earlier *record   // the deploy that is resumed or deployed again, nil for none
	before  Metadata  // current.json as the deploy found it
	after   []Machine // the fleet after the commit, nil before

	recording sync.Mutex // current.json is being changed
	guard     sync.Mutex // of sure
	sure      []*rollout // machines that were verified, and may be recorded
}

// Start runs a deploy in a goroutine of its own.
func Start(ctx context.Context, s Settings, p Ports) *Deployment {
	feed := NewFeed()
	work, cancel := context.WithCancelCause(ctx)
	hurry, hurryUp := context.WithCancel(context.WithoutCancel(ctx))
	d := &Deployment{
		feed: feed, answers: make(chan Answer, 1), done: make(chan struct{}),
		stop: func() { cancel(errStopped) }, hurry: hurryUp,
	}
	pl := &pipeline{
		settings: s, ports: p, rec: newRecorder(feed), answers: d.answers, cancel: cancel, hurry: hurry, started: time.Now(),
	}
	pl.upgrade = Upgrade{
		ID: ulid.Make().String(), App: s.App, Owner: s.Owner, Host: s.Host, Message: s.Message, GitRevision: s.GitRevision,
		CILink: s.CILink, DryRun: s.DryRun,
	}
	go func() {
		defer close(d.done)
		defer pl.rec.close()
		defer cancel(nil)
		defer hurryUp()
		err := guarded(func() error { return pl.run(work) })
		if errors.Is(err, errPlanned) {
			err = nil
		}
		if crash := guarded(func() error { d.result = pl.settle(work, err); return nil }); crash != nil {
			d.result = pl.result(crash)
		}
	}()
	return d
}

// guarded turns a panic into an error, so that a deploy settles and the terminal is restored whatever happens.
func guarded(work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = NewProblem("crash", fmt.Sprintf("flydeploy itself failed: %v\n%s", v, debug.Stack()), nil,
				"Please report this with the lines above. Machines are settled as after any failure.")
		}
	}()
	return work()
}

// run goes through the phases up to the metadata; settle does the rest, whatever happened.
func (p *pipeline) run(ctx context.Context) error {
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
	if p.committedCount() == len(p.machines) && !errors.Is(err, ErrLockLost) {
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
func (p *pipeline) phase(ph Phase, text string, work func() (string, error)) error {
	p.rec.emit(Event{Phase: ph, Status: StatusRunning, Text: text})
	text, err := work()
	if err != nil {
		p.rec.emit(Event{Phase: ph, Status: StatusFailed, Text: text, Problem: AsProblem(err)})
		return err
	}
	p.rec.emit(Event{Phase: ph, Status: StatusDone, Text: text, Upgrade: p.known()})
	return nil
}

// known is what is known of the upgrade so far, as a copy for events.
func (p *pipeline) known() *Upgrade {
	u := p.upgrade
	return &u
}

// connect finds the release, the storage and the machines. It belongs to the lock's phase: without them there is none.
func (p *pipeline) connect(ctx context.Context) error {
	p.rec.emit(Event{Phase: PhaseLock, Status: StatusRunning, Text: "reading the running release and its storage settings", Upgrade: p.known()})
	err := p.findTarget(ctx)
	if err == nil {
		err = p.checkPower(ctx)
	}
	if err != nil {
		p.rec.emit(Event{Phase: PhaseLock, Status: StatusFailed, Problem: AsProblem(err)})
		return err
	}
	p.rec.log(PhaseLock, p.target.storageText())
	return nil
}

// checkPower spares a build whose temporary machine the token may not create.
func (p *pipeline) checkPower(ctx context.Context) error {
	if p.again() {
		return nil
	}
	if err := p.ports.Fleet.MayCreate(ctx); errors.Is(err, ErrForbidden) {
		return fmt.Errorf("check what the token may do: %w", err)
	}
	return nil // else the launch will tell
}

func (p *pipeline) findTarget(ctx context.Context) (err error) {
	if p.target, err = Connect(ctx, App{p.settings.OTPApp, p.settings.Release}, p.ports.Fleet, p.ports.Storage); err != nil {
		return err
	}
	if err := p.findEarlier(ctx); err != nil {
		return err
	}
	if p.scope, err = inScope(p.target.Machines, p.settings.Select); err != nil {
		return err
	}
	p.upgrade.OTPApp, p.upgrade.BaseImage = p.target.OTPApp, baseImage(p.scope.in)
	for _, m := range p.scope.in {
		r := &rollout{machine: m, attempt: 1}
		p.machines = append(p.machines, r)
		p.rec.emit(Event{Machine: m.ID, Phase: PhaseInject, Status: StatusPending, Facts: &m})
	}
	return nil
}

// each runs work for every rollout, at most MaxConcurrency at once, and gives the errors as one. One machine's error
// does not stop the others that have started; a stopped deploy starts no more.
func (p *pipeline) each(ctx context.Context, all []*rollout, work func(context.Context, *rollout) error) error {
	return eachOf(ctx, all, max(p.settings.MaxConcurrency, 1), work)
}

func eachOf(ctx context.Context, all []*rollout, atOnce int, work func(context.Context, *rollout) error) error {
	slots := make(chan struct{}, atOnce)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		select {
		case <-ctx.Done():
			errs[i] = context.Cause(ctx)
			continue
		case slots <- struct{}{}:
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := guarded(func() error { return work(ctx, r) }); err != nil {
				errs[i] = AsProblem(err).on("machine " + r.machine.ID)
			}
		})
	}
	wg.Wait()
	return firstOf(errs)
}

// firstOf tells the first error and how many more there are; nil where there is none.
func firstOf(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	p := *AsProblem(errs[0])
	p.What = fmt.Sprintf("%s; and %d more", p.What, len(errs)-1)
	p.err = errors.Join(errs...)
	return &p
}

// settle leaves nothing behind, whatever happened: agents, the temporary machine, results, the lock.
func (p *pipeline) settle(ctx context.Context, err error) Result {
	p.settling(ctx, p.settleAgents)
	p.settling(ctx, p.removeTemporary)
	p.settling(ctx, p.dropDryRunUpload)
	result := p.result(err)
	p.settling(ctx, p.writeResults)
	p.settling(ctx, p.releaseLock)
	result.DurationMS = time.Since(p.started).Milliseconds()
	p.settling(ctx, func(ctx context.Context) {
		if err := p.finishRecord(ctx, result); err != nil && result.Problem == nil {
			result.Problem = NewProblem("record", "the end of the record could not be written", err, "The deploy itself is done; `flydeploy history` shows it as unfinished.")
		}
	})
	return result
}

// result tells the end of the deploy from the machines' ends.
func (p *pipeline) result(err error) Result {
	r := Result{
		V: EventVersion, Type: "result", Upgrade: p.upgrade, DryRun: p.settings.DryRun, Machines: []MachineResult{},
		DurationMS: time.Since(p.started).Milliseconds(), Problem: AsProblem(err),
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

func outcome(err error, upgraded, all int) Outcome {
	var held *LockHeldError
	var blocked *blockedError
	switch {
	case err == nil:
		return OutcomeSucceeded
	case upgraded > 0 && upgraded < all:
		return OutcomePartial
	case errors.As(err, &held):
		return OutcomeLocked
	case errors.As(err, &blocked):
		return OutcomeBlocked
	case errors.Is(err, errStopped), errors.Is(err, context.Canceled), errors.Is(err, errDeclined):
		return OutcomeCancelled
	default:
		return OutcomeFailed
	}
}

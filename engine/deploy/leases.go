package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
)

const (
	leaseFor        = 30 * time.Second // a lease of a console that dies
	renewLeaseEvery = 10 * time.Second
	leaseWithin     = 10 * time.Second // each request
	awaitLeaseFor   = 15 * time.Second // somebody else's; less than armedWaits, since others of its wave may be armed
	lookAtLease     = 2 * time.Second
)

// lease is what we have of a machine's lease. The zero value is one that is not ours, and is not asked for again.
type lease struct {
	nonce string // renews and releases it
	// ends is when one ends at the latest that is perhaps ours, but whose nonce was lost with an answer: nothing renews or releases it. It is
	// asked for once more then.
	ends time.Time
}

func perhapsOurs() lease { return lease{ends: time.Now().Add(leaseFor)} }

func (l lease) isHeld() bool { return l.nonce != "" }

func (l lease) ended() bool { return !l.ends.IsZero() && !time.Now().Before(l.ends) }

func (l lease) due() bool { return l.isHeld() || l.ended() }

func (l lease) perhaps() bool { return !l.ends.IsZero() && !l.ended() }

// leases are those of a wave's machines: each is taken before its machine is armed, renewed, and released when the wave has ended. They
// keep a `fly deploy` from replacing a machine under its upgrade. The upgrade does not need them: where Fly grants none it goes on
// without. A nil leases takes none.
type leases struct {
	*job
	purpose string // what they are for, for others to read
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu  sync.Mutex
	all map[string]lease // by machine
}

// holdLeases begins to keep leases until release.
func (j *job) holdLeases(ctx context.Context, deployID string) *leases {
	if j.ports.Leases == nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &leases{job: j, purpose: "flydeploy " + deployID, stop: stop, all: map[string]lease{}}
	l.done.Go(func() {
		for run.Wait(ctx, renewLeaseEvery) == nil {
			l.each(ctx, l.which(lease.due), l.renew)
		}
	})
	return l
}

// take takes a machine's lease. Somebody else's that was known to the plan is left alone, and one that came later is waited for.
func (l *leases) take(ctx context.Context, r *rollout) error {
	if l == nil || l.knows(r.machine.ID) {
		return nil
	}
	for until := time.Now().Add(awaitLeaseFor); ; {
		bounded, cancel := context.WithTimeout(ctx, leaseWithin)
		nonce, err := l.ports.Leases.TakeLease(bounded, r.machine.ID, l.purpose, leaseFor)
		cancel()
		switch cause := context.Cause(ctx); {
		case err == nil:
			l.keep(r.machine.ID, lease{nonce: nonce})
			return nil
		case errors.Is(err, engine.ErrUnknownOutcome):
			l.unanswered(r.machine.ID, engine.PhaseArm)
			return cause
		case cause != nil:
			return cause
		case !errors.Is(err, engine.ErrLeased):
			l.without(r, fmt.Sprintf("going on without the machine's lease: %v", err))
			return nil
		}
		holder := l.holder(ctx, r.machine.ID)
		switch {
		case l.granted(holder):
			l.unanswered(r.machine.ID, engine.PhaseArm)
			return nil
		case r.machine.Lease.Held():
			l.without(r, "going on without the machine's lease, which "+holder.Holder()+" holds")
			return nil
		case !time.Now().Before(until):
			return engine.NewProblem("leased", "its lease is held by "+holder.Holder()+", who may be changing the machine", nil, engine.Remedies["leased"]).WithCause(err)
		}
		r.emit(engine.Event{Phase: engine.PhaseArm, Status: engine.StatusPending, Text: "waiting for the machine's lease, which " + holder.Holder() + " holds"})
		if err := run.Wait(ctx, lookAtLease); err != nil {
			return err
		}
	}
}

// holder gives the lease of a machine as the fleet shows it.
func (l *leases) holder(ctx context.Context, machineID string) engine.Lease {
	now, _ := l.ports.Fleet.Machines(ctx) // without an answer it is somebody's
	return engine.ByID(now)[machineID].Lease
}

// granted reports whether a lease is of this deploy.
func (l *leases) granted(of engine.Lease) bool { return strings.Contains(of.Description, l.purpose) }

func (l *leases) without(r *rollout, why string) {
	l.keep(r.machine.ID, lease{})
	r.emit(engine.Event{Phase: engine.PhaseArm, Status: engine.StatusPending, Log: why})
}

// unanswered notes that a lease is perhaps ours.
func (l *leases) unanswered(machineID string, phase engine.Phase) {
	l.keep(machineID, perhapsOurs())
	l.log(phase, machineID, fmt.Sprintf("the answer that granted the machine's lease was lost: it is not renewed, and asked for again in %s", leaseFor))
}

func (l *leases) knows(machineID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.all[machineID]
	return known
}

func (l *leases) keep(machineID string, has lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[machineID] = has
}

func (l *leases) of(machineID string) lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[machineID]
}

func (l *leases) forget(machineID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, machineID)
}

// which gives the leases that match, by machine.
func (l *leases) which(match func(lease) bool) map[string]lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := maps.Clone(l.all)
	maps.DeleteFunc(found, func(_ string, has lease) bool { return !match(has) })
	return found
}

// each works on leases.
func (l *leases) each(ctx context.Context, all map[string]lease, work func(ctx context.Context, machineID, nonce string) error) {
	_ = run.Each(ctx, slices.Sorted(maps.Keys(all)), askedAtOnce, strings.Clone, func(ctx context.Context, id string) error {
		bounded, cancel := context.WithTimeout(ctx, leaseWithin)
		defer cancel()
		return work(bounded, id, all[id].nonce)
	})
}

// renew renews a lease, or takes it again if it has ended. An error that says nothing of the lease is one of a later renewal's.
func (l *leases) renew(ctx context.Context, machineID, nonce string) error {
	if nonce == "" {
		return l.takeAgain(ctx, machineID)
	}
	valid, err := l.ports.Leases.RenewLease(ctx, machineID, nonce, l.purpose, leaseFor)
	switch {
	case err == nil:
		l.keep(machineID, lease{nonce: valid})
	case errors.Is(err, engine.ErrNoLease): // for a time there was no network, or the computer slept
		return l.takeAgain(ctx, machineID)
	case errors.Is(err, engine.ErrLeased):
		l.lost(ctx, machineID, err)
	}
	return err
}

func (l *leases) takeAgain(ctx context.Context, machineID string) error {
	nonce, err := l.ports.Leases.TakeLease(ctx, machineID, l.purpose, leaseFor)
	switch {
	case err == nil:
		l.keep(machineID, lease{nonce: nonce})
		l.log(engine.PhaseCommit, machineID, "the machine's lease had ended, and is taken again: somebody may have changed the machine meanwhile")
	case errors.Is(err, engine.ErrUnknownOutcome):
		l.unanswered(machineID, engine.PhaseCommit)
	default:
		l.lost(ctx, machineID, err)
	}
	return err
}

// lost notes that a lease is somebody else's by now, unless it is ours with a nonce that we were not told.
func (l *leases) lost(ctx context.Context, machineID string, why error) {
	held := errors.Is(why, engine.ErrLeased) && l.granted(l.holder(ctx, machineID))
	switch {
	case held:
		l.unanswered(machineID, engine.PhaseCommit)
	case ctx.Err() == nil: // otherwise a later renewal sees it
		l.keep(machineID, lease{})
		l.log(engine.PhaseCommit, machineID, "the machine's lease is lost, and somebody may change it: "+engine.AsProblem(why).What)
	}
}

// giveBack releases the lease of one machine, which is not changed any more.
func (l *leases) giveBack(ctx context.Context, r *rollout) {
	if l == nil {
		return
	}
	has := l.of(r.machine.ID)
	if !has.isHeld() || context.Cause(ctx) != nil { // release does
		return
	}
	bounded, cancel := context.WithTimeout(ctx, leaseWithin)
	defer cancel()
	if l.ports.Leases.ReleaseLease(bounded, r.machine.ID, has.nonce) == nil {
		l.forget(r.machine.ID)
	}
}

// release gives all leases back. Those that stay are named: they expire.
func (l *leases) release(ctx context.Context) {
	if l == nil {
		return
	}
	l.stop()
	l.done.Wait()
	l.each(ctx, l.which(lease.isHeld), func(ctx context.Context, machineID, nonce string) error {
		err := l.ports.Leases.ReleaseLease(ctx, machineID, nonce)
		if err != nil {
			l.keep(machineID, perhapsOurs())
			l.log(engine.PhaseCommit, machineID, "the machine's lease could not be released: "+engine.AsProblem(err).What)
		}
		return err
	})
	l.nameThoseLeft(ctx)
}

// nameThoseLeft names those that are perhaps ours, unless the fleet shows that they are not.
func (l *leases) nameThoseLeft(ctx context.Context) {
	perhaps := l.which(lease.perhaps)
	if len(perhaps) == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, leaseWithin)
	defer cancel()
	now, err := l.ports.Fleet.Machines(bounded)
	shown := engine.ByID(now)
	for id, has := range perhaps {
		if err != nil || l.granted(shown[id].Lease) {
			l.leaveLease(id, has.ends)
		}
	}
}

func (l *leases) log(phase engine.Phase, machineID, what string) {
	l.rec.Log(phase, "machine "+machineID+": "+what)
}

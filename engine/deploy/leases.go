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
	awaitLeaseFor   = 20 * time.Second // somebody else's
	lookAtLease     = 2 * time.Second
)

// leases are those of a wave's machines: each is taken before its machine is armed, renewed, and released when the wave has ended. They
// keep a `fly deploy` from replacing a machine under its upgrade. The upgrade does not need them: where Fly grants none it goes on
// without. A nil leases takes none.
type leases struct {
	*job
	purpose string // what they are for, for others to read
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex
	nonces map[string]string // by machine; "" for one that is not ours, and is not asked for again
}

// holdLeases begins to keep leases until release.
func (j *job) holdLeases(ctx context.Context, deployID string) *leases {
	if j.ports.Leases == nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &leases{job: j, purpose: "flydeploy " + deployID, stop: stop, nonces: map[string]string{}}
	l.done.Go(func() {
		for run.Wait(ctx, renewLeaseEvery) == nil {
			l.each(ctx, l.renew)
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
			l.keep(r.machine.ID, nonce)
			return nil
		case cause != nil:
			return cause
		case !errors.Is(err, engine.ErrLeased):
			l.without(r, fmt.Sprintf("going on without the machine's lease: %v", err))
			return nil
		}
		holder := l.holder(ctx, r.machine.ID)
		switch {
		case strings.Contains(holder.Description, l.purpose): // the answer that granted it was lost
			l.keep(r.machine.ID, "")
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

func (l *leases) without(r *rollout, why string) {
	l.keep(r.machine.ID, "")
	r.emit(engine.Event{Phase: engine.PhaseArm, Status: engine.StatusPending, Log: why})
}

func (l *leases) knows(machineID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.nonces[machineID]
	return known
}

func (l *leases) keep(machineID, nonce string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nonces[machineID] = nonce
}

// each works on every lease that is ours.
func (l *leases) each(ctx context.Context, work func(ctx context.Context, machineID, nonce string) error) {
	l.mu.Lock()
	ours := maps.Clone(l.nonces)
	l.mu.Unlock()
	maps.DeleteFunc(ours, func(_, nonce string) bool { return nonce == "" })
	_ = run.Each(ctx, slices.Sorted(maps.Keys(ours)), l.settings.MaxConcurrency, strings.Clone, func(ctx context.Context, id string) error {
		bounded, cancel := context.WithTimeout(ctx, leaseWithin)
		defer cancel()
		return work(bounded, id, ours[id])
	})
}

// renew renews a lease. One that is lost is somebody else's by now; another error is one of a later renewal's.
func (l *leases) renew(ctx context.Context, machineID, nonce string) error {
	err := l.ports.Leases.RenewLease(ctx, machineID, nonce, leaseFor)
	if errors.Is(err, engine.ErrLeased) {
		l.keep(machineID, "")
		l.log(machineID, "the machine's lease is lost: somebody may change it")
	}
	return err
}

// release gives all leases back. Those that cannot be given back expire.
func (l *leases) release(ctx context.Context) {
	if l == nil {
		return
	}
	l.stop()
	l.done.Wait()
	l.each(ctx, func(ctx context.Context, machineID, nonce string) error {
		err := l.ports.Leases.ReleaseLease(ctx, machineID, nonce)
		if err != nil {
			l.log(machineID, fmt.Sprintf("the machine's lease could not be released (%v); it expires within %s", err, leaseFor))
		}
		return err
	})
}

func (l *leases) log(machineID, what string) {
	l.rec.Log(engine.PhaseCommit, "machine "+machineID+": "+what)
}

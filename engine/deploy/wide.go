package deploy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
	"flydeploy/text"
)

const (
	// askedAtOnce is how many machines are asked at the same time: what waits for an answer disturbs nobody, and the client paces its
	// requests. More of them would only wait for their turn there, while the time of their step runs.
	askedAtOnce = 400
	// largeFleet is how many machines a fleet has of which the last few do not keep the others waiting.
	largeFleet = 50
	// lastOnesGet is how much longer than all others the last few of a large fleet may take.
	lastOnesGet = 10 * time.Second
)

// each works on machines, as many at once as the Machines API allows.
func (j *job) each(ctx context.Context, all []*rollout, work func(context.Context, *rollout) error) error {
	return j.eachButLast(ctx, all, 0, work)
}

// eachButLast is each, except that the last few machines of a large fleet do not keep all others waiting: once no more than few have not ended, they get
// lastOnesGet, and their context ends with the problem "silent".
func (j *job) eachButLast(ctx context.Context, all []*rollout, few int, work func(context.Context, *rollout) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if few = min(few, len(all)/10); j.machines.Load() < largeFleet {
		few = 0
	}
	var mu sync.Mutex
	open := len(all)
	var last *time.Timer
	ended := func() {
		mu.Lock()
		defer mu.Unlock()
		if open--; open > 0 && open <= few && last == nil {
			others := len(all) - open
			last = time.AfterFunc(lastOnesGet, func() { cancel(silentProblem(others)) })
		}
	}
	defer func() {
		if last != nil {
			last.Stop()
		}
	}()
	return run.Each(ctx, all, askedAtOnce, (*rollout).where, func(ctx context.Context, r *rollout) error {
		defer ended()
		return work(ctx, r)
	})
}

func silentProblem(others int) error {
	return engine.NewProblem("silent", fmt.Sprintf("it had not ended %s after %s had", lastOnesGet, text.Counted(others, "other machine")), nil, engine.Remedies["silent"])
}

func isSilent(err error) bool { return err != nil && engine.AsProblem(err).Name == "silent" }

// mayFail is how many machines may still fail before nothing more starts.
func (j *job) mayFail(all []*rollout) int {
	return max(j.settings.MaxFailed-count(all, (*rollout).hasFailed), 0)
}

// hasFailed: it has ended without the upgrade, or its end is unknown.
func (r *rollout) hasFailed() bool {
	return r.endUnknown() || r.isUnverified() && r.problem != nil || r.state.Final() && !r.state.Upgraded() && r.state != engine.MachineLeftOut
}

// few is how many machines of a fleet are so few that after the commit the others do not wait for them.
func (j *job) few(machines int) int { return max(j.settings.MaxFailed, machines/50) }

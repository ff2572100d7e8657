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
	lastOnesGet = 8 * time.Second
	// afterwardsGet is that where machines run the upgrade already, or are done with: no answer changes that.
	afterwardsGet = 3 * time.Second
	// silentOnesGet is how much longer than all others those may take that have been silent in an earlier step.
	silentOnesGet = 2 * time.Second
)

// each works on machines, as many at once as the Machines API allows.
func (j *job) each(ctx context.Context, all []*rollout, work func(context.Context, *rollout) error) error {
	return j.eachButLast(ctx, all, 0, lastOnesGet, work)
}

// eachButLast is each, except that the last few machines of a large fleet do not keep all others waiting: once no more than few have not ended, they get
// so much longer, and their context ends with the problem "silent". Those that this has happened to before only get silentOnesGet once all
// others have ended.
func (j *job) eachButLast(ctx context.Context, all []*rollout, few int, get time.Duration, work func(context.Context, *rollout) error) error {
	return j.eachThen(ctx, all, few, get, work, func(*rollout) {})
}

// eachThen is eachButLast, and hands each machine over that has ended.
func (j *job) eachThen(ctx context.Context, all []*rollout, few int, get time.Duration, work func(context.Context, *rollout) error, then func(*rollout)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if few = min(few, len(all)/10); !j.machinesAreMany() {
		few = 0
	}
	l := &lastOnes{few: few, get: get, open: count(all, (*rollout).answers), of: len(all), cancel: cancel}
	defer l.stop()
	l.look()
	return run.Each(ctx, all, askedAtOnce, (*rollout).where, func(ctx context.Context, r *rollout) error {
		answered := r.answers()
		err := work(ctx, r)
		r.silent = isSilent(context.Cause(ctx)) || r.silent && err != nil
		l.ended(answered)
		then(r)
		return err
	})
}

// machinesAreMany: the fleet is a large one.
func (j *job) machinesAreMany() bool { return j.machines.Load() >= largeFleet }

// answers: it has not been silent in an earlier step.
func (r *rollout) answers() bool { return !r.silent }

// lastOnes ends a step that a few machines keep from ending.
type lastOnes struct {
	few, of int
	get     time.Duration
	cancel  context.CancelCauseFunc

	mu    sync.Mutex
	open  int // machines that have not ended, without those that were silent before
	ends  *time.Timer
	after time.Duration // since the others had ended
}

func (l *lastOnes) ended(answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if answered {
		l.open--
	}
	l.look()
}

// look starts the clock for the last ones.
func (l *lastOnes) look() {
	switch {
	case l.open == 0 && l.after != silentOnesGet:
		l.start(silentOnesGet)
	case l.open > 0 && l.open <= l.few && l.ends == nil:
		l.start(l.get)
	}
}

func (l *lastOnes) start(after time.Duration) {
	if l.ends != nil {
		l.ends.Stop()
	}
	others := l.of - l.open
	l.after = after
	l.ends = time.AfterFunc(after, func() { l.cancel(silentProblem(after, others)) })
}

func (l *lastOnes) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends != nil {
		l.ends.Stop()
	}
}

func silentProblem(after time.Duration, others int) error {
	what := fmt.Sprintf("it had not ended %s after %s had", after, text.Counted(others, "other machine"))
	if after == silentOnesGet {
		what = fmt.Sprintf("it did not answer before either, and had not ended %s after all others had", after)
	}
	return engine.NewProblem("silent", what, nil, engine.Remedies["silent"])
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

package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/lock"
)

// leftovers is what stays behind of a deploy: what could not be ended, or was not seen to end.
type leftovers struct {
	mu      sync.Mutex
	all     []engine.Left
	resumes bool // resuming the deploy goes on with what was confirmed, and ends agents on its way
}

// canResume says whether resuming the deploy is what its operator wants of it: not before it commits, for its plan may have been declined,
// and the last record may be somebody else's deploy; nor once it is taken back.
func (l *leftovers) canResume(resumes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resumes = resumes
}

func (l *leftovers) add(left engine.Left) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(other engine.Left) bool { return other.What == left.What && other.Machine == left.Machine }
	if !slices.ContainsFunc(l.all, same) {
		left.EndsAt = left.EndsAt.UTC().Truncate(time.Second)
		l.all = append(l.all, left)
	}
}

func (l *leftovers) list() []engine.Left {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.all), func(left engine.Left) bool { // a lease ends soon
		return left.What == engine.LeftLease && !time.Now().Before(left.EndsAt)
	})
}

func (l *leftovers) resumable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resumes
}

// leaveLock: the lock was not released. It expires at most its lifetime from now on.
func (j *job) leaveLock() {
	j.left.add(engine.Left{What: engine.LeftLock, EndsAt: time.Now().Add(j.settings.LockTimeout), EndNow: "flydeploy lock release --app " + j.settings.App})
}

// dropLock frees the lock of a deploy that could not renew it, or was not told that it has it, if it is in the bucket all the same. It
// reports whether it stays.
func (j *job) dropLock(ctx context.Context, locks engine.Locks, id string) (left bool) {
	now, err := locks.Current(ctx)
	if errors.Is(err, engine.ErrNotFound) || err == nil && now.DeploymentID != id {
		return false
	}
	if err != nil || lock.Break(ctx, locks, now, j.settings.Owner) != nil {
		j.leaveLock()
		return true
	}
	return false
}

func (j *job) leaveTemporary(id string, until time.Time) {
	j.left.add(engine.Left{What: engine.LeftTemporary, Machine: id, EndsAt: until, EndNow: "fly machine destroy --force " + id + " --app " + j.settings.App})
}

func (j *job) leaveLease(id string, until time.Time) {
	j.left.add(engine.Left{What: engine.LeftLease, Machine: id, EndsAt: until.Add(time.Second), EndNow: "fly machine leases clear " + id + " --app " + j.settings.App})
}

const (
	stagedStays   = 20 * time.Minute // the agent's own: what is staged waits so long for its commit
	terminalStays = 10 * time.Minute // and what has come to an end, for its console
)

// leaveAgent: the agent was not seen to end. It ends by itself, or when the deploy is resumed; where that would deploy what nobody wants,
// by hand.
func (j *job) leaveAgent(r *rollout) {
	stays := cmp.Or(time.Duration(r.status.ExpiresInMS)*time.Millisecond, stagedStays)
	if r.endUnknown() || r.status.State.Terminal() {
		stays = max(stays, j.terminalFor(), terminalStays)
	}
	endNow := ""
	switch {
	case j.left.resumable():
		endNow = "flydeploy hot --resume --app " + j.settings.App
	case r.session != nil && r.session.FinishByHand() != "":
		endNow = fmt.Sprintf("fly machine exec %s '%s' --app %s", r.machine.ID, r.session.FinishByHand(), j.settings.App)
	}
	j.left.add(engine.Left{What: engine.LeftAgent, Machine: r.machine.ID, EndsAt: time.Now().Add(stays), EndNow: endNow})
}

package deploy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flydeploy/engine"
	"flydeploy/text"
)

// armedWaits is how long a machine that is armed waits for the others of its wave: its agent expires after a minute.
const armedWaits = 20 * time.Second

// atOnce is how many of a wave's machines may be armed or in their window at the same time: --max-concurrency, and of a large wave a
// fifth, unless somebody has asked for so many, which is then the size of a wave, too.
func (c *committing) atOnce(machines int) int {
	if c.settings.Strategy.WaveSize > 0 {
		return c.settings.MaxConcurrency
	}
	return max(c.settings.MaxConcurrency, machines/5)
}

// gathering is a wave whose machines commit once all of them are armed, or the first has waited for armedWaits.
type gathering struct {
	mu       sync.Mutex
	missing  int // machines that are not armed yet
	mayFail  int
	heldBack bool // too many have failed before it was open: nobody commits
	open     chan struct{}
	timer    *time.Timer // since the first machine is armed
}

func newGathering(machines, mayFail int) *gathering {
	return &gathering{missing: machines, mayFail: mayFail, open: make(chan struct{})}
}

// await is for a machine that is armed, or failed with err. It gives why it may not commit: its own error, or the end of ctx. Where the
// whole wave is held back, mayCommit is false without an error.
func (g *gathering) await(ctx context.Context, err error) (mayCommit bool, why error) {
	g.arrive(err)
	if err != nil {
		return false, err
	}
	select {
	case <-g.open:
		return !g.isHeldBack(), nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

func (g *gathering) arrive(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing--
	if err != nil && !g.isOpen() {
		g.mayFail--
		g.heldBack = g.mayFail < 0
	}
	switch {
	case g.missing == 0:
		g.start()
	case err == nil && g.timer == nil:
		g.timer = time.AfterFunc(armedWaits, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.start()
		})
	}
}

// start opens it. The mutex is held.
func (g *gathering) start() {
	if g.timer != nil {
		g.timer.Stop()
	}
	if !g.isOpen() {
		close(g.open)
	}
}

func (g *gathering) isOpen() bool {
	select {
	case <-g.open:
		return true
	default:
		return false
	}
}

func (g *gathering) isHeldBack() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heldBack
}

// together arms every machine of a wave before the first one commits. If one cannot be armed, none commits.
func (c *committing) together(ctx context.Context, w wave) error {
	g := newGathering(len(w.machines), c.mayFail(c.machines))
	err := c.eachButLast(ctx, w.machines, g.mayFail, lastOnesGet, func(ctx context.Context, r *rollout) error {
		mayCommit, err := g.await(ctx, c.arm(ctx, r))
		if !mayCommit {
			return err
		}
		return c.commitArmed(ctx, r, func() {})
	})
	if g.isHeldBack() {
		return c.disarm(ctx, w, err)
	}
	return err
}

// slowestFirst has those machines begin first that have taken more than twice as long before as most, so that nobody waits for them at the
// end. All others keep their order.
func slowestFirst(machines []*rollout, took func(*rollout) time.Duration) []*rollout {
	if len(machines) == 0 {
		return nil
	}
	times := make([]time.Duration, len(machines))
	for i, r := range machines {
		times[i] = took(r)
	}
	slices.Sort(times)
	isSlow := func(r *rollout) bool { return took(r) > 2*times[len(times)/2] }
	slow := filter(machines, isSlow)
	slices.SortStableFunc(slow, func(a, b *rollout) int { return cmp.Compare(took(b), took(a)) })
	return append(slow, filter(machines, func(r *rollout) bool { return !isSlow(r) })...)
}

// turns has machines begin in their order: one that ends passes its turn on to the first that has not begun.
type turns struct {
	mu    sync.Mutex
	order []*rollout // that have no turn yet
	begin map[*rollout]chan struct{}
}

func newTurns(machines []*rollout, atOnce int) *turns {
	t := &turns{order: machines, begin: map[*rollout]chan struct{}{}}
	for _, r := range machines {
		t.begin[r] = make(chan struct{})
	}
	for range atOnce {
		t.pass()
	}
	return t
}

func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) > 0 {
		close(t.begin[t.order[0]])
		t.order = t.order[1:]
	}
}

// inTurn has each machine of a wave commit as soon as it is armed, so many at once as may be disturbed. Once too many have failed, nothing
// more starts.
func (c *committing) inTurn(ctx context.Context, w wave) error {
	machines := slowestFirst(w.machines, func(r *rollout) time.Duration { return r.took })
	turns := newTurns(machines, c.atOnce(len(machines)))
	c.failed.Store(0) // mayFail counts those of earlier waves
	may := c.mayFail(c.machines)
	var notStarted atomic.Int64
	err := c.eachButLast(ctx, machines, may, lastOnesGet, func(ctx context.Context, r *rollout) error {
		select {
		case <-turns.begin[r]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		ended := sync.OnceFunc(turns.pass)
		defer ended()
		if int(c.failed.Load()) > may {
			notStarted.Add(1)
			return nil
		}
		defer c.leases.giveBack(ctx, r)
		err := c.arm(ctx, r)
		if err == nil {
			err = c.commitArmed(ctx, r, ended)
		}
		if err != nil && r.state.Final() {
			c.failed.Add(1)
		}
		return err
	})
	n := int(notStarted.Load())
	if n == 0 || err == nil || context.Cause(ctx) != nil {
		return err
	}
	p := *engine.AsProblem(err)
	p.What += "; so nothing was started on " + text.Counted(n, "other machine") + " of its wave"
	return p.WithCause(err)
}

// errExpired says that an agent had expired before its commit arrived. It has suspended nothing.
var errExpired = errors.New("the agent expired before its commit")

// commitArmed commits an armed machine, and calls ended when it is not disturbed any more. One whose agent has expired meanwhile is armed
// again, whatever becomes of the others.
func (c *committing) commitArmed(ctx context.Context, r *rollout, ended func()) error {
	err := c.commitMachine(ctx, r, ended)
	if !errors.Is(err, errExpired) {
		return err
	}
	if err := c.arm(ctx, r); err != nil {
		return err
	}
	err = c.commitMachine(ctx, r, ended)
	if errors.Is(err, errExpired) {
		return r.explainEnd(r.endProblem())
	}
	return err
}

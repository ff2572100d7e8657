package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent"
	"flydeploy/engine/run"
	"flydeploy/text"
)

// askEach is how much longer the pause between two questions to an agent is for each machine of its wave.
const askEach = 8 * time.Millisecond

// countOn is how long crashes are still counted once a machine is not well.
const countOn = time.Second

// watch is a wave that is being watched. Each machine's agent is asked by a goroutine of its own, which alone uses its rollout; the
// fleet is listed by another one.
type watch struct {
	*committing
	wave     wave
	machines []*rollout
	mayFail  int // how many of them may end without ending the watch
	begun    time.Time

	trialEnds time.Time // of the deploy's first machines, zero if they are on none

	baking context.Context           // ends with the bake time
	held   atomic.Bool               // it has no end until somebody says so
	paused atomic.Pointer[time.Time] // since when the strategy has it wait for that, nil for not
	alone  error                     // nobody has said so

	upgraded atomic.Int64 // machines of all waves so far
	promoted atomic.Bool  // somebody has said so, or did not want to wait for the end

	crashes *engine.Tally

	stop     func() // ends the watch a moment later: something is not well
	mu       sync.Mutex
	ended    time.Time                    // when the end of the bake time was seen
	sick     map[*rollout]*engine.Problem // why a machine is not well
	gone     map[*rollout]*engine.Problem // whose VM has ended
	failing  map[*rollout]*engine.Problem // why it is not, unless that passes
	listed   map[string]engine.Machine    // as Fly said last
	sleeps   *sleeps
	unlisted error // why it is not known what Fly says of the machines
}

func newWatch(c *committing, w wave, machines []*rollout) *watch {
	begun := time.Now()
	switch {
	case machines[0].adopted: // their agents have begun before: the last of them counts, whatever wave it was in
		last := watchedFor(machines[0].status)
		for _, r := range machines {
			last = min(last, watchedFor(r.status))
		}
		begun = begun.Add(-last)
	case c.machinesAreMany():
		begun = latest(begun.Add(-lastOnesGet), lastHeard(machines))
	}
	watching := &watch{committing: c, wave: w, machines: machines, begun: begun, trialEnds: c.firstTrialEnds(), sick: map[*rollout]*engine.Problem{}, gone: map[*rollout]*engine.Problem{}, sleeps: newSleeps(begun), mayFail: c.job.mayFail(c.machines), crashes: engine.NewTally(len(machines))}
	watching.upgraded.Store(int64(count(c.machines, (*rollout).isUpgraded)))
	return watching
}

// lastHeard is when the last of machines told that it has committed. Their agents have watched since, also while a large fleet waited for the few
// that had not answered: that time counts.
func lastHeard(machines []*rollout) (at time.Time) {
	for _, r := range machines {
		at = latest(at, r.heard)
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// run watches until the end of the bake time, or until a moment after something is not well.
func (w *watch) run(ctx context.Context) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	w.stop = sync.OnceFunc(func() { time.AfterFunc(countOn, cancel) })
	var obeying sync.WaitGroup
	defer obeying.Wait() // it ends with the bake time
	var endBake context.CancelFunc
	w.baking, endBake = context.WithCancel(watching)
	defer endBake()
	bake := time.AfterFunc(w.bakeOf(w.wave)-time.Since(w.begun), func() { w.end(endBake) })
	defer bake.Stop()
	if w.settings.Ask {
		select {
		case <-w.job.answers: // a key that was pressed twice was meant for the wave before
		default:
		}
		obeying.Go(func() { w.obey(bake, endBake) })
	}
	asked := make(chan error, 1)
	go func() {
		asked <- w.eachButLast(watching, w.machines, w.mayFail, afterwardsGet, w.ask)
	}()
	crashed := run.Guarded(func() error { w.unlisted = w.list(watching); return nil })
	unasked := <-asked
	if watching.Err() == nil {
		for r, p := range w.failing {
			w.judge(r, p)
		}
	}
	w.judgeAll()
	for r, p := range w.sick {
		r.sick = p
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(crashed, w.unlisted, unasked, w.unwatched(), w.alone)
}

// maxHold is how long a watch lasts at most, however often it is held: the agents of upgraded machines stay for an hour where an
// operator watches.
const maxHold = 55 * time.Minute

// mayHold is for how long this watch lasts at most: what is on trial is watched for half of that time, so that somebody can still confirm it,
// and every watch of a deploy ends before the trial of its first machines does, with time for the waves that follow.
func (w *watch) mayHold() (most time.Duration, trial bool) {
	most = maxHold
	if tried := w.settings.Strategy.Trial; tried > 0 && tried/2 < most {
		most, trial = tried/2, true
	}
	if left := w.trialEnds.Sub(w.begun) - MinTrial - time.Duration(w.wave.of-w.wave.number)*w.settings.Strategy.Bake; !w.trialEnds.IsZero() && left < most {
		most, trial = left, true
	}
	return max(most, w.bakeOf(w.wave)), trial
}

// obey takes the operator's answers while the wave is watched.
func (w *watch) obey(bake *time.Timer, endBake func()) {
	most, trial := w.mayHold()
	defer func() {
		if since := w.paused.Load(); since != nil {
			w.job.waitedSince(*since)
		}
	}()
	for {
		answer, err := w.job.ask(w.baking, engine.QuestionWatch, most-time.Since(w.begun))
		switch {
		case err != nil:
			if w.waitsForKey(w.wave) && errors.Is(err, errNoAnswer) { // also where somebody has held it before its pause
				w.alone = w.pauseProblem(fmt.Sprintf("nobody continued after wave %d of %d within %s", w.wave.number, w.wave.of, text.Time(most.Round(time.Second))), trial)
			}
			endBake()
			return
		case answer.Way == engine.WayPromote:
			w.promoted.Store(true)
			endBake()
		case answer.Way == engine.WayHold && bake.Stop():
			w.held.Store(true)
		case answer.Way == "" && w.waitsForKey(w.wave): // nobody is there who could press one
			w.alone = w.pauseProblem(fmt.Sprintf("the input has ended, so nobody can continue after wave %d of %d", w.wave.number, w.wave.of), false)
			endBake()
			return
		}
	}
}

// over is for how long the bake time has been over, 0 while it is not.
func (w *watch) over() time.Duration {
	if w.baking.Err() == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.IsZero() {
		w.ended = time.Now()
	}
	return max(time.Since(w.ended), 1)
}

// judge says that a machine is not well, and ends the watch.
func (w *watch) judge(r *rollout, p *engine.Problem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sick[r] = p
	w.stop()
}

// judgeAll judges the machines once more that have told before others did what shows it.
func (w *watch) judgeAll() {
	for _, r := range w.machines {
		if why := whyNotWell(r.status); why != "" && w.sick[r] == nil && w.gone[r] == nil {
			w.sick[r] = notWell(why)
		}
	}
}

func notWell(what string) *engine.Problem { return engine.NewProblem("unhealthy", what, nil, "") }

// ask asks a machine's agent until the end of the bake time, and then once more. A machine that does not answer then is asked again
// for as long as one machine may take: until it has answered, nothing is known.
func (w *watch) ask(ctx context.Context, r *rollout) error {
	r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusRunning, StartedAt: w.begun})
	if !w.verified(ctx, r) {
		return nil
	}
	for {
		last := w.over() > 0
		if w.sleeps.now(r) { // nothing in it answers
			if last {
				r.health = w.shown(r)
				return nil
			}
			_ = run.Wait(w.baking, lookAgainAfter)
			continue
		}
		status, err := w.next(ctx, r, last)
		switch {
		case ctx.Err() != nil, err != nil && w.isLost(r):
			return nil
		case err != nil && w.hasFallenAsleep(ctx, r):
		case errors.Is(err, agent.ErrGone) && w.mayOutlast(r) && !w.restarted(ctx, r):
			if w.watchedEnough(r) {
				r.health = engine.HealthHealthy // as long as it was there
				return nil
			}
			return r.doubtful("its agent has ended", err)
		case errors.Is(err, agent.ErrGone): // an agent that has ended stays longer than MaxBake
			w.lose(r, "its VM ended while it was watched")
			return nil
		case err == nil:
			w.take(r, status)
			if last {
				r.health = w.shown(r)
				return nil
			}
			_ = run.Wait(w.baking, time.Duration(len(w.machines))*askEach)
		case w.over() > w.settings.Timeout:
			return r.doubtful("it is not known whether it is well", err)
		case last:
			_ = run.Wait(ctx, lookAgainAfter)
		default: // the bake time may be over
			_ = run.Wait(w.baking, lookAgainAfter)
		}
	}
}

// verified verifies a machine that has committed, and whose code nobody could look at since. False: its VM has ended.
func (w *watch) verified(ctx context.Context, r *rollout) bool {
	if r.state != engine.MachineCommitted {
		return true
	}
	_ = w.verifyMachine(ctx, r, w.book) // otherwise a later look says what is wrong
	if r.isUpgraded() {
		w.upgraded.Add(1)
	}
	if !r.reportsUpgrade() {
		w.lose(r, "its VM ended while it was watched")
		return false
	}
	return true
}

func healthUnknown(what string, err error) *engine.Problem {
	return engine.NewProblem("health_unknown", what, err, "Nothing more was started. "+lookAgain)
}

// doubtful says why it is not known whether a machine is well.
func (r *rollout) doubtful(what string, err error) error {
	r.doubt = healthUnknown(what, err)
	return r.doubt
}

// mayOutlast reports whether the watch may last for longer than a machine's agent stays: it is an older one, or its VM's clock went on while
// it slept.
func (w *watch) mayOutlast(r *rollout) bool { return r.adopted || w.sleeps.has(r) }

// watchedEnough reports whether a machine's agent has counted crashes for the bake time, whatever the watch waits for beyond it.
func (w *watch) watchedEnough(r *rollout) bool {
	return min(watchedFor(r.status), w.sleeps.awake(r)) >= w.settings.Strategy.Bake
}

// next waits for the agent's next status, until the end of the bake time; the last time it asks for the status as it is.
func (w *watch) next(ctx context.Context, r *rollout, last bool) (agent.Status, error) {
	if last {
		return r.session.Wait(ctx, 0)
	}
	return r.session.Wait(w.baking, r.status.Seq)
}

// take takes over an agent's status, and judges it.
func (w *watch) take(r *rollout, status agent.Status) {
	status.Watch.AddTo(w.crashes, r.machine.ID)
	r.show(status)
	if w.isDue(r) {
		r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusRunning, StartedAt: w.begun, Vitals: w.vitals(r)})
	}
	why := cmp.Or(undone(status), whyNotWell(status))
	if why == "" {
		return
	}
	report := reportOf(status)
	r.emit(engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusRunning, StartedAt: w.begun, Text: why, Report: &report, Vitals: w.vitals(r)})
	w.judge(r, notWell(why))
}

// whyNotWell words what an agent has seen that came with the upgrade, "" for nothing.
func whyNotWell(status agent.Status) string {
	crashes, during := status.Watch.New()
	near := status.Watch.NearLimit()
	switch {
	case len(crashes) > 0:
		return engine.SumCrashes(crashes)[0].During(during)
	case len(near) > 0:
		s := near[0]
		return fmt.Sprintf("the supervisor %s is near its restart limit: %d of %s in %d s, of %s", s.Supervisor, s.Restarts, text.Counted(s.Limit, "restart"), s.Seconds, s.Child)
	case status.Watch != nil && len(status.Watch.Queues) > 0:
		q := status.Watch.Queues[0]
		return fmt.Sprintf("the mailbox of %s grows: %s wait", q.Module, text.Counted(q.Length, "message"))
	}
	return ""
}

// tell emits how long the wave is still watched, and whether an operator may say something else.
func (w *watch) tell(over time.Duration) {
	left := max(w.bakeOf(w.wave)-time.Since(w.begun), 0).Round(time.Second)
	say := fmt.Sprintf("watched, %s left", left)
	if w.held.Load() {
		say = fmt.Sprintf("held, watched for %s", text.Seconds(time.Since(w.begun)))
		if most, trial := w.mayHold(); trial {
			say += ", and for " + text.Seconds(max(most-time.Since(w.begun), 0)) + " more at most: it is on trial"
		}
	}
	asks := engine.QuestionNone
	if w.settings.Ask && over == 0 {
		asks = engine.QuestionWatch
	}
	var ways []engine.Way
	if asks != engine.QuestionNone && w.paused.Load() != nil {
		ways = []engine.Way{engine.WayPromote}
	}
	w.showAsking(w.wave, int(w.upgraded.Load()), say, asks, ways...)
}

// conclude says of each machine what the watch has shown.
func (w *watch) conclude() {
	took := text.Seconds(time.Since(w.begun))
	for _, r := range w.machines {
		e := engine.Event{Phase: engine.PhaseWatch, Status: engine.StatusDone, Text: "well for " + took, StartedAt: w.begun, DurationUS: time.Since(w.begun).Microseconds(), Vitals: w.vitals(r)}
		switch gone := w.gone[r]; {
		case gone != nil: // where it may, the others go on
			r.health = engine.HealthUnhealthy
			_ = r.fail(w.endOf(r), engine.PhaseWatch, cmp.Or(r.sick, gone))
			continue
		case r.isSick():
			r.health = engine.HealthUnhealthy
			r.becomeUnhealthy()
			if r.state == engine.MachineUnhealthy {
				continue
			}
			e.Status, e.Text, e.Problem = engine.StatusFailed, "", r.sick
		case r.health != engine.HealthHealthy, w.unlisted != nil:
			r.health = engine.HealthUnknown
			e.Status, e.Text = engine.StatusUnknown, "watched for "+text.Seconds(w.sleeps.awake(r))+" only"
			if w.unlisted != nil {
				e.Text = w.unlisted.Error()
			}
			r.unheard = (r.doubt != nil || w.unlisted != nil) && !w.promoted.Load()
			r.doubt = cmp.Or(r.doubt, healthUnknown("it is not known whether it is well: "+e.Text, nil))
		}
		if w.sleeps.now(r) {
			e.Text = strings.TrimPrefix(e.Text+", "+wakesUpgraded, ", ")
		}
		r.emit(e)
	}
}

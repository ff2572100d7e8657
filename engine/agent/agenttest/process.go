package agenttest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"flydeploy/engine/agent"
)

const (
	// heartbeat: outside of the window the status moves at least this often.
	heartbeat = 2050 * time.Millisecond
	// callWait is how long a call waits for news.
	callWait = 10 * time.Second
	// windowFor is how long an agent is committing at most.
	windowFor = 30 * time.Second
)

// process is the agent in a VM. What it does by itself as time goes by, it does when somebody looks (advance), except for
// its work, which others can see.
type process struct {
	world   *World
	machine *machine
	vm      *vm
	fresh   int // processes that end when an upgrade is taken back
	order   order
	gone    bool

	state     agent.State
	deadline  time.Time
	published time.Time
	seq       int64
	ordered   []string // arm, commit, abort, finish: as they came
	work      int      // counts what was begun; 0 where nothing is under way
	works     int
	stagedAs  Release // the code that staging compared with
	crashed   int
	begun     time.Time     // when it began to watch
	committed time.Time     // when the window began, zero before
	crashes   []agent.Crash // so far

	next   agent.Status // as it will be published
	status agent.Status // as it was published last
}

func dirOf(id string) string { return "/tmp/flydeploy-" + id }

// living gives the agent of the VM, nil where there is none or it has ended.
func (v *vm) living() *process {
	if v == nil || v.agent == nil {
		return nil
	}
	v.agent.advance() // it may end
	return v.agent
}

// begin starts an agent in the machine's VM.
func (w *World) begin(m *machine, o order) *process {
	a := &process{world: w, machine: m, vm: m.vm, order: o, state: agent.Injected, begun: time.Now()}
	a.next = agent.Status{V: 1, ID: o.id, Owner: o.owner, Boot: m.vm.boot()}
	a.next.Download.Total = o.size
	m.vm.agent = a
	a.enter(agent.Staging, o.staged)
	a.stage()
	return a
}

// about is what a starting agent, or one that is busy, tells of itself.
func (a *process) about() string {
	return toJSON(map[string]any{
		"id": a.order.id, "owner": a.order.owner, "fence": a.order.fence, "state": a.state, "expires_in_ms": max(time.Until(a.deadline), 0).Milliseconds(),
		"dir": dirOf(a.order.id), "boot": a.vm.boot(),
	})
}

// -- time

// advance does what the agent has done by itself until now: it publishes, expires, ends.
func (a *process) advance() {
	for now := time.Now(); !a.gone; {
		at := a.nextMoment()
		if at.After(now) {
			return
		}
		switch {
		case at.Before(a.deadline):
			a.publishAt(at)
		case a.state.Terminal():
			a.stop()
		default:
			a.work = 0
			a.enterAt(at, agent.Expired, a.order.terminal)
			a.obey()
		}
	}
}

// nextMoment is when the agent does something by itself. In its window it does not look at the clock.
func (a *process) nextMoment() time.Time {
	if a.state == agent.Committing {
		return time.Now().Add(time.Hour)
	}
	if beat := a.published.Add(heartbeat); beat.Before(a.deadline) {
		return beat
	}
	return a.deadline
}

// -- states

func (a *process) enter(s agent.State, lives time.Duration) { a.enterAt(time.Now(), s, lives) }

func (a *process) enterAt(at time.Time, s agent.State, lives time.Duration) {
	a.state, a.deadline = s, at.Add(lives)
	a.publishAt(at)
}

func (a *process) publish() { a.publishAt(time.Now()) }

func (a *process) publishAt(at time.Time) {
	a.seq++
	a.published = at
	a.next.Seq, a.next.State, a.next.ExpiresInMS, a.next.Crashed = a.seq, a.state, max(a.deadline.Sub(at), 0).Milliseconds(), a.crashed
	a.tellWatch(at)
	a.next.Trial = a.vm.trial.told()
	a.status = a.next
	a.status.Phases = slices.Clone(a.next.Phases)
	a.machine.news()
}

// stop ends the agent: its folder and its modules go with it.
func (a *process) stop() {
	a.gone, a.work = true, 0
	if a.vm.agent == a {
		a.vm.agent = nil
	}
	a.machine.news()
}

func (a *process) fail(e *agent.Error) {
	a.next.Error = e
	a.enter(agent.Failed, a.order.terminal)
}

func (a *process) stale() {
	a.next.Error = &agent.Error{Name: "stale", What: "Counter.Tally was loaded by somebody else after staging"}
	a.enter(agent.Stale, a.order.terminal)
}

// command is a folder that the console has made.
func (a *process) command(name string) {
	if !slices.Contains(a.ordered, name) {
		a.ordered = append(a.ordered, name)
	}
	if tick := a.world.timing.Tick; tick > 0 {
		a.later(tick, a.obey)
		return
	}
	a.obey()
}

// later does something unless the agent has ended by then.
func (a *process) later(after time.Duration, do func()) {
	time.AfterFunc(after, func() {
		a.world.mu.Lock()
		defer a.world.mu.Unlock()
		if a.advance(); !a.gone {
			do()
		}
	})
}

// obey does what was ordered and fits the state. What does not fit waits, or is too late.
func (a *process) obey() {
	ordered := func(name string) bool { return slices.Contains(a.ordered, name) }
	switch {
	case a.gone || a.state == agent.Committing: // in its window it does not look
	case !a.state.Terminal() && (ordered("abort") || ordered("finish")):
		a.work = 0
		a.enter(agent.Aborted, a.order.terminal)
		a.obey()
	case a.state.Terminal() && a.work == 0 && ordered("finish"):
		a.stop()
	case a.state == agent.Staged && ordered("arm"):
		a.arm()
	case a.state == agent.Armed && ordered("commit"):
		a.commit()
	}
}

// -- the console's calls

// call makes a command's folder and waits for news.
func (w *World) call(ctx context.Context, m *machine, r request) (Output, error) {
	dir, command := r.args[0], r.args[1]
	seen, _ := strconv.ParseInt(r.args[2], 10, 64)
	a := m.vm.living()
	if a == nil || dirOf(a.order.id) != dir {
		return say(marker + "gone"), nil
	}
	if command != "-" {
		a.command(command)
	}
	quiet, _ := strconv.Atoi(r.args[3])
	begun := time.Now()
	until, quietly := begun.Add(callWait), begun.Add(time.Duration(quiet)*time.Second)
	for {
		if a.advance(); a.gone {
			return say(marker + "gone"), nil
		}
		now := time.Now()
		atWork := now.Before(quietly) && a.goesOn(command)
		if a.seq > seen && !atWork || !now.Before(until) {
			return say(marker+"status", encodeStatus(a.status), marker+"end"), nil
		}
		moment := a.nextMoment()
		if until.Before(moment) {
			moment = until
		}
		if atWork && quietly.Before(moment) {
			moment = quietly
		}
		if err := w.await(ctx, m, moment); err != nil {
			return Output{}, err
		}
	}
}

// goesOn reports whether a command's call waits on: the agent works, or has not obeyed yet.
func (a *process) goesOn(command string) bool {
	switch a.state {
	case agent.Staging, agent.Arming, agent.Committing:
		return true
	case agent.Staged:
		return command == "arm" || command == "abort"
	case agent.Armed:
		return command == "commit" || command == "abort"
	}
	return false
}

// Order makes command folders in a machine at once, as consoles do that do not know of each other.
func (w *World) Order(id string, commands ...string) {
	w.change(id, func(m *machine) {
		a := m.vm.living()
		if a == nil {
			panic("agenttest: no agent in machine " + id)
		}
		a.ordered = append(a.ordered, commands...)
		a.obey()
	})
}

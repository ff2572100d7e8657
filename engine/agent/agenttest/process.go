package agenttest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"flydeploy/engine/agent"
)

const (
	// heartbeat: outside of the window the status moves at least this often.
	heartbeat = 3050 * time.Millisecond
	// callWait is how long the script waits for news.
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
	a := &process{world: w, machine: m, vm: m.vm, order: o, state: agent.Injected}
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
		"id": a.order.id, "owner": a.order.owner, "state": a.state, "expires_in_ms": max(time.Until(a.deadline), 0).Milliseconds(),
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
	clear(a.vm.modules)
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

// -- work

// step is a part of the agent's work, and what follows it.
type step struct {
	takes time.Duration
	then  func()
}

// do works through steps, one after the other, unless the work is ended. Without a duration it is done at once.
func (a *process) do(steps ...step) {
	a.works++
	a.work = a.works
	a.goOn(a.work, steps)
}

func (a *process) goOn(work int, steps []step) {
	for a.work == work && !a.gone {
		if len(steps) == 0 {
			a.work = 0
			a.obey()
			return
		}
		s := steps[0]
		if s.takes > 0 {
			steps = steps[1:]
			a.later(s.takes, func() {
				if a.work == work {
					s.then()
					a.goOn(work, steps)
				}
			})
			return
		}
		steps = steps[1:]
		s.then()
	}
}

// phase is a step that the status tells as a phase: running, and then as it ends.
func (a *process) phase(name string, takes time.Duration, do func() *agent.Error) []step {
	var at time.Time
	return []step{
		{0, func() {
			at = time.Now()
			a.next.Phases = append(a.next.Phases, agent.Phase{Name: name, AtUS: at.UnixMicro(), Status: "running"})
			a.publish()
		}},
		{takes, func() {
			e := do()
			p := &a.next.Phases[len(a.next.Phases)-1]
			p.US, p.Status = max(time.Since(at).Microseconds(), 1), "done"
			if e != nil {
				p.Status = "failed"
			}
			a.publish()
			if e != nil {
				a.work = 0
				a.fail(e)
				a.obey()
			}
		}},
	}
}

func (a *process) stage() {
	takes := a.world.behaviourOf(a.machine).Stages
	well := func() *agent.Error { return nil }
	a.do(slices.Concat(
		a.phase("reload", takes/2, a.download),
		a.phase("extract", takes/4, well),
		a.phase("detection", takes/4, a.detect),
		[]step{{0, func() { a.enter(agent.Staged, a.order.staged) }}},
	)...)
}

// download gets the tarball from the bucket.
func (a *process) download() *agent.Error {
	b := a.world.behaviourOf(a.machine)
	o, status := a.world.bucket.get(a.order.url)
	switch {
	case b.StageError != nil:
		return b.StageError
	case status != 200:
		return &agent.Error{Name: "download_failed", What: fmt.Sprintf("the download from storage.test failed: the server answered %d", status)}
	case o.size != a.order.size:
		return &agent.Error{Name: "truncated", What: fmt.Sprintf("the tarball has %d bytes instead of %d", o.size, a.order.size)}
	case o.sha256 != a.order.sha256:
		return &agent.Error{Name: "sha256_differs", What: "the tarball's sha256 is not the expected one"}
	}
	a.next.Download.Done = o.size
	return nil
}

func (a *process) detect() *agent.Error {
	b := a.world.behaviourOf(a.machine)
	a.stagedAs = a.vm.code
	s := &a.next
	s.Findings, s.FindingsTotal = slices.Clone(b.Findings), len(b.Findings)
	if s.UpToDate = a.vm.code.SHA256 == a.order.sha256; s.UpToDate {
		return nil
	}
	s.RollbackUS, s.Counts = b.RollbackUS, b.Counts
	s.Modules, s.ModulesTotal = slices.Clone(b.Modules), len(b.Modules)
	s.Processes, s.ProcessesTotal = slices.Clone(b.Processes), len(b.Processes)
	return nil
}

func (a *process) arm() {
	b := a.world.behaviourOf(a.machine)
	for _, f := range a.next.Findings {
		if f.Severity == "refuse" {
			a.fail(&agent.Error{Name: f.Name, What: f.Subject + " " + f.Detail})
			return
		}
	}
	a.enter(agent.Arming, a.order.staged)
	a.do(slices.Concat(
		a.phase("arm", b.Arms, func() *agent.Error { return a.world.behaviourOf(a.machine).ArmError }),
		[]step{{0, func() {
			if a.world.behaviourOf(a.machine).Stale || a.vm.code != a.stagedAs {
				a.stale()
				return
			}
			a.enter(agent.Armed, a.order.armed)
		}}},
	)...)
}

func (a *process) commit() {
	b := a.world.behaviourOf(a.machine)
	a.enter(agent.Committing, windowFor)
	if b.StaleAtCommit || a.vm.code != a.stagedAs {
		a.stale()
		return
	}
	begun := time.Now()
	a.do(step{b.Commits, func() { a.conclude(begun) }})
}

// conclude ends the window.
func (a *process) conclude(begun time.Time) {
	b := a.world.behaviourOf(a.machine)
	if b.Outcome == agent.Committed {
		a.vm.code = Release{Image: a.machine.Image, Version: a.order.version, SHA256: a.order.sha256, Size: a.order.size}
		a.vm.hotRef = a.order.sourceImage
	}
	a.tellWindow(b, begun)
	a.enter(b.Outcome, a.order.terminal)
	if a.next.ReportDue() && a.order.reportURL != "" {
		a.works++
		a.work = a.works
		a.goOn(a.work, []step{{b.Reports, a.report}})
	}
}

// -- the call script

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
	until := time.Now().Add(callWait)
	for {
		if a.advance(); a.gone {
			return say(marker + "gone"), nil
		}
		if a.seq > seen || !time.Now().Before(until) {
			return say(marker+"status", encodeStatus(a.status), marker+"end"), nil
		}
		moment := a.nextMoment()
		if until.Before(moment) {
			moment = until
		}
		if err := w.await(ctx, m, moment); err != nil {
			return Output{}, err
		}
	}
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

package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/fly/local"
)

// The table of faults: each fault of the local Fly at each moment of a deploy that it can hit, on real nodes. A cell is
// one deploy with the fault, which ends as the cell says, with a message that an operator can act on; then a plain
// second deploy succeeds. After each: no process is suspended, no temporary machine is there, the lock is free or expires.
//
// `make faults` runs all of it, or the cells that CELLS matches; `make test` what is marked as short. A cell that was not run is NOT RUN, and fails.

// cell is one deploy with a fault.
type cell struct {
	fault string
	// moments that the fault must have met; none where it is there from the beginning.
	moments []moment
	// prepare switches the fault on; it may change the settings, and gives what switches it off, or nil.
	prepare func(w *faultWorld, s *engine.Settings) (off func())
	outcome engine.Outcome
	mayPass bool     // it succeeds where the machine runs again in time
	says    []string // in the log or the result
	never   string   // there; "" for nothing
	short   bool
}

func (c *cell) name() string {
	if len(c.moments) == 1 {
		return c.fault + " at " + c.moments[0].name
	}
	return c.fault
}

// faultWorld is one machine on a Fly whose faults are switched on and off. Its client's rate limits start afresh with
// each deploy, those of the API are lifted: what is tested here is something else.
type faultWorld struct {
	*world
	clock *clock
	id    string
	base  string // image of version 1
	next  string // image of version 2
}

func newFaultWorld(t testing.TB) *faultWorld {
	t.Helper()
	w := &faultWorld{world: newWorldOn(t, local.Options{NoRateLimits: true, DiskMB: 128}, 1)}
	w.id, w.base, w.next = w.ids[0], w.imageOf(w.ids[0]), w.push(2)
	return w
}

// leaseOfLock is short: where the end on a machine is not known the lock must expire before the second deploy.
const leaseOfLock = 30 * time.Second

func (w *faultWorld) settings() engine.Settings {
	s := settings()
	s.Image, s.LockTimeout, s.Timeout = w.next, leaseOfLock, 5*time.Minute // the time is not what is tested here
	return s
}

func (w *faultWorld) newClient(token string) *fly.Client {
	w.t.Helper()
	c, err := fly.New(fly.Options{App: "counter", Token: token, BaseURL: w.local.APIURL()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run is one cell.
func (w *faultWorld) run(t *testing.T, c *cell) {
	w.t, w.world.t = t, t
	s := w.settings()
	w.fleet = w.newClient(w.local.Token())
	var stop func()
	w.clock, stop = watchMoments(w.local)
	off := c.prepare(w, &s)
	p, r, events := w.observe(s)
	stop()
	if off != nil {
		off()
	}
	told := logOf(p)
	if r.Problem != nil {
		told += r.Problem.Error()
	}
	hidden := w.secrets()
	hidden.expectNoneIn(t, "an event or the result", events+told)
	hidden.expectNoneIn(t, "the machine's console", w.local.Console(w.id))
	if r.Outcome != c.outcome && !(c.mayPass && r.Outcome == engine.OutcomeSucceeded) {
		t.Errorf("outcome %s, want %s", r.Outcome, c.outcome)
	}
	for _, says := range c.says {
		if !strings.Contains(told, says) {
			t.Errorf("nothing says %q", says)
		}
	}
	if c.never != "" && strings.Contains(told, c.never) {
		t.Errorf("something says %q", c.never)
	}
	if r.Outcome != engine.OutcomeSucceeded && (r.Problem == nil || r.Problem.Remedy == "") {
		t.Errorf("nothing says what to do")
	}
	for _, m := range c.moments {
		if !w.clock.wasHit(m) {
			t.Errorf("NOT RUN: the fault did not meet %s", m.name)
		}
	}
	if t.Failed() {
		t.Logf("problem: %v\n%s", r.Problem, logOf(p))
	}
	w.expectSettled()
	w.expectSecondDeploy()
	w.rewind()
}

// expectSettled: no process waits for a resume, there is no crash dump and no temporary machine, and the lock is free or expires.
func (w *faultWorld) expectSettled() {
	w.t.Helper()
	if err := w.client(w.id).AwaitHealth(w.t.Context()); err != nil {
		w.t.Fatalf("machine %s: %v\n%s", w.id, err, w.local.Console(w.id))
	}
	look := []string{"/bin/sh", "-c", `ls /app/*.dump /tmp/*.dump 2>/dev/null; exec /app/bin/counter rpc "$1"`, "fd", countSuspended}
	out, err := w.fleet.Exec(w.t.Context(), w.id, look, "", time.Minute)
	if err != nil || out.Stdout != "0" {
		w.t.Errorf("crash dumps, and the number of suspended processes: %+v, %v", out, err)
	}
	if left := w.temporaryMachines(); len(left) > 0 {
		w.t.Errorf("temporary machines are left: %v", left)
	}
	if held, err := w.bucket().Current(w.t.Context()); err == nil && held.ExpiresAt.After(time.Now().Add(leaseOfLock)) {
		w.t.Errorf("the lock stays too long: %+v", held)
	} else if err != nil && !errors.Is(err, engine.ErrNotFound) {
		w.t.Error(err)
	}
}

const countSuspended = `Process.list() |> Enum.count(fn pid ->
  with {_, stack} <- Process.info(pid, :current_stacktrace), do: Enum.any?(stack, &match?({:sys, f, _, _} when f in [:suspend_loop, :suspend_loop_hib], &1))
end) |> IO.write()`

// expectSecondDeploy: the same again without a fault succeeds, at once or when the lock of the first has expired, and the
// machine runs the new version with all its states.
func (w *faultWorld) expectSecondDeploy() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*leaseOfLock)
	defer cancel()
	for {
		w.fleet = w.newClient(w.local.Token())
		p, r := w.deploy(w.settings(), 2)
		if r.Outcome == engine.OutcomeLocked && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // the lock expires by itself: there is nothing to wait for but time
			}
			continue
		}
		if r.Outcome != engine.OutcomeSucceeded {
			w.t.Errorf("the second deploy: %s, %v\n%s", r.Outcome, r.Problem, logOf(p))
		}
		break
	}
	s := w.snapshot(w.id)
	if s.Versions.Version != "2.0.0" || s.Counters.InCurrentShape != counters {
		w.t.Errorf("after the second deploy the machine runs %s with %d states of its shape", s.Versions.Version, s.Counters.InCurrentShape)
	}
	w.expectSettled()
}

// rewind brings the machine back to version 1, as if no deploy had been.
func (w *faultWorld) rewind() {
	w.t.Helper()
	md, etag, err := w.bucket().Metadata(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	made := "releases/" + path.Base(md.HotUpgrade.Agent.URL)
	md.HotUpgrade, md.MachineUpgrades = nil, nil
	if err := w.bucket().WriteMetadata(w.t.Context(), md, etag); err != nil {
		w.t.Fatal(err)
	}
	for _, key := range []string{"releases/counter-2.0.0.tar.gz", made} {
		if err := w.bucket().Delete(w.t.Context(), key); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.local.Restart(w.id); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client(w.id).AwaitHealth(w.t.Context()); err != nil {
		w.t.Fatalf("machine %s: %v\n%s", w.id, err, w.local.Console(w.id))
	}
	if v := w.snapshot(w.id).Versions.Version; v != "1.0.0" {
		w.t.Fatalf("the machine runs %s", v)
	}
}

// worldsAtOnce is how many cells run beside each other: each mostly waits.
const worldsAtOnce = 4

func TestFaults(t *testing.T) {
	t.Parallel()
	if err := local.Namespaces.Works(); err != nil {
		t.Skip("full disks and cut networks need machines of their own: ", err)
	}
	todo, whole := chooseCells(os.Getenv("FLYDEPLOY_FAULTS"))
	table := verdicts{t: t, cells: todo, of: map[*cell]string{}}
	defer table.print()
	queue := make(chan *cell, len(todo))
	for _, c := range todo {
		queue <- c
	}
	close(queue)
	worlds := 1
	if whole {
		worlds = min(worldsAtOnce, len(todo))
	}
	processes := watchProcesses(t.Context())
	var hidden [worldsAtOnce]secrets
	t.Run("cells", func(t *testing.T) {
		for n := range worlds {
			t.Run(fmt.Sprint("world ", n+1), func(t *testing.T) {
				if worlds > 1 { // one alone need not wait behind all other tests for its turn
					t.Parallel()
				}
				w := newFaultWorld(t)
				hidden[n] = w.secrets()
				for c := range queue {
					table.say(c, t.Run(c.name(), func(t *testing.T) { w.run(t, c) }))
					w.t, w.world.t = t, t
				}
			})
		}
	})
	lines := processes()
	for _, s := range hidden {
		s.expectNoneInProcesses(t, lines)
	}
}

// chooseCells gives the short cut of the table, or the cells whose name the expression matches.
func chooseCells(expression string) (todo []*cell, asked bool) {
	chosen := regexp.MustCompile(expression)
	for _, c := range faultTable() {
		if expression == "" && c.short || expression != "" && chosen.MatchString(c.name()) {
			todo = append(todo, c)
		}
	}
	return todo, expression != ""
}

// verdicts is the table as it is printed.
type verdicts struct {
	t     *testing.T
	mu    sync.Mutex
	cells []*cell
	of    map[*cell]string
}

func (v *verdicts) say(c *cell, passed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.of[c] = map[bool]string{true: "ok", false: "FAILED"}[passed]
}

func (v *verdicts) print() {
	var b strings.Builder
	for _, c := range v.cells {
		verdict := v.of[c]
		if verdict == "" {
			verdict = "NOT RUN"
			v.t.Errorf("NOT RUN: %s", c.name())
		}
		fmt.Fprintf(&b, "%-8s %-9s %s", verdict, c.outcome, c.name())
		if len(c.moments) > 1 {
			fmt.Fprintf(&b, ", at each of %d moments", len(c.moments))
		}
		b.WriteString("\n")
	}
	v.t.Logf("%d cells\n%s", len(v.cells), b.String())
}

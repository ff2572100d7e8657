package agent

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// trafficFuzz is a later version of testdata/traffic/lib/fuzz.ex.
func trafficFuzz(version int) string {
	source, err := os.ReadFile("testdata/traffic/lib/fuzz.ex")
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(source), "@version 1\n", fmt.Sprintf("@version %d\n", version))
}

// Whatever happens around a window (make fuzz-window): nothing stays suspended, and states and code are all old or all new.
func TestFuzzWindow(t *testing.T) {
	if !soak() {
		t.Skip("a soak")
	}
	minutes, err := strconv.Atoi(env("FUZZ_MINUTES", "10"))
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("FUZZ_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FUZZ_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	n := startTraffic(t)
	ends, running := map[State]int{}, 1
	for until, round := time.Now().Add(time.Duration(minutes)*time.Minute), 1; time.Now().Before(until); round++ {
		to := 2
		if running == 2 {
			to = 3
		}
		done := n.fuzz(random, to)
		ends[done.State]++
		if done.State == Committed {
			running = to
		}
		if got := n.show(`Traffic.Fuzz.version()`); got != fmt.Sprint(running) {
			t.Errorf("version %s runs", got)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%v", ends)
}

// fuzz is one window among noise. The agent may be killed in it, or its guardian, or a process may be born that is its module's first.
func (n traffic) fuzz(random *rand.Rand, to int) Status {
	n.t.Helper()
	troubles := max(0, random.IntN(8)-4)
	n.eval(fmt.Sprintf(`Traffic.Tour.stop(); Traffic.Noise.start(%d, %d)`, random.IntN(1_000_000), troubles))
	o := n.orderOf(fmt.Sprintf("fuzz %d", to))
	ms := func(from, to int) time.Duration { return time.Duration(from+random.IntN(to-from)) * time.Millisecond }
	o.SuspendTimeout, o.MigrationTimeout, o.MaxSuspend, o.SkipBusy = ms(10, 300), ms(100, 1000), ms(200, 3000), random.IntN(2) == 0
	s, staged := n.order(o)
	armed := n.arm(s, staged)
	if armed.State != Armed {
		n.t.Fatalf("%s %v", armed.State, armed.Error)
	}
	killed := ""
	switch random.IntN(6) {
	case 0, 1:
		killed = "agent"
	case 2:
		killed = "guardian"
	case 3:
		n.atStep("suspending", "", "{:ok, _} = GenServer.start(Traffic.Late, nil)")
	}
	if killed != "" {
		n.killAt([]string{"suspending", "swapping", "migrating", "finishing", "rendering", "rolling_back", "resuming", "done"}[random.IntN(8)], killed, ms(0, 20))
	}
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	done := n.await(s, Committed)
	if killed != "" {
		killed += " in " + n.killedIn()
	}
	n.t.Logf("%d troubles, killed %q, %+v: %s after %d ms, migrated %d, skipped %d, %d killed, %d failures",
		troubles, killed, []any{o.SuspendTimeout, o.MigrationTimeout, o.MaxSuspend, o.SkipBusy}, done.State, done.SuspendedUS/1000, done.Migrated, done.Skipped, done.KilledTotal, done.FailuresTotal)
	n.t.Logf("%v", done.Phases)
	// Beyond its budget only what going back takes, on a computer that has other things to do.
	if limit := o.MaxSuspend + 10*time.Second; killed == "" && time.Duration(done.SuspendedUS)*time.Microsecond > limit {
		n.t.Errorf("suspended for %d ms: %v", done.SuspendedUS/1000, done.Phases)
	}
	outcome := n.evalWithin(5*time.Minute, "{wrong, pages, states} = Traffic.Noise.outcome(); IO.puts(pages); IO.puts(states); IO.inspect(wrong, limit: :infinity)")
	oldPages, rest, _ := strings.Cut(outcome, "\n")
	oldStates, wrong, _ := strings.Cut(rest, "\n")
	if wrong != "[]" {
		n.t.Errorf("%s left %s", done.State, wrong)
	}
	n.told(s, done, "not_rendered", oldPages)
	n.told(s, done, "raised exited bad_return", oldStates)
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	if got := n.show("Traffic.Tour.suspended()"); got != "[]" {
		n.t.Errorf("suspended: %s", got)
	}
	return done
}

// told waits until the status tells of as many failures for these reasons as there are processes that they have left behind.
func (n traffic) told(s *Session, done Status, reasons, left string) {
	n.t.Helper()
	for {
		told := 0
		for _, f := range done.Failures {
			if slices.Contains(strings.Fields(reasons), f.Reason) {
				told += f.Count
			}
		}
		if count, err := strconv.Atoi(left); err != nil || count > told && done.State != Committed {
			n.t.Fatalf("%s: left %s, told %+v", done.State, left, done.Failures)
		} else if count <= told {
			return
		}
		done = awaitFrom(n.t, s, "", done.Seq)
	}
}

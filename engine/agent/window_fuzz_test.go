package agent

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// trafficFuzz is a version of Traffic.Fuzz: to and fro, its code_change does what the state says. Traffic.Late has no process before
// the window.
func trafficFuzz(version int) string {
	return fmt.Sprintf(`
defmodule Traffic.Fuzz do
  use GenServer
  @vsn "%[1]d"
  def version, do: %[1]d
  def start_link({name, plan}), do: GenServer.start_link(__MODULE__, plan, name: name)
  def init(plan), do: {:ok, %%{plan: plan, v: %[1]d}}
  def handle_call({:work, ms}, _from, s), do: {:reply, Process.sleep(ms), s}
  def handle_call(:state, _from, s), do: {:reply, s, s}

  def ask(name) do
    s = GenServer.call(name, :state, :infinity)
    {:ok, s.v}
  end

  # One that was born in this version is asked as well.
  def code_change(_from, %%{v: %[1]d} = s, _), do: {:ok, s}

  def code_change(_from, %%{plan: plan} = s, _) do
    case plan do
      :ok -> :ok
      :raise -> raise("no")
      :hang -> Process.sleep(:infinity)
      {:slow, ms} -> Process.sleep(ms)
      {:compute, ms} -> compute(System.monotonic_time(:millisecond) + ms)
      :die -> Process.exit(self(), :kill) && Process.sleep(:infinity)
      {:call, name} -> GenServer.call(name, :state)
    end

    {:ok, %%{s | v: %[1]d}}
  end

  defp compute(until), do: if(System.monotonic_time(:millisecond) < until, do: compute(until), else: :ok)
end

defmodule Traffic.Late do
  use GenServer
  @vsn "%[1]d"
  def init(_), do: {:ok, %%{v: %[1]d}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def code_change(_from, s, _), do: {:ok, %%{s | v: %[1]d}}
end
`, version)
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
		n.killAt([]string{"suspending", "swapping", "migrating", "finishing", "rolling_back", "resuming", "done"}[random.IntN(7)], killed, ms(0, 20))
	}
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	done := n.await(s, Committed)
	n.t.Logf("%d troubles, killed %q, %+v: %s after %d ms, migrated %d, skipped %d, %d killed, %d failures",
		troubles, killed, []any{o.SuspendTimeout, o.MigrationTimeout, o.MaxSuspend, o.SkipBusy}, done.State, done.SuspendedUS/1000, done.Migrated, done.Skipped, done.KilledTotal, done.FailuresTotal)
	if limit := o.MaxSuspend + 2*time.Second; killed == "" && time.Duration(done.SuspendedUS)*time.Microsecond > limit {
		n.t.Errorf("suspended for %d ms", done.SuspendedUS/1000)
	}
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	if got := n.evalWithin(5*time.Minute, "IO.inspect(Traffic.Noise.wrong(), limit: :infinity)"); got != "[]" {
		n.t.Errorf("%s left %s", done.State, got)
	}
	if got := n.show("Traffic.Tour.suspended()"); got != "[]" {
		n.t.Errorf("suspended: %s", got)
	}
	return done
}

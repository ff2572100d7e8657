package agent

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The servers of testdata/traffic in the versions that the tests upgrade to. code_change is what differs.
const trafficServer = `
defmodule Traffic.%s do
  use GenServer
  @vsn "2"
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, %%{name: name, v: 2}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def handle_call({:state, 2}, _from, s), do: {:reply, s, s}
  def ask(name) do
    %%{v: v} = GenServer.call(name, :state)
    {:new, v}
  end
  %s
end
`

func trafficVersion(module, codeChange string) string {
	return fmt.Sprintf(trafficServer, module, codeChange+`
  def code_change("1", s, _), do: {:ok, %{s | v: 2}}`)
}

var trafficOrphan = strings.ReplaceAll(trafficVersion("Orphan", `def code_change("1", {1, x}, _), do: {:ok, {2, x}}`), "{:ok, %{name: name, v: 2}}", "{:ok, {2, name}}")

const trafficClients = `
defmodule Traffic.Client do
  @vsn "2"
  def ask(name) do
    s = GenServer.call(name, :state)
    {:new, s}
  end
end
defmodule Traffic.Tail do
  @vsn "2"
  def ask(name), do: GenServer.call(name, {:state, 2})
end
`

func trafficFunctions(version int) string {
	return fmt.Sprintf(`
defmodule Traffic.Functions do
  @vsn "%d"
  def make, do: fn x -> {%[1]d, x} end
  def capture, do: &local/1
  defp local(x), do: {%[1]d, x}
end
`, version)
}

// traffics are the sources of what the tests upgrade to, by name.
var traffics = map[string]string{
	"raises":          trafficVersion("Server", `def code_change("1", %{name: :server_7}, _), do: raise("no")`) + trafficClients,
	"raises slowly":   trafficVersion("Server", `def code_change("1", %{name: :server_7}, _), do: raise(to_string(Process.sleep(100)))`) + trafficClients,
	"own raises":      trafficVersion("Own", `def code_change("1", %{name: :own_7}, _), do: raise("no")`),
	"hangs":           trafficVersion("Other", `def code_change("1", %{name: :other_1}, _), do: Process.sleep(:infinity)`) + trafficVersion("Server", ""),
	"raises at once":  trafficVersion("Other", `def code_change("1", %{name: :other_1}, _), do: raise("no")`) + trafficVersion("Server", ""),
	"calls":           trafficVersion("Other", `def code_change("1", s, _), do: {:ok, Map.put(s, :other, GenServer.call(:server_1, :state))}`) + trafficVersion("Server", ""),
	"is slow":         trafficVersion("Server", `def code_change("1", s, _), do: send(:slow, {:asked, self()}) && receive(do: (:answered -> {:ok, %{s | v: 2}}))`),
	"plain":           trafficVersion("Server", ""),
	"orphans go back": trafficVersion("Server", `def code_change("1", %{name: :server_7}, _), do: raise(to_string(Process.sleep(100)))`) + trafficOrphan,
	"orphans":         trafficVersion("Other", "") + trafficOrphan,
	"functions 2":     trafficFunctions(2),
	"functions 3":     trafficFunctions(3),
	"fuzz 2":          trafficFuzz(2),
	"fuzz 3":          trafficFuzz(3),
}

var trafficRelease = sync.OnceValue(func() string {
	build := filepath.Join(testFolder, "traffic")
	return buildRelease("traffic", build, "TRAFFIC_BUILD="+build)
})

// trafficBeams has the compiled modules of each of traffics: name, file, content. One VM compiles them all.
var trafficBeams = sync.OnceValue(func() map[string]map[string][]byte {
	dir := filepath.Join(testFolder, "traffic-versions")
	program := `Code.compiler_options(ignore_module_conflict: true)
		for file <- System.argv(), {module, beam} <- Code.compile_file(file), do: File.write!(Path.join(Path.dirname(file), "#{module}.beam"), beam)`
	ebins, _ := filepath.Glob(filepath.Join(trafficRelease(), "lib", "traffic-*", "ebin"))
	args := []string{"-pa", ebins[0], "-e", program, "--"}
	for name, source := range traffics {
		file := filepath.Join(dir, name, "source.ex")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			panic(err)
		}
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			panic(err)
		}
		args = append(args, file)
	}
	if out, err := exec.Command("elixir", args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("compiling: %v\n%s", err, out))
	}
	all := map[string]map[string][]byte{}
	for name := range traffics {
		all[name] = map[string][]byte{}
		beams, _ := filepath.Glob(filepath.Join(dir, name, "*.beam"))
		for _, beam := range beams {
			body, err := os.ReadFile(beam)
			if err != nil {
				panic(err)
			}
			all[name][filepath.Base(beam)] = body
		}
	}
	return all
})

// traffic is a node of the release, and what its upgrades are made from.
type traffic struct {
	*node
	base madeTarball
}

func startTraffic(t testing.TB) traffic {
	return traffic{startRelease(t, "traffic", trafficRelease()), tarballIn(t, "traffic", trafficRelease())}
}

// in is the node for a subtest, without what the one before has left.
func (n traffic) in(t testing.TB) traffic {
	copied := *n.node
	copied.t = t
	copied.eval("Traffic.Tour.stop()")
	return traffic{&copied, n.base}
}

// orderOf is an order to upgrade to a version of traffics.
func (n traffic) orderOf(name string) Order {
	n.t.Helper()
	beams := trafficBeams()[name]
	if len(beams) == 0 {
		n.t.Fatalf("nothing is compiled of %q", name)
	}
	body := editTar(n.t, n.base.bytes, func(h *tar.Header, body []byte) []byte {
		if beam, ok := beams[filepath.Base(h.Name)]; ok {
			return beam
		}
		return body
	})
	return orderFor(n.t, "traffic", body)
}

// run upgrades to a version, with the order as change leaves it, to the end.
func (n traffic) run(name string, change func(*Order)) Status {
	n.t.Helper()
	o := n.orderOf(name)
	if change != nil {
		change(&o)
	}
	s, staged := n.order(o)
	done := n.commit(s, staged)
	n.report(done)
	n.end(s)
	return done
}

// amid upgrades to a version amid callers (Elixir), who begin when all is armed. It gives how it ended, and how many of them have.
func (n traffic) amid(callers, name string) (s *Session, done Status, ended string) {
	n.t.Helper()
	s, staged := n.order(n.orderOf(name))
	armed := n.arm(s, staged)
	n.eval(callers)
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	done = n.await(s, Committed)
	n.report(done)
	return s, done, n.show("Traffic.Tour.hang_up()")
}

func (n traffic) report(done Status) {
	n.t.Helper()
	n.t.Logf("%s after %d ms, rollback estimated %d µs, migrated %d, killed %v, crashed %d: %v", done.State, done.SuspendedUS/1000, done.RollbackUS, done.Migrated, done.Killed, done.Crashed, done.Phases)
	for _, f := range done.Failures {
		n.t.Logf("%+v", f)
	}
}

func (n traffic) end(s *Session) {
	n.t.Helper()
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	if got := n.eval("IO.inspect(Traffic.Tour.suspended())"); got != "[]" {
		n.t.Errorf("suspended: %s", got)
	}
}

// show gives what an expression in the VM has as its value.
func (n traffic) show(expr string) string {
	n.t.Helper()
	return n.eval("IO.inspect((fn -> " + expr + " end).(), limit: :infinity, width: 10_000)")
}

func (n traffic) is(expr, want string) {
	n.t.Helper()
	if got := n.show(expr); got != want {
		n.t.Errorf("%s is %s, want %s", expr, got, want)
	}
}

// What the window promises while calls go on: a rollback restores, nothing hangs, and all of it ends within its budget. One node
// goes through all cases; those whose upgrades stay come last.
func TestTheWindowUnderTraffic(t *testing.T) {
	t.Parallel()
	n := startTraffic(t)
	for _, test := range []struct {
		name string
		run  func(traffic)
	}{
		{"a rollback ends no caller", rollbackUnderTraffic},
		{"a rollback ends no server", rollbackNewMessages},
		{"a rollback ends only callers inside of the callback module", rollbackOwnClients},
		{"a migration that hangs", stuckMigration}, // what follows shows that nothing of it keeps the next upgrade out
		{"a migration that calls a suspended process", migrationCallsSuspended},
		{"slow migrations", slowMigrations},
		{"births in code that is taken back", rollbackBirths},
		{"a busy process is left out", skippedProcess},
		{"functions of old code", functionsOfOldCode},
		{"births without a supervisor", birthFlood},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(n.in(t)) }) {
			return
		}
	}
}

// runs is how often a rollback is tried (make soak-agent SOAK_RUNS=…).
func runs() int {
	if count, err := strconv.Atoi(env("SOAK_RUNS", "100")); err == nil && soak() {
		return count
	}
	return 1
}

func rollbackUnderTraffic(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Server, :server, 20); Traffic.Tour.start(Traffic.Between, :between, 10)`)
	const all = `{Traffic.Tour.pids(:server, 20), Traffic.Tour.pids(:between, 10)}`
	before := n.show(all)
	for range runs() {
		s, done, ended := n.amid(`Traffic.Tour.callers(50, fn
			n when n <= 10 -> GenServer.call(:"between_#{n}", :ask, :infinity)
			_ -> Traffic.Client.ask(:"server_#{:rand.uniform(20)}") end)`, "raises")
		if done.State != RolledBack || len(done.Killed) > 0 || done.Crashed > 0 || ended != "0" {
			n.t.Fatalf("%s, killed %v, crashed %d, callers ended: %s", done.State, done.Killed, done.Crashed, ended)
		}
		n.end(s)
	}
	n.t.Logf("%d rollbacks under 50 callers ended no caller and no server", runs())
	n.is(all, before)
	n.is(`Traffic.Tour.versions(:server, 20)`, "[1]")
}

// Nobody sends the new code's messages before the migrations have succeeded.
func rollbackNewMessages(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Server, :server, 20)`)
	before := n.show(`Traffic.Tour.pids(:server, 20)`)
	var s *Session
	var done Status
	for i := range runs() {
		if i > 0 {
			n.end(s)
		}
		var ended string
		s, done, ended = n.amid(`Traffic.Tour.callers(20, fn n -> Traffic.Tail.ask(:"server_#{n}") end)`, "raises slowly")
		if done.State != RolledBack || len(done.Killed) > 0 || done.Crashed > 0 || ended != "0" {
			n.t.Fatalf("%s, killed %v, crashed %d, callers ended: %s", done.State, done.Killed, done.Crashed, ended)
		}
	}
	n.is(`Traffic.Tour.pids(:server, 20)`, before)
	n.t.Logf("%d rollbacks under callers that send the new code's messages ended no caller and no server", runs())
	// What ends afterwards is counted, as after a commit.
	n.eval(`Process.exit(Process.whereis(:server_3), :kill)`)
	for done.Crashed == 0 {
		done = awaitFrom(n.t, s, Committed, done.Seq)
	}
	if done.State != RolledBack || done.Crashed != 1 {
		n.t.Errorf("%s, crashed %d", done.State, done.Crashed)
	}
	n.end(s)
}

// Who entered the callback module between the first suspend and the swap waits for a suspended process, and cannot leave the code that
// must be freed. It is not waited for.
func rollbackOwnClients(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Own, :own, 20)`)
	before := n.show(`Traffic.Tour.pids(:own, 20)`)
	s, done, ended := n.amid(`Traffic.Tour.callers(50, fn _ -> Traffic.Own.ask(:"own_#{:rand.uniform(20)}") end)`, "own raises")
	if done.State != RolledBack && done.State != RolledBackWithLosses || ended != fmt.Sprint(done.KilledTotal) {
		n.t.Errorf("%s, killed %v, callers ended: %s", done.State, done.Killed, ended)
	}
	n.end(s)
	n.is(`Traffic.Tour.pids(:own, 20)`, before)
	n.is(`Traffic.Tour.versions(:own, 20)`, "[1]")
}

// within tries a window until its processes were suspended for no longer than alone. Where the test is no soak, other tests want the
// computer as well: then it tries once, and crowded is the limit. window gives what was suspended in microseconds.
func (n traffic) within(alone, crowded time.Duration, window func() int64) {
	n.t.Helper()
	tries, limit := 1, crowded
	if soak() {
		tries, limit = 10, alone
	}
	var took []int64
	for range tries {
		took = append(took, window())
		if slices.Min(took) <= limit.Microseconds() {
			return
		}
	}
	n.t.Errorf("suspended for %v µs, and not for %v", took, limit)
}

// What a window takes whose migration fails at once does not count: nearly nothing, unless the computer has other things to do.
func stuckMigration(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Other, :other, 2); Traffic.Tour.start(Traffic.Server, :server, 1)`)
	n.within(1200*time.Millisecond, 4*time.Second, func() int64 {
		failsAtOnce := n.run("raises at once", nil)
		if failsAtOnce.State != RolledBack {
			n.t.Fatalf("%s, %d failures", failsAtOnce.State, failsAtOnce.FailuresTotal)
		}
		return n.endStuckMigration() - failsAtOnce.SuspendedUS
	})
}

// endStuckMigration gives for how long processes were suspended, in microseconds.
func (n traffic) endStuckMigration() int64 {
	n.t.Helper()
	before := n.show(`{Process.whereis(:other_1), Process.whereis(:other_2), Process.whereis(:server_1)}`)
	done := n.run("hangs", func(o *Order) { o.MigrationTimeout = time.Second })
	if done.State != RolledBackWithLosses || done.KilledTotal != 1 || done.FailuresTotal != 1 || done.Crashed != 0 {
		n.t.Fatalf("%s, killed %v, %d failures, crashed %d", done.State, done.Killed, done.FailuresTotal, done.Crashed)
	}
	if f := done.Failures[0]; f.Name != ":other_1" || f.Reason != "timeout" || f.PID != done.Killed[0] || len(f.Stack) == 0 {
		n.t.Errorf("failure: %+v", f)
	}
	if done.SuspendedUS < 1_000_000 {
		n.t.Errorf("suspended for %d µs", done.SuspendedUS)
	}
	n.is(`{Traffic.Tour.versions(:other, 2), Traffic.Tour.versions(:server, 1)}`, "{[1], [1]}")
	after := n.show(`{Process.whereis(:other_1), Process.whereis(:other_2), Process.whereis(:server_1)}`)
	stuck, others, _ := strings.Cut(before, ",")
	if restarted, rest, _ := strings.Cut(after, ","); restarted == stuck || rest != others {
		n.t.Errorf("processes before: %s, after: %s", before, after)
	}
	return done.SuspendedUS
}

func migrationCallsSuspended(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Other, :other, 1); Traffic.Tour.start(Traffic.Server, :server, 1)`)
	server := n.show(`Process.whereis(:server_1)`)
	done := n.run("calls", func(o *Order) { o.MigrationTimeout = time.Second })
	if done.State != RolledBackWithLosses || done.KilledTotal != 1 || done.FailuresTotal != 1 {
		n.t.Fatalf("%s, killed %v, %d failures", done.State, done.Killed, done.FailuresTotal)
	}
	if f := done.Failures[0]; f.Name != ":other_1" || !strings.HasSuffix(f.Exception, ": it calls "+server+" :server_1, which is suspended as well") {
		n.t.Errorf("failure: %+v", f)
	}
	n.is(`{Traffic.Tour.versions(:other, 1), Traffic.Tour.versions(:server, 1)}`, "{[1], [1]}")
}

// Migrations that get on, but not within the budget, keep their processes: they are waited for while all others run.
func slowMigrations(n traffic) {
	servers, ms := 50, 40
	if soak() {
		servers, ms = 200, 80
	}
	n.eval(fmt.Sprintf(`Traffic.Tour.start(Traffic.Server, :server, %d)
		spawn(fn ->
		  Process.register(self(), :slow)
		  loop = fn loop -> receive do {:asked, from} -> Process.sleep(%d); send(from, :answered); loop.(loop) end end
		  loop.(loop)
		end)`, servers, ms))
	pids := fmt.Sprintf(`Traffic.Tour.pids(:server, %d)`, servers)
	before := n.show(pids)
	n.within(time.Second, 1900*time.Millisecond, func() int64 {
		done := n.run("is slow", func(o *Order) { o.MaxSuspend = 500 * time.Millisecond })
		if done.State != RolledBack || done.KilledTotal != 0 || done.FailuresTotal == 0 || done.Failures[0].Reason != "too_slow" {
			n.t.Errorf("%s, killed %v, %v", done.State, done.Killed, done.Failures)
		}
		return done.SuspendedUS
	})
	n.is(pids, before)
	n.is(fmt.Sprintf(`Traffic.Tour.versions(:server, %d)`, servers), "[1]")
}

func skippedProcess(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Server, :server, 3)
		test = self()
		busy = fn -> send(test, :busy); receive(do: (:go -> :done)) end
		spawn(fn -> GenServer.call(:server_1, {:run, busy}, :infinity) end)
		receive do: (:busy -> :ok)`)
	before := n.show(`Traffic.Tour.pids(:server, 3)`)
	done := n.run("plain", func(o *Order) { o.SkipBusy, o.SuspendTimeout = true, 50*time.Millisecond })
	if done.State != Committed || done.Skipped != 1 || done.Migrated != 2 || done.FailuresTotal != 1 || done.Failures[0].Reason != "skipped" || done.Failures[0].Name != ":server_1" {
		n.t.Fatalf("%s, skipped %d, migrated %d: %v", done.State, done.Skipped, done.Migrated, done.Failures)
	}
	n.is(`for n <- 2..3, do: GenServer.call(:"server_#{n}", :state).v`, "[2, 2]")
	// As long as it runs the old code, that must not be purged.
	s, staged := n.order(n.orderOf("raises"))
	if !strings.Contains(strings.Join(names(staged.Findings), " "), "lingering:block") {
		n.t.Errorf("findings: %v", names(staged.Findings))
	}
	if armed := n.arm(s, staged); armed.State != Failed || armed.Error == nil || armed.Error.Name != "lingering" {
		n.t.Errorf("%s %v", armed.State, armed.Error)
	}
	n.end(s)
	n.eval(`send(:server_1, :go)`)
	n.is(`Traffic.Tour.versions(:server, 3)`, "[2]")
	n.is(`Traffic.Tour.pids(:server, 3)`, before)
}

// What was born in the new code has no old state to go back to: it is ended, not left with a state that the old code does not know.
func rollbackBirths(n traffic) {
	n.eval(`Traffic.Tour.start(Traffic.Server, :server, 7)
		Process.register(spawn(fn ->
		  loop = fn loop -> {:ok, _} = GenServer.start(Traffic.Orphan, 1); Process.sleep(5); loop.(loop) end
		  loop.(loop)
		end), :breeder)`)
	done := n.run("orphans go back", nil)
	if done.State != RolledBackWithLosses || done.KilledTotal == 0 {
		n.t.Errorf("%s, killed %d", done.State, done.KilledTotal)
	}
	n.eval(`Process.exit(Process.whereis(:breeder), :kill)`)
	n.is(`orphans = for pid <- Process.list(), {_, dictionary} <- [Process.info(pid, :dictionary)], match?({Traffic.Orphan, _, _}, dictionary[:"$initial_call"]), do: pid
		states = for pid <- orphans, do: GenServer.call(pid, :state)
		Enum.each(orphans, &Process.exit(&1, :kill))
		Enum.uniq(states)`, "[{1, 1}]")
}

func functionsOfOldCode(n traffic) {
	n.eval(`test = self()
		spawn(fn -> :ets.new(:functions, [:named_table, :public]); send(test, :made); Process.sleep(:infinity) end)
		receive do: (:made -> :ok)
		:ets.insert(:functions, {:made, Traffic.Functions.make()})
		:persistent_term.put(:function, Traffic.Functions.capture())`)
	works := `for f <- [:ets.lookup_element(:functions, :made, 2), :persistent_term.get(:function)] do
		  try do f.(0) rescue e -> e.__struct__ end
		end`
	if done := n.run("functions 2", nil); done.State != Committed {
		n.t.Fatalf("%s %v", done.State, done.Failures)
	}
	n.is(works, "[{1, 0}, {1, 0}]")
	s, staged := n.order(n.orderOf("functions 3"))
	if !strings.Contains(strings.Join(names(staged.Findings), " "), "lost_functions:") {
		n.t.Errorf("findings: %v", names(staged.Findings))
	}
	// An abort is one: nothing was purged.
	n.abort(s, n.arm(s, staged))
	n.awaitGone()
	n.is(works, "[{1, 0}, {1, 0}]")
	s, staged = n.order(n.orderOf("functions 3"))
	if armed := n.arm(s, staged); armed.State != Armed {
		n.t.Fatalf("%s %v", armed.State, armed.Error)
	}
	n.is(works, "[{1, 0}, {1, 0}]")
	if _, err := s.Commit(n.t.Context(), 0); err != nil {
		n.t.Fatal(err)
	}
	if done := n.await(s, Committed); done.State != Committed {
		n.t.Fatalf("%s %v", done.State, done.Failures)
	}
	n.end(s)
	n.is(works, "[BadFunctionError, BadFunctionError]")
	n.is("Traffic.Functions.make().(0)", "{3, 0}")
}

// Nothing waits for the last birth: an agent that did would never commit within its budget, which this one keeps to but for the margin that
// the computer may take after it has looked at the clock for the last time. A computer that is too busy for the budget goes back, and where the
// code server starves among the births no window is opened: then it is tried again.
func birthFlood(n traffic) {
	const budget, margin = 2 * time.Second, 3 * time.Second
	n.eval(`Traffic.Tour.start(Traffic.Other, :other, 1)`)
	s, done := n.amidBirths(budget)
	for tries := 1; tries < 10 && (done.State == Failed || done.State == RolledBack); tries++ {
		n.end(s)
		s, done = n.amidBirths(budget)
	}
	if done.State != Committed || time.Duration(done.SuspendedUS)*time.Microsecond > budget+margin {
		n.t.Errorf("%s, suspended for %d µs: %v %v", done.State, done.SuspendedUS, done.Error, done.Failures)
	}
	n.is(`Traffic.Tour.versions(:other, 1)`, "[2]")
	n.end(s)
}

// amidBirths upgrades while four processes start others without an end.
func (n traffic) amidBirths(budget time.Duration) (*Session, Status) {
	n.t.Helper()
	o := n.orderOf("orphans")
	o.MaxSuspend = budget
	s, staged := n.order(o)
	armed := n.arm(s, staged)
	n.eval(`for n <- 1..4 do
		  Process.register(spawn(fn ->
		    loop = fn loop ->
		      {:ok, pid} = GenServer.start(Traffic.Orphan, 1)
		      spawn(fn -> Process.sleep(100); Process.exit(pid, :kill) end)
		      loop.(loop)
		    end
		    loop.(loop)
		  end), :"breeder_#{n}")
		end`)
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	done := n.await(s, Committed)
	n.eval(`for n <- 1..4, do: Process.exit(Process.whereis(:"breeder_#{n}"), :kill)`)
	n.t.Logf("%s after %d ms: %v", done.State, done.SuspendedUS/1000, done.Phases)
	return s, done
}

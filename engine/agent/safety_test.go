package agent

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// soak reports whether tests run at their full length (make soak-agent), not as a short cut.
func soak() bool { return os.Getenv("FLYDEPLOY_SOAK") != "" }

// The agent is killed at ten points of every step of the window, spread over the time that the step takes. Where the kill
// arrives in another step, it counts for that one.
func TestAgentKilledAtEveryPointOfTheWindow(t *testing.T) {
	if !soak() {
		t.Skip("a soak: TestAgentKilledInTheWindow is its short cut")
	}
	t.Parallel()
	n := startNode(t, 1, "LEDGER_ACCOUNTS=5000")
	before := n.facts()
	s, done := n.upgrade(2)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.eval("{:ok, _} = Ledger.Setup.pulse()")
	took := map[string]time.Duration{}
	for _, p := range done.Phases {
		step := map[string]string{"suspension": "suspending", "code_load": "swapping", "migration": "migrating", "resume": "resuming"}[p.Name]
		took[step] = time.Duration(p.US) * time.Microsecond
	}
	const points = 10
	running, killed := 2, map[string]int{}
	for _, step := range []string{"suspending", "swapping", "migrating", "resuming"} {
		for i := 0; killed[step] < points; i++ {
			if i == 5*points {
				t.Fatalf("only %d kills arrived in %s", killed[step], step)
			}
			after := took[step] * time.Duration(i%points) / points
			running = n.upgradeKilled("agent", step, after, running, 3-running, anyEnd, before)
			n.checkFiles(running)
			killed[n.killedIn()]++
		}
	}
	t.Logf("kills: %v", killed)
}

// One of 10,000 migrations raises: states, versions, processes and files are as before, and the report names that one.
func TestOneFailureAmongThousands(t *testing.T) {
	if !soak() {
		t.Skip("a soak: TestFailedMigrationIsAsIfItHadNotHappened is its short cut")
	}
	t.Parallel()
	n := startNode(t, 1, "LEDGER_ACCOUNTS=10000")
	n.eval(`[{pid, _}] = Registry.lookup(Ledger.Names, 500)
		Process.register(pid, :odd)
		:sys.replace_state(pid, fn %{id: id, n: n} -> %{ident: id, n: n} end)`)
	before := n.facts()
	s, done := n.upgrade(2)
	if done.State != RolledBack || done.FailuresTotal != 1 || len(done.Killed) > 0 {
		t.Fatalf("%s, %d failures, killed %v", done.State, done.FailuresTotal, done.Killed)
	}
	f := done.Failures[0]
	if f.Name != ":odd" || f.Reason != "raised" || f.StateBefore != "%{ident: integer, n: integer}" ||
		!strings.HasPrefix(f.Exception, "** (FunctionClauseError)") || !strings.Contains(strings.Join(f.Stack, " "), "Ledger.Account.code_change/3") {
		t.Errorf("failure: %+v", f)
	}
	after := n.facts()
	same(t, before, after, everything...)
	are(t, after, settled)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.checkFiles(1)
}

// Nobody who calls an upgraded process may see a failed call, however often it is upgraded: callers in a tight loop go
// through 100 processes, from before the commit until after it. The soak has ten times as many callers, and upgrades to and fro.
func TestCallersSeeNoFailure(t *testing.T) {
	t.Parallel()
	callers, upgrades := 2, 1
	if soak() {
		callers, upgrades = 20, 20
	}
	n := startNode(t, 1)
	before := n.facts()
	for i := range upgrades {
		s, staged := n.stage(2 - i%2)
		armed := n.arm(s, staged)
		if i == 0 {
			n.call(callers)
		}
		if _, err := s.Commit(t.Context(), armed.Seq); err != nil {
			t.Fatal(err)
		}
		if done := n.await(s, Committed); done.State != Committed {
			t.Fatalf("upgrade %d: %s %v", i+1, done.State, done.Failures)
		}
		t.Logf("upgrade %d under %d callers", i+1, callers)
		if i == upgrades-1 {
			n.hangUp(callers)
		}
		if err := s.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.awaitGone()
		n.eval("{:ok, _} = Ledger.Setup.pulse()")
	}
	// Its modules follow slowly, and the more so the more processes there are.
	if soak() {
		if left := n.evalWithin(30*time.Minute, "IO.inspect(Ledger.Control.await_unloaded(1_200_000))"); left != "[]" {
			t.Errorf("the agent's modules are still there: %s", left)
		}
	}
	after := n.facts()
	same(t, before, after, "sum", "pids")
	are(t, after, map[string]string{"account": fmt.Sprint(1 + upgrades%2), "suspended": "0", "snapshots": "0"})
	for i, call := range []string{"Ledger.Account.add(1, 0)", "DynamicSupervisor.count_children(Ledger.Accounts)"} {
		n.suspendCallers(call, 2-(upgrades+i)%2)
	}
}

// suspendCallers upgrades while a process waits in call (Elixir), which is to one that is suspended, or to a supervisor that is held. It
// cannot suspend then: the second attempt takes the callers first.
func (n *node) suspendCallers(call string, to int) {
	n.t.Helper()
	s, staged := n.stage(to)
	armed := n.arm(s, staged)
	n.eval(`[{caller, _}] = Registry.lookup(Ledger.Names, 300)
		ask = fn s, {:in, _}, _ -> ` + call + `; Process.sleep(20); ` + call + `; s
		         s, _, _ -> s end
		:ok = :sys.install(caller, {ask, nil})
		loop = fn loop -> Ledger.Account.add(300, 0); loop.(loop) end
		Process.register(spawn(fn -> loop.(loop) end), :asker)`)
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatal(err)
	}
	if done := n.await(s, Committed); done.State != Committed || done.Error != nil || len(done.Failures) > 0 || done.Migrated < 300 {
		n.t.Fatalf("while a process calls %s: %s %v %v, migrated %d of %d", call, done.State, done.Error, done.Failures, done.Migrated, done.Suspended)
	}
	n.eval(`Process.exit(Process.whereis(:asker), :kill)
		[{caller, _}] = Registry.lookup(Ledger.Names, 300)
		:ok = :sys.no_debug(caller)`)
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	n.eval("{:ok, _} = Ledger.Setup.pulse()")
}

// call starts callers. Each makes more than 1,000 calls.
func (n *node) call(callers int) {
	n.t.Helper()
	n.eval(fmt.Sprintf(`
		callers = %d
		call = fn call, caller, calls, failed, longest ->
		  n = rem(calls * callers + caller, 100) + 1
		  receive do
		    {:stop, from} when calls > 1_000 -> send(from, {:calls, calls, failed, longest})
		  after
		    0 ->
		      {us, failure} = :timer.tc(fn -> try do Ledger.Account.add(n, 0); 0 catch _, _ -> 1 end end)
		      call.(call, caller, calls + 1, failed + failure, max(us, longest))
		  end
		end
		for n <- 1..callers, do: Process.register(spawn(fn -> call.(call, n, 0, 0, 0) end), :"caller_#{n}")`, callers))
}

// hangUp ends the callers; none of them may have seen a failure.
func (n *node) hangUp(callers int) {
	n.t.Helper()
	got := n.eval(fmt.Sprintf(`
		for n <- 1..%d//1, do: send(:"caller_#{n}", {:stop, self()})
		all = for _ <- 1..%[1]d//1, do: receive(do: ({:calls, calls, failed, longest} -> {calls, failed, longest}))
		IO.puts("#{length(all)} callers, #{Enum.sum(for {_, failed, _} <- all, do: failed)} failed")
		IO.puts(:stderr, "#{inspect(all)} calls, failed, longest in µs")`, callers))
	if want := fmt.Sprintf("%d callers, 0 failed", callers); got != want {
		n.t.Errorf("%s, want %s", got, want)
	}
}

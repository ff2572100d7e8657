package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// atStep makes a process in the VM that evaluates first (Elixir), and then as soon as the agent enters the step, by tracing it. Both
// know agent, and cell, the module; then also at, the agent's cell.
func (n *node) atStep(step, first, then string) {
	n.t.Helper()
	n.eval(fmt.Sprintf(`
		agent = Process.whereis(:flydeploy_agent)
		[cell] = for {m, _} <- :code.all_loaded(), "#{m}" =~ ~r/FlyDeployAgent_.*Cell$/, do: m
		test = self()
		{tracer, ref} = spawn_monitor(fn ->
		  Process.flag(:priority, :max)
		  %s
		  1 = :erlang.trace_pattern({cell, :enter, 2}, true, [:global])
		  1 = :erlang.trace(agent, true, [:call])
		  send(test, :tracing)
		  at = receive do {:trace, ^agent, :call, {_, :enter, [at, :%s]}} -> at end
		  _ = at
		  %s
		end)
		receive do
		  :tracing -> :ok
		  {:DOWN, ^ref, _, ^tracer, reason} -> exit(reason)
		end`, first, step, then))
}

// killAt kills victim (Elixir) some time after the agent entered the step. It leaves the step in which the agent then was, for
// killedIn.
func (n *node) killAt(step, victim string, after time.Duration) {
	n.t.Helper()
	n.atStep(step, `
		guardian = Enum.find(Process.list(), fn pid ->
		  match?({:current_function, {_, f, _}} when f in [:idle, :holding], Process.info(pid, :current_function)) end)
		true = is_pid(guardian)
		:persistent_term.put(:killed_in, nil)`,
		fmt.Sprintf(`
		until = :erlang.monotonic_time(:microsecond) + %d
		spin = fn spin -> if :erlang.monotonic_time(:microsecond) < until, do: spin.(spin) end
		spin.(spin)
		# Once the guardian has let go, the window is over, and nobody takes over from the agent.
		over? = cell.step(at) == :done and not match?({_, {_, :holding, _}}, Process.info(guardian, :current_function))
		:persistent_term.put(:killed_in, if(over?, do: :nothing, else: cell.step(at)))
		unless over?, do: Process.exit(%s, :kill)`, after.Microseconds(), victim))
}

func (n *node) killedIn() string {
	n.t.Helper()
	return n.eval(`IO.write(:persistent_term.get(:killed_in))`)
}

var anyEnd = []State{Failed, RolledBack, Committed}

// Whenever the agent dies inside the window, nothing stays suspended, and states and code are all old or all new. Here it dies as it
// enters each step; the soak has later points as well. Without its guardian the agent itself comes to one of these ends.
func TestAgentKilledInTheWindow(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1, "LEDGER_ACCOUNTS="+map[bool]string{false: "500", true: "2000"}[soak()])
	before := n.facts()
	running := 1
	for _, test := range []struct {
		victim, step string
		after        time.Duration
		// want are the states that this may end in. On a busy machine the kill may come later.
		want []State
	}{
		{"agent", "suspending", 0, anyEnd},
		{"agent", "suspending", time.Millisecond, anyEnd},
		{"agent", "swapping", 0, anyEnd},
		{"agent", "migrating", 0, []State{RolledBack, Committed}},
		{"agent", "migrating", 2 * time.Millisecond, []State{RolledBack, Committed}},
		{"agent", "rolling_back", 0, []State{RolledBack}},
		{"agent", "rolling_back", 3 * time.Millisecond, []State{RolledBack}},
		{"agent", "finishing", 0, []State{Committed}},
		{"agent", "resuming", 0, []State{Committed}},
		{"agent", "done", 0, []State{Committed}},
		{"guardian", "suspending", 0, anyEnd},
	} {
		if test.after > 0 && !soak() {
			continue
		}
		to := 3 - running
		if test.step == "rolling_back" {
			to = 3 // whose migration fails
		}
		running = n.upgradeKilled(test.victim, test.step, test.after, running, to, test.want, before)
	}
}

// upgradeKilled upgrades from the version running to another one, kills victim (Elixir) in it, checks what is left, and gives the
// version that runs then.
func (n *node) upgradeKilled(victim, step string, after time.Duration, running, to int, want []State, before map[string]string) int {
	n.t.Helper()
	name := fmt.Sprintf("%s+%v of the %s from %d to %d", step, after, victim, running, to)
	s, staged := n.stage(to)
	armed := n.arm(s, staged)
	if armed.State != Armed {
		n.t.Fatalf("%s: %s %v %v", name, armed.State, armed.Error, armed.Findings)
	}
	n.killAt(step, victim, after)
	if _, err := s.Commit(n.t.Context(), armed.Seq); err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
	done := n.await(s, Committed)
	n.t.Logf("%s, killed in %s: %s %v", name, n.killedIn(), done.State, done.Failures)
	if victim == "guardian" && done.State == Committed && (done.Error != nil || len(done.Failures) > 0) {
		n.t.Errorf("%s: %v %v", name, done.Error, done.Failures)
	}
	if done.State == Committed {
		running = to
		n.eval("{:ok, _} = Ledger.Setup.pulse()") // its old version would keep the next upgrade out
	}
	n.checkConsistent(name, done, want, before, running)
	if err := s.Finish(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	n.awaitGone()
	return running
}

func (n *node) checkConsistent(name string, done Status, want []State, before map[string]string, running int) {
	n.t.Helper()
	ok := slices.Contains(want, done.State)
	facts := n.facts()
	accounts := strings.Replace(before["accounts"], "[:id, :n]", map[int]string{1: "[:id, :n]", 2: "Ledger.Account"}[running], 1)
	if !ok || facts["account"] != fmt.Sprint(running) || facts["accounts"] != accounts ||
		facts["suspended"] != "0" || facts["snapshots"] != "0" || facts["sum"] != before["sum"] || facts["pids"] != before["pids"] {
		n.t.Errorf("%s ended %s (%v): %v", name, done.State, done.Failures, facts)
	}
}

// While the guardian puts in order what an agent left, no other upgrade begins.
func TestGuardianHasTheAgentsNameWhileItSettles(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	s, staged := n.stage(2)
	armed := n.arm(s, staged)
	// The agent dies in the window, and what is in the guardian's way then is the code server. A process that does not suspend keeps
	// the agent from swapping before.
	n.atStep("suspending", `
		Process.register(self(), :holder)
		:persistent_term.put(:killed, agent)
		[{busy, _}] = Registry.lookup(Ledger.Names, 7)
		:erlang.suspend_process(busy)`, `
		:erlang.suspend_process(Process.whereis(:code_server))
		Process.exit(agent, :kill)
		receive do :go -> :ok end`)
	if _, err := s.Commit(t.Context(), armed.Seq); err != nil {
		t.Fatal(err)
	}
	other := orderOf(t, tarballOf(t, 2).bytes)
	other.ID = NewID("01OTHER")
	n.eval(`ref = Process.monitor(:persistent_term.get(:killed))
		receive do {:DOWN, ^ref, _, _, _} -> :ok end`)
	_, err := Inject(t.Context(), n.exec, n.vm, other)
	if _, busy := errors.AsType[*BusyError](err); !busy {
		t.Errorf("a second upgrade: %v", err)
	}
	n.eval("send(:holder, :go)")
	if done := n.await(s, Failed); done.State != Failed {
		t.Errorf("%s %v", done.State, done.Failures)
	}
	are(t, n.facts(), settled)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A code server that hangs would keep everything suspended: it is asked before.
func TestCodeServerThatHangsIsTold(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	before := n.facts()
	s, staged := n.stage(2)
	armed := n.arm(s, staged)
	n.eval(`test = self()
		holder = spawn(fn ->
		  :erlang.suspend_process(Process.whereis(:code_server))
		  send(test, :held)
		  receive do :go -> :ok end
		end)
		Process.register(holder, :holder)
		receive do :held -> :ok end`)
	if _, err := s.Commit(t.Context(), armed.Seq); err != nil {
		t.Fatal(err)
	}
	done := n.await(s, Failed)
	if done.State != Failed || done.Error == nil || done.Error.Name != "code_server_busy" {
		t.Errorf("%s %v", done.State, done.Error)
	}
	n.eval("send(:holder, :go)")
	same(t, before, n.facts(), everything...)
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// makeBusy gives an account a name, and keeps it busy until that gets :go.
func (n *node) makeBusy(account int, name string) {
	n.t.Helper()
	n.eval(fmt.Sprintf(`[{pid, _}] = Registry.lookup(Ledger.Names, %d)
		Process.register(pid, %s)
		test = self()
		spawn(fn -> :sys.replace_state(pid, fn s -> send(test, :busy); receive do :go -> s end end, :infinity) end)
		receive do: (:busy -> :ok)`, account, name))
}

// A busy process is given three chances and then named; nothing has changed, and it never stays suspended.
func TestBusyProcessIsNamed(t *testing.T) {
	t.Parallel()
	n := borrowNode(t)
	before := n.facts()
	n.makeBusy(7, ":seven")
	s, done := n.upgrade(2)
	if done.State != Failed || len(done.Failures) != 1 {
		t.Fatalf("%s %v", done.State, done.Failures)
	}
	if f := done.Failures[0]; f.Reason != "busy" || f.Name != ":seven" || f.Module != "Ledger.Account" || len(f.Stack) == 0 {
		t.Errorf("failure: %+v", f)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.eval(`send(:seven, :go); :sys.get_state(:seven); Process.unregister(:seven)`)
	after := n.facts()
	same(t, before, after, everything...)
	are(t, after, map[string]string{"suspended": "0"})
}

// A process that is busy from its resume until the agent has gone does not keep its old state for ever.
func TestBusyProcessForgetsItsOldState(t *testing.T) {
	t.Parallel()
	n := startNode(t, 1)
	s, staged := n.stage(2)
	n.atStep("done", `
		Process.register(self(), :holder)
		[{pid, _}] = Registry.lookup(Ledger.Names, 7)`, `
		:erlang.suspend_process(pid)
		receive do :go -> :ok end`)
	checkCommit(t, n.commit(s, staged))
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.awaitGone()
	n.eval("send(:holder, :go)") // what it has suspended runs on as it ends
	are(t, n.facts(), settled)
}

Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.CommitTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{
    Births,
    Cell,
    Commit,
    Guardian,
    Origin,
    Processes,
    Snapshot,
    Stack,
    Suspension,
    Window,
    Windows
  }

  setup_all do: Windows.load_all()

  # Swapping code is tested on real nodes; here nothing is swapped, and code_change does what its process' state says.
  defmodule Server do
    use GenServer
    @vsn "7"
    def init(state), do: {:ok, state}
    def handle_call(:get, _from, s), do: {:reply, s, s}
    def code_change("7", {:ok, n}, []), do: {:ok, {:ok, n + 1}}
    def code_change("7", {:wait, test}, []), do: {:ok, tap(test, &wait/1)}
    def code_change("7", {:compute, done}, []), do: {:ok, tap({:ok, 0}, fn _ -> compute(done) end)}
    def code_change("7", {:call, pid}, []), do: {:ok, GenServer.call(pid, :get)}
    def code_change("7", {:raise, _}, []), do: raise("cannot")
    def code_change("7", {:exit, secret}, []), do: exit(secret)
    def code_change("7", {:throw, secret}, []), do: throw(secret)
    def code_change("7", {:error, _}, []), do: {:error, :no}
    def code_change("7", {:die, _}, []), do: Process.exit(self(), :kill) && Process.sleep(:infinity)

    defp compute(done), do: if(:atomics.get(done, 1) == 0, do: compute(done), else: :ok)

    defp wait(test) do
      send(test, {:migrating, self()})
      receive do: (:go -> :ok)
    end
  end

  defmodule Handler do
    @behaviour :gen_event
    def init(state), do: {:ok, state}
    def handle_event(_, s), do: {:ok, s}
    def handle_call(:get, s), do: {:ok, s, s}
    def code_change(_, {:raise, _}, _), do: raise("cannot")
    def code_change(_, {:ok, n}, _), do: {:ok, {:ok, n + 1}}
  end

  @changed %{
    Server => %{code_change: [3], behaviours: [], vsn: "7"},
    Handler => %{code_change: [3], behaviours: [], vsn: "7"}
  }

  defp servers(states) do
    pids = for state <- states, do: GenServer.start(Server, state) |> elem(1)
    # Every purge of a module, in whichever test, would ask them.
    on_exit(fn -> for pid <- pids, do: Process.exit(pid, :kill) end)
    pids
  end

  defp states(pids), do: Enum.map(pids, &GenServer.call(&1, :get))

  defp run(pids, extra \\ %{}) do
    window = window(pids, Map.delete(extra, :carry))
    {Windows.run(window, extra[:carry]), window}
  end

  defp window(pids, extra) do
    {targets, []} = Processes.scan(pids, @changed, [])
    Windows.new(Map.merge(%{targets: targets, changed: @changed}, extra))
  end

  defp snapshots(pids) do
    for pid <- pids,
        {_, dictionary} <- [Process.info(pid, :dictionary)],
        {key, {:state, _}} <- dictionary,
        do: key
  end

  test "migrates all, and leaves nothing behind" do
    pids = servers(for n <- 1..1_500, do: {:ok, n})
    assert {%{outcome: :committed, migrated: 1_500, died: [], failures: []}, window} = run(pids)
    assert states(pids) == for(n <- 1..1_500, do: {:ok, n + 1})
    assert snapshots(pids) == []
    assert Cell.step(window.cell) == :done
  end

  for {kind, reason} <- [raise: "raised", exit: "exited", throw: "bad_return", error: "bad_return"] do
    test "one that ends with #{kind} takes all back" do
      pids = servers([{:ok, 1}, {unquote(kind), "s3cret"}, {:ok, 2}])
      assert {%{outcome: :rolled_back, migrated: 0, killed: [], failures: [failure]}, _} = run(pids)
      assert failure.reason == unquote(reason)
      assert failure.pid == Enum.at(pids, 1)
      assert failure.state_before == "{atom, string}"
      refute inspect(failure) =~ "s3cret"
      assert states(pids) == [{:ok, 1}, {unquote(kind), "s3cret"}, {:ok, 2}]
      assert snapshots(pids) == []
    end
  end

  test "a process that ends inside of its code_change is no failure of the others" do
    [dying | living] = servers([{:die, 1}, {:ok, 1}, {:ok, 2}])
    assert {%{outcome: :committed, migrated: 2, died: [^dying]}, _} = run([dying | living])
    refute Process.alive?(dying)
    assert states(living) == [{:ok, 2}, {:ok, 3}]
  end

  test "every handler of a gen_event has its own state back" do
    {:ok, events} = :gen_event.start()

    for {id, state} <- [{1, {:ok, 1}}, {2, {:raise, 2}}, {3, {:ok, 3}}],
        do: :gen_event.add_handler(events, {Handler, id}, state)

    [server] = servers([{:ok, 1}])
    assert {%{outcome: :rolled_back}, _} = run([events, server])

    assert for(id <- 1..3, do: :gen_event.call(events, {Handler, id}, :get)) == [
             {:ok, 1},
             {:raise, 2},
             {:ok, 3}
           ]

    assert states([server]) == [{:ok, 1}]
    assert snapshots([events]) == []
  end

  test "a process of a changed module that is born meanwhile is migrated too" do
    [first] = servers([{:ok, 1}])
    known = Births.known(Process.list())
    [second] = servers([{:ok, 2}])
    test = self()

    guardian =
      spawn_link(fn ->
        held =
          receive do
            {:hold, agent, ref, window, _, _} ->
              send(agent, {ref, :held})
              window.targets
          end

        receive do: ({:born, targets} -> send(test, {:heard, Enum.map(targets ++ held, & &1.pid)}))
        receive do: ({:swap, agent, ref} -> send(agent, {ref, :ok}))
      end)

    assert {%{outcome: :committed, migrated: 2}, _} = run([first], %{known: known, guardian: guardian})
    assert states([first, second]) == [{:ok, 2}, {:ok, 3}]
    # It heard of it before anything was swapped.
    assert_received {:heard, [^second, ^first]}
  end

  test "whoever had not run yet when it was looked at is looked at again" do
    window = window([], %{known: Births.list()})
    late = not_run({:ok, 5})
    assert Origin.unrecorded?(late) and Origin.dictionary(late, :"$ancestors") == nil
    [born] = servers([{:ok, 1}])
    window = Suspension.include_born_in_the_swap(window)
    assert born in Enum.map(window.born, & &1.pid)
    refute late in Enum.map(window.born, & &1.pid)

    :erlang.resume_process(late)
    assert states([late]) == [{:ok, 5}]
    assert late in Enum.map(Suspension.include_born_in_the_swap(window).born, & &1.pid)
  end

  # Suspended by the VM before it gets to run.
  defp not_run(state) do
    pid = :proc_lib.spawn(:gen, :init_it, [:gen_server, self(), self(), Server, state, []])
    :erlang.suspend_process(pid)
    # Most often it has run by then.
    if Process.info(pid, :dictionary) == {:dictionary, []}, do: pid, else: not_run(state)
  end

  test "one that is born during the swap is told the version in which it was born" do
    name = __MODULE__.Newborn

    [old, new] =
      for vsn <- ["1", "2"] do
        [{^name, beam}] =
          Code.compile_string("""
          defmodule #{inspect(name)} do
            use GenServer
            @vsn #{inspect(vsn)}
            def init(_), do: {:ok, [#{vsn}]}
            def code_change("1", s, _), do: {:ok, [2 | s]}
          end
          """)

        :code.delete(name)
        :code.purge(name)
        beam
      end

    {:module, ^name} = :code.load_binary(name, ~c"old", old)
    test = self()

    guardian =
      spawn_link(fn ->
        receive do: ({:hold, agent, ref, _, _, _} -> send(agent, {ref, :held}))

        receive do
          {:swap, agent, ref} ->
            {:ok, pid} = GenServer.start(name, nil)
            send(test, {:born, pid})
            {:module, ^name} = :code.load_binary(name, ~c"new", new)
            send(agent, {ref, :ok})
        end
      end)

    changed = %{name => %{code_change: [3], behaviours: [], vsn: "1"}}
    assert {%{outcome: :committed, migrated: 1}, _} = run([], %{changed: changed, guardian: guardian})
    assert_received {:born, pid}
    assert :sys.get_state(pid) == [2, 1]
  end

  test "supervisors wait until all is done, and a busy one does not keep the others from it" do
    [sup, busy] = for id <- 1..2, do: start_supervised!({DynamicSupervisor, strategy: :one_for_one}, id: id)
    test = self()

    child = fn fun -> %{id: make_ref(), start: {Task, :start_link, [fun]}, restart: :temporary} end
    blocked = %{id: 1, start: {__MODULE__, :born_slowly, [test]}, restart: :temporary}
    spawn_link(fn -> DynamicSupervisor.start_child(busy, blocked) end)
    assert_receive {:in_birth, ^busy}, 5_000

    pids = servers([{:wait, test}])

    spawn_link(fn ->
      send(
        test,
        {:ended,
         run(pids, %{
           supervisors: [sup, busy],
           suspend_ms: 5_000,
           migration_ms: 30_000,
           max_suspend_ms: 60_000
         })}
      )
    end)

    assert_receive {:migrating, server}, 5_000
    spawn_link(fn -> send(test, {:born, DynamicSupervisor.start_child(sup, child.(fn -> :ok end))}) end)
    assert suspended?(sup)
    refute_received {:born, _}

    send(server, :go)
    assert_receive {:ended, {%{outcome: :committed}, _}}, 5_000
    assert_receive {:born, {:ok, _}}, 5_000
    send(busy, :go)
    assert DynamicSupervisor.count_children(busy).active == 0
  end

  defp suspended?(pid), do: Stack.suspended?(pid)

  def born_slowly(test) do
    send(test, {:in_birth, self()})
    receive do: (:go -> :ignore)
  end

  test "a busy process is named, nothing has changed, and it is not suspended when it comes back" do
    [busy, idle] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()

    occupy(busy, test)
    {targets, []} = Processes.scan([idle], @changed, [])
    busy_target = %{hd(targets) | pid: busy}

    assert {%{outcome: :failed, failures: [%{reason: "busy", pid: ^busy}]}, _} =
             run([], %{targets: [busy_target | targets]})

    assert states([idle]) == [{:ok, 2}]
    send(busy, :go)
    assert states(pids) == [{:ok, 1}, {:ok, 2}]
    assert snapshots(pids) == []
  end

  # No message reaches a process in a dirty NIF, and nobody can end it.
  @tag :soak
  test "a process inside a dirty NIF is named, and not suspended when it comes back" do
    [busy, idle] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()

    spawn_link(fn ->
      in_nif = fn s ->
        send(test, :busy)
        :erts_debug.dirty_cpu(:wait, 10_000)
        s
      end

      :sys.replace_state(busy, in_nif, :infinity)
    end)

    assert_receive :busy
    {targets, []} = Processes.scan([idle], @changed, [])
    busy_target = %{hd(targets) | pid: busy}

    assert {%{outcome: :failed, failures: [%{reason: "busy", pid: ^busy}]}, _} =
             run([], %{targets: [busy_target | targets]})

    assert states([idle]) == [{:ok, 2}]
    assert GenServer.call(busy, :get, :infinity) == {:ok, 1}
    refute suspended?(busy)
    assert snapshots(pids) == []
  end

  test "a migration that hangs is ended once the old code is back, and named by what it was called" do
    test = self()
    [hangs, other] = servers([{:wait, test}, {:ok, 1}])
    Process.register(hangs, :hangs)
    ref = Process.monitor(hangs)

    assert {%{outcome: :rolled_back_with_losses, killed: [^hangs], failures: [failure]}, _} =
             run([hangs, other], %{migration_ms: 100})

    assert %{pid: ^hangs, name: ":hangs", reason: "timeout", exception: text} = failure
    assert text == "code_change did not return within 100 ms"
    assert_receive {:DOWN, ^ref, _, _, :killed}
    assert states([other]) == [{:ok, 1}]
  end

  test "however many hang, or are busy, all are counted" do
    pids = servers(for _ <- 1..120, do: {:wait, self()})
    window = window(pids, %{})
    told = Suspension.busy(window.targets, window)
    assert Enum.map(told, & &1.pid) == Window.pids(window.targets)
    assert Enum.count(told, &(&1.stack != [])) == 100

    assert {%{outcome: :rolled_back_with_losses, killed: killed, failures: failures}, _} =
             run(pids, %{migration_ms: 100})

    assert Enum.sort(killed) == Enum.sort(pids)
    assert Enum.sort(Enum.map(failures, & &1.pid)) == Enum.sort(pids)

    assert [{{"timeout", "code_change did not return within 100 ms"}, 120}] =
             failures |> Enum.frequencies_by(&{&1.reason, &1.exception}) |> Map.to_list()

    assert Enum.count(failures, &(&1.stack != [])) == 100
  end

  test "a migration that calls a suspended process is told so" do
    test = self()
    [called, caller] = servers([{:ok, 1}, {:ok, 1}])
    :sys.replace_state(caller, fn _ -> {:call, called} end)
    assert {%{failures: [%{exception: text}]}, _} = run([called, caller], %{migration_ms: 100})
    assert text =~ "it calls #{inspect(called)} "
    refute_received _
    assert test == self()
  end

  test "migrations that are slower than the budget are taken back, and waited for while all others run" do
    {test, cell} = {self(), Cell.new()}
    [slow, other] = servers([{:wait, test}, {:ok, 1}])
    extra = %{max_suspend_ms: 100, cell: cell}
    window = spawn_link(fn -> send(test, {:ended, run([slow, other], extra)}) end)

    assert_receive {:migrating, ^slow}, 5_000
    wait_until(fn -> not suspended?(other) end)
    # What is told of the suspension ends with the last resume, not with the last answer.
    wait_until(fn -> Cell.longest_us(cell) > 0 end)
    {felt, done} = {Cell.longest_us(cell), Cell.at(cell, :done)}
    assert Process.alive?(window)
    send(slow, :go)
    assert_receive {:ended, {%{outcome: :rolled_back, killed: [], failures: [failure]}, _}}, 5_000
    assert %{reason: "too_slow", pid: ^slow, exception: text} = failure
    assert text =~ "the 100 ms for suspending were over"
    assert states([slow, other]) == [{:wait, test}, {:ok, 1}]
    assert felt >= 100_000
    assert {Cell.longest_us(cell), Cell.at(cell, :done)} == {felt, done}
    assert Cell.spent_us(cell) == felt
  end

  test "migrations that compute for longer than any may be silent are waited for" do
    done = :atomics.new(1, [])
    pids = servers([{:compute, done}, {:compute, done}, {:ok, 1}])
    spawn_link(fn -> Process.sleep(300) && :atomics.put(done, 1, 1) end)
    assert {%{outcome: :committed, migrated: 3}, _} = run(pids, %{migration_ms: 50})
    assert states(pids) == [{:ok, 0}, {:ok, 0}, {:ok, 2}]
  end

  test "migrations that compute beyond the budget keep their processes" do
    {done, cell} = {:atomics.new(1, []), Cell.new()}
    pids = servers([{:compute, done}, {:compute, done}, {:ok, 1}])
    before = states(pids)
    done_after(cell, done)

    assert {%{outcome: :rolled_back, killed: [], failures: failures}, _} =
             run(pids, %{migration_ms: 50, max_suspend_ms: 500, cell: cell})

    assert Enum.map(failures, & &1.reason) == ["too_slow", "too_slow"]
    assert states(pids) == before
  end

  test "one that turns out to hang among those that are late is ended when they are done" do
    {done, cell} = {:atomics.new(1, []), Cell.new()}
    [hangs, late] = servers([{:wait, self()}, {:compute, done}])
    done_after(cell, done)

    assert {%{outcome: :rolled_back_with_losses, killed: [^hangs]}, _} =
             run([hangs, late], %{migration_ms: 100, max_suspend_ms: 500, cell: cell})

    assert states([late]) == [{:compute, done}]
  end

  # What computes goes on until everything has been resumed, and none has answered for some time.
  defp done_after(cell, done) do
    spawn_link(fn ->
      wait_until(fn -> Cell.step(cell) == :done end)
      Process.sleep(200)
      :atomics.put(done, 1, 1)
    end)
  end

  defp wait_until(fun) do
    unless fun.() do
      Process.sleep(1)
      wait_until(fun)
    end
  end

  test "a migration that hangs is ended by the guardian as well" do
    [hangs, other] = servers([{:wait, self()}, {:ok, 1}])
    test = self()

    agent =
      spawn(fn ->
        guardian = Guardian.start(self(), fn test, settle -> send(test, {:settled, settle.()}) end)
        run([hangs, other], %{guardian: guardian, carry: test})
      end)

    assert_receive {:migrating, ^hangs}, 5_000
    Process.exit(agent, :kill)
    assert_receive {:settled, %{outcome: :rolled_back_with_losses, killed: [^hangs]}}, 20_000
    assert states([other]) == [{:ok, 1}]
  end

  test "what is told of the suspension ends with the last resume that is sent, whoever has answered" do
    [pid] = servers([{:ok, 1}])
    window = window([pid], %{})
    :sys.suspend(pid)
    Cell.open(window.cell)
    :erlang.suspend_process(pid)
    round = Suspension.resume(window)
    felt = Cell.longest_us(window.cell)
    assert felt > 0 and Cell.spent_us(window.cell) == felt
    assert Cell.at(window.cell, :done) == Cell.at(window.cell, :suspending) + felt
    :erlang.resume_process(pid)
    assert %{ok: 1, missing: []} = Suspension.await_resumed(round)
    assert Cell.longest_us(window.cell) == felt
  end

  test "a guardian ends an agent that takes too long, and its window" do
    [waits, other] = servers([{:wait, self()}, {:ok, 1}])
    {agent, guardian} = guarded([waits, other], %{migration_ms: 60_000, max_suspend_ms: 60_000})
    assert_receive {:migrating, ^waits}, 5_000
    ref = Process.monitor(agent)
    send(guardian, :late)
    assert_receive {:DOWN, ^ref, _, _, :killed}, 5_000
    wait_until(fn -> not suspended?(other) end)
    send(waits, :go)
    assert_receive {:settled, %{outcome: :rolled_back, killed: []}}, 20_000
    assert states([waits, other]) == [{:wait, self()}, {:ok, 1}]
  end

  test "one that waits for slow migrations, while all others run, may take longer" do
    [slow, other] = servers([{:wait, self()}, {:ok, 1}])
    {_agent, guardian} = guarded([slow, other], %{migration_ms: 60_000, max_suspend_ms: 100})
    assert_receive {:migrating, ^slow}, 5_000
    wait_until(fn -> not suspended?(other) end)
    send(guardian, :late)
    # It has read that, and goes on holding the window.
    wait_until(fn -> queued(guardian) == 0 end)
    send(slow, :go)
    assert_receive {:ended, {%{outcome: :rolled_back, killed: []}, _}}, 20_000
    refute_received {:settled, _}
  end

  # A window whose agent has a guardian that takes over: which of them ends it tells the test.
  defp guarded(pids, extra) do
    test = self()

    agent =
      spawn(fn ->
        guardian = Guardian.start(self(), fn test, settle -> send(test, {:settled, settle.()}) end)
        send(test, {:guardian, guardian})
        send(test, {:ended, run(pids, Map.merge(extra, %{guardian: guardian, carry: test}))})
      end)

    assert_receive {:guardian, guardian}, 5_000
    {agent, guardian}
  end

  test "a successor of the agent asks nobody for a second migration" do
    for {asked, migrated} <- [none: [2, 2], born: [1, 2], skipped: [1, 1]] do
      [born, skipped] = pids = servers([{:ok, 1}, {:ok, 1}])
      window = window([born], %{})
      skipping = window([skipped], %{})
      Enum.each(pids, &:sys.suspend/1)
      Cell.enter(window.cell, :finishing)
      if asked != :none, do: Cell.asked(window.cell, asked)

      assert %{outcome: :committed} =
               Commit.settle(%{window | born: window.targets, skipped: skipping.targets})

      assert states(pids) == for(n <- migrated, do: {:ok, n})
    end
  end

  test "a busy process is waited for longer when nothing else is suspended" do
    [busy, idle] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()
    occupy(busy, test)
    spawn_link(fn -> send(test, {:ended, run(pids, %{suspend_ms: 10, patient_ms: 60_000})}) end)
    # It has been given up once, and is waited for again.
    wait_until(fn -> queued(busy) >= 4 end)
    refute suspended?(idle)
    send(busy, :go)
    assert_receive {:ended, {%{outcome: :committed, migrated: 2}, %{cell: cell}}}, 5_000
    assert states(pids) == [{:ok, 2}, {:ok, 3}]
    assert Cell.longest_us(cell) < 5_000_000
  end

  test "with skip_busy the others are upgraded, and a busy one migrates when it comes to it" do
    [busy, idle] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()
    occupy(busy, test)
    # The new code has nothing to do with it.
    spawn_link(fn -> :sys.get_state(busy, :infinity) end)
    wait_until(fn -> queued(busy) == 1 end)

    assert {%{outcome: :committed, migrated: 1, skipped: [%{pid: ^busy}], failures: [failure]}, _} =
             run(pids, %{suspend_ms: 50, patient_ms: 200, skip_busy: true})

    assert %{pid: ^busy, reason: "skipped", module: Server} = failure
    assert states([idle]) == [{:ok, 3}]
    send(busy, :go)
    assert states([busy]) == [{:ok, 2}]
    assert snapshots(pids) == []
    assert_received {{:skipped, ^busy, Server}, :ok}
  end

  test "what waits in front of a busy process keeps it from being left out, what comes later does not" do
    [busy, idle] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()
    occupy(busy, test)
    asked = Task.async(fn -> GenServer.call(busy, :get, :infinity) end)
    wait_until(fn -> queued(busy) == 1 end)

    assert {%{outcome: :failed, failures: [%{pid: ^busy, reason: "busy", exception: text}]}, _} =
             run(pids, %{suspend_ms: 50, patient_ms: 200, skip_busy: true})

    assert text =~ "did not suspend within 50 ms, and cannot be left out: "
    send(busy, :go)
    assert Task.await(asked) == {:ok, 1}
    assert states(pids) == [{:ok, 1}, {:ok, 2}]

    # On a busy computer the look at its mailbox can take longer than it may, and then it is not left out.
    left_out? = fn ->
      occupy(busy, test)

      # The idle one, too, must have the time to suspend: of those that had not, the first answer starts the clock for all.
      window = Task.async(fn -> run(pids, %{suspend_ms: 2_000, patient_ms: 300, skip_busy: true}) end)
      # The last suspend is there.
      wait_until(fn -> queued(busy) >= 8 end)
      asked = Task.async(fn -> GenServer.call(busy, :get, :infinity) end)
      {%{outcome: outcome}, _} = Task.await(window, :infinity)
      assert states([idle]) == [{:ok, if(outcome == :committed, do: 3, else: 2)}]
      send(busy, :go)
      assert Task.await(asked) == {:ok, if(outcome == :committed, do: 2, else: 1)}
      outcome == :committed
    end

    assert Enum.any?(1..10, fn _ -> left_out?.() end)
  end

  test "one whose next step is not in its mailbox is not left out" do
    defmodule Continues do
      use GenServer
      @vsn "7"
      def init(s), do: {:ok, s}
      def handle_continue(_, s), do: {:noreply, s}
    end

    {:ok, busy} = GenServer.start(Continues, 1)
    occupy(busy, self())
    changed = %{Continues => %{code_change: [3], behaviours: [], vsn: "7"}}
    {targets, []} = Processes.scan([busy], changed, [])
    window = %{suspend_ms: 50, patient_ms: 200, skip_busy: true, targets: targets, changed: changed}
    assert {%{outcome: :failed, failures: [%{pid: ^busy}]}, _} = run([], window)
    send(busy, :go)
  end

  test "a migration of one that was left out is told where it fails" do
    [busy] = servers([{:raise, 1}])
    occupy(busy, self())
    assert {%{outcome: :committed}, _} = run([busy], %{suspend_ms: 50, patient_ms: 200, skip_busy: true})
    send(busy, :go)
    assert_receive {{:skipped, ^busy, Server}, answer}, 5_000

    assert %{pid: ^busy, reason: "raised", exception: "** (RuntimeError) cannot (--skip-busy" <> _} =
             FlyDeployAgent.MigrationFailures.skipped(busy, Server, answer)
  end

  test "one that was skipped has its state after a rollback" do
    [busy, fails] = pids = servers([{:ok, 1}, {:raise, 2}])
    test = self()
    occupy(busy, test)
    assert {%{outcome: :rolled_back}, _} = run(pids, %{suspend_ms: 50, patient_ms: 200, skip_busy: true})
    send(busy, :go)
    assert states([busy, fails]) == [{:ok, 1}, {:raise, 2}]
    assert snapshots(pids) == []
  end

  test "one that was skipped leaves nothing behind where another one keeps all from it" do
    [busy, later] = pids = servers([{:ok, 1}, {:ok, 2}])
    test = self()
    occupy(busy, test)
    window = window(pids, %{suspend_ms: 50, patient_ms: 200, skip_busy: true})
    :ok = Guardian.hold(window, nil, 60_000)
    pauses = :counters.new(1, [])

    # Before the last attempt it becomes busy with what keeps it from being left out.
    pause = fn ->
      :counters.add(pauses, 1, 1)

      if :counters.get(pauses, 1) == 2 do
        occupy(later, test)
        spawn_link(fn -> GenServer.call(later, :get, :infinity) end)
        wait_until(fn -> queued(later) == 1 end)
      end
    end

    assert %{outcome: :failed, failures: [%{pid: ^later}]} = result = Commit.run(window, pause)
    Snapshot.forget(result.targets ++ result.skipped, window.dead)
    for pid <- pids, do: send(pid, :go)
    assert states(pids) == [{:ok, 1}, {:ok, 2}]
    assert snapshots(pids) == []
  end

  # Until it is sent :go.
  defp occupy(pid, test) do
    spawn_link(fn ->
      wait = fn s ->
        send(test, :busy)
        receive do: (:go -> s)
      end

      :sys.replace_state(pid, wait, :infinity)
    end)

    assert_receive :busy, 5_000
  end

  defp queued(pid), do: pid |> Process.info(:message_queue_len) |> elem(1)

  test "without a guardian nothing is swapped" do
    guardian = spawn(fn -> :ok end)
    ref = Process.monitor(guardian)
    assert_receive {:DOWN, ^ref, _, _, _}
    pids = servers([{:ok, 1}])
    assert {%{outcome: :failed, failures: [%{reason: "guardian_died"}]}, _} = run(pids, %{guardian: guardian})
    assert states(pids) == [{:ok, 1}]
  end
end

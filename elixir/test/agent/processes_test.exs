defmodule FlyDeployAgent.ProcessesTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Beam, Births, OldCode, Origin, Processes, Stack}

  defmodule Server do
    use GenServer
    def start_link(arg), do: GenServer.start_link(__MODULE__, arg)
    def init({:slow, test}), do: {:ok, receive(do: (:go -> test))}

    def init({:view, test}),
      do: {:ok, tap(test, fn _ -> Process.put(:"$initial_call", {__MODULE__, :mount, 3}) end)}

    def init({:labelled, label}), do: {:ok, tap(nil, fn _ -> Process.put(:"$initial_call", label) end)}
    def init(test), do: {:ok, test}
    def handle_call(:hibernate, _from, s), do: {:reply, :ok, s, :hibernate}
    def handle_call(:deep, _from, s), do: {:reply, deep(20, s), s}
    def handle_call({:call, fun}, _from, s), do: {:reply, fun.(), s}
    # Deeper than current_stacktrace shows: no tail calls, and equal frames in a row would count once.
    defp deep(0, test), do: tap(0, fn _ -> wait(test) end)
    defp deep(n, test), do: 1 + deeper(n - 1, test)
    defp deeper(n, test), do: 1 + deep(n - 1, test)

    defp wait(test) do
      send(test, :deep)
      receive do: (:go -> :ok)
    end

    def code_change(_, s, _), do: {:ok, s}
  end

  defmodule Statem do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init({:labelled, label}), do: {:ok, :idle, tap(nil, fn _ -> Process.put(:"$initial_call", label) end)}
    def init(_), do: {:ok, :idle, nil}
    def handle_event(_, _, _, _), do: :keep_state_and_data
    def code_change(_, s, d, _), do: {:ok, s, d}
  end

  defmodule Plain do
    # Declares nothing.
    def init(test), do: {:ok, test}
    def handle_call(:hibernate, _from, s), do: {:reply, :ok, s, :hibernate}
    def handle_cast(_, s), do: {:noreply, s}
    def handle_info(_, s), do: {:noreply, s}
  end

  defmodule Handler do
    @behaviour :gen_event
    def init(_), do: {:ok, nil}
    def handle_event(_, s), do: {:ok, s}
    def handle_call(_, s), do: {:ok, nil, s}
    def code_change(_, s, _), do: {:ok, s}
  end

  defmodule Sup do
    use Supervisor
    def init(_), do: Supervisor.init([], strategy: :one_for_one)
  end

  defmodule Special do
    def init(parent) do
      :proc_lib.init_ack(parent, {:ok, self()})
      loop(parent)
    end

    defp loop(parent) do
      receive do
        {:system, from, request} -> :sys.handle_system_msg(request, from, parent, __MODULE__, [], nil)
      end
    end

    def system_continue(parent, _, _), do: loop(parent)
    def system_terminate(reason, _, _, _), do: exit(reason)
    def system_code_change(misc, _, _, _), do: {:ok, misc}
  end

  defmodule SlowNames do
    def whereis_name(_), do: :undefined
    def unregister_name(_), do: :ok

    def register_name(test, pid) do
      send(test, {:registering, pid})
      receive do: (:go -> :yes)
    end
  end

  @changed Map.new(
             [
               {Server, [3]},
               {Plain, [3]},
               {Statem, [4]},
               {Handler, [3]},
               {Sup, []},
               {Special, []},
               {__MODULE__, []}
             ],
             fn {module, arities} ->
               behaviours = if module == Handler, do: [:gen_event], else: []
               {module, %{code_change: arities, behaviours: behaviours, vsn: 7}}
             end
           )

  defp scan(pid), do: Processes.scan([pid], @changed, [])
  defp kind({[%{kind: kind, units: units}], []}), do: {kind, Enum.map(units, &elem(&1, 0))}
  defp kind({[], [%{kind: kind}]}), do: kind
  defp kind({[], []}), do: nil

  test "a GenServer, also hibernated, in its init, and deep inside of a callback" do
    {:ok, pid} = Server.start_link(self())
    assert pid |> scan() |> kind() == {:gen_server, [Server]}

    :ok = GenServer.call(pid, :hibernate)

    await(fn -> asleep(pid) end)

    assert pid |> scan() |> kind() == {:gen_server, [Server]}

    spawn_link(fn -> GenServer.call(pid, :deep) end)
    assert_receive :deep
    assert length(Stack.frames(pid)) > 20
    assert pid |> scan() |> kind() == {:gen_server, [Server]}
    send(pid, :go)

    test = self()
    spawn_link(fn -> send(test, Server.start_link({:slow, test})) end)

    slow =
      await(fn ->
        Enum.find(Process.list(), &(Origin.initial_call(&1) == {Server, :init, 1} and &1 != pid))
      end)

    assert slow |> scan() |> kind() == {:gen_server, [Server]}
    send(slow, :go)
  end

  test "a hibernated GenServer whose module declares nothing" do
    {:ok, pid} = GenServer.start_link(Plain, nil)
    :ok = GenServer.call(pid, :hibernate)
    await(fn -> asleep(pid) end)
    assert pid |> scan() |> kind() == {:gen_server, [Plain]}
  end

  test "one that is being registered: its init follows" do
    name = {:via, SlowNames, self()}

    for {kind, module, start} <- [
          {:gen_server, Server, fn -> GenServer.start_link(Server, nil, name: name) end},
          {:gen_statem, Statem, fn -> :gen_statem.start_link(name, Statem, nil, []) end}
        ] do
      spawn_link(start)
      assert_receive {:registering, pid}
      assert pid |> scan() |> kind() == {kind, [module]}
      send(pid, :go)
    end
  end

  test "the old version is the one that was there before the swap" do
    {:ok, pid} = Server.start_link(self())
    assert {[%{units: [{Server, 7}]}], []} = scan(pid)
    assert [Beam.vsn(Server)] == Server.module_info(:attributes)[:vsn]
  end

  test "a process that names its view instead of the callback module" do
    {:ok, pid} = Server.start_link({:view, self()})
    assert pid |> scan() |> kind() == {:gen_server, [Server]}
  end

  test "views and channels, which hibernate while nobody does anything" do
    for {name, fun, behaviour} <- [
          {__MODULE__.View, :mount, Phoenix.LiveView},
          {__MODULE__.Room, :join, Phoenix.Channel}
        ] do
      declare(name, behaviour)
      changed = %{name => %{code_change: [3], behaviours: [behaviour], vsn: 7}}
      {:ok, pid} = Server.start_link({:labelled, {name, fun, 3}})

      assert {[%{kind: :gen_server, module: ^name, units: [{^name, 7}]}], []} =
               Processes.scan([pid], changed, [])

      asleep = hibernated(Server, {:labelled, {name, fun, 3}})

      assert {[%{kind: :gen_server, module: ^name, units: [{^name, 7}]}], []} =
               Processes.scan([asleep], changed, [])
    end
  end

  # A module with nothing but a behaviour, whose own module need not exist.
  defp declare(name, behaviour) do
    forms = [{:attribute, 1, :module, name}, {:attribute, 1, :behaviour, behaviour}]
    {:ok, ^name, beam, _warnings} = :compile.forms(forms, [:return])
    {:module, ^name} = :code.load_binary(name, ~c"nofile", beam)
  end

  test "a process that calls itself something else, and its supervisor" do
    for label <- [{Server, :work, 2}, {Nobody, :work, 2}] do
      {:ok, pid} = Server.start_link({:labelled, label})
      assert pid |> scan() |> kind() == {:gen_server, [Server]}
    end

    {:ok, statem} = :gen_statem.start_link(Statem, {:labelled, {Nobody, :work, 2}}, [])
    assert statem |> scan() |> kind() == {:gen_statem, [Statem]}

    for server <- [Server, Statem] do
      pid = hibernated(server, {:labelled, {Server, :work, 2}})
      assert pid |> scan() |> kind() == {if(server == Server, do: :gen_server, else: :gen_statem), [server]}
      assert await(fn -> asleep(pid) end)
    end

    sup = start_supervised!({DynamicSupervisor, name: __MODULE__.Nursery})
    {:ok, child} = DynamicSupervisor.start_child(sup, {Server, nil})
    {:ok, orphan} = GenServer.start(Server, nil)
    assert Processes.supervisors([child, orphan]) == [sup]
    :ok = :sys.suspend(sup)
    await(fn -> Processes.supervisors([child]) == [] end)
    :ok = :sys.resume(sup)
  end

  test "who uses a module: started by it, or with a frame of it" do
    {:ok, pid} = Server.start_link(nil)
    assert [{Server, pids}] = Processes.using([Server, Handler])
    assert pid in pids
    assert Processes.using([]) == []
  end

  test "gen_statem and gen_event, by its handlers" do
    {:ok, statem} = :gen_statem.start_link(Statem, nil, [])
    assert statem |> scan() |> kind() == {:gen_statem, [Statem]}

    {:ok, events} = :gen_event.start_link()
    assert events |> scan() |> kind() == nil
    :ok = :gen_event.add_handler(events, {Handler, 1}, nil)
    :ok = :gen_event.add_handler(events, {Handler, 2}, nil)
    assert events |> scan() |> kind() == {:gen_event, [Handler]}
  end

  test "a gen_event that is too busy to tell its handlers, and one that is suspended" do
    {:ok, events} = :gen_event.start_link()
    :ok = :gen_event.add_handler(events, Handler, nil)
    :erlang.suspend_process(events)
    assert events |> scan() |> kind() == {:gen_event, [Handler]}
    assert Processes.scan([events], Map.delete(@changed, Handler), []) == {[], []}
    :erlang.resume_process(events)
    :ok = :sys.suspend(events)
    assert events |> scan() |> kind() == :suspended
  end

  test "an Agent has no migration, whatever module its state came from" do
    {:ok, pid} = Agent.start_link(fn -> 1 end)
    assert pid |> scan() |> kind() == {:agent, []}
    {:ok, pid} = Agent.start_link(__MODULE__, :one, [])
    assert pid |> scan() |> kind() == {:agent, []}
    {:ok, pid} = Agent.start_link(__MODULE__, :one, [], hibernate_after: 0)
    await(fn -> asleep(pid) end)
    assert pid |> scan() |> kind() == {:agent, []}
  end

  test "one that hibernates, and belongs to nothing that is upgraded, is not even woken" do
    pid = hibernated(Server, {:labelled, {Nobody, :work, 2}})
    :erlang.trace(pid, true, [:receive])
    # Where it keeps its stack, that tells what it runs.
    told = match?([{_, :loop_hibernate, _} | _], Stack.frames(pid))
    assert pid |> scan() |> kind() == if(told, do: {:gen_server, [Server]})
    refute_received {:trace, ^pid, :receive, _}
  end

  test "one that hibernates and does not answer is left alone" do
    pid = :proc_lib.spawn_link(fn -> :erlang.hibernate(__MODULE__, :one, []) end)
    await(fn -> asleep(pid) end)
    :erlang.suspend_process(pid)
    assert pid |> scan() |> kind() == :special
    :erlang.resume_process(pid)
  end

  defp hibernated(Server, arg) do
    {:ok, pid} = Server.start_link(arg)
    :ok = GenServer.call(pid, :hibernate)
    tap(pid, fn _ -> await(fn -> asleep(pid) end) end)
  end

  defp hibernated(Statem, arg) do
    {:ok, pid} = :gen_statem.start_link(Statem, arg, hibernate_after: 0)
    tap(pid, fn _ -> await(fn -> asleep(pid) end) end)
  end

  # From OTP 28 on a hibernated server keeps its stack.
  defp asleep(pid),
    do: match?([{_, fun, _} | _] when fun in [:hibernate, :loop_hibernate], Stack.frames(pid))

  def one, do: 1

  test "whoever waits for a server of another kind is what it is" do
    {:ok, statem} = :gen_statem.start_link(Statem, nil, [])
    {:ok, events} = :gen_event.start_link()
    :ok = :sys.suspend(events)
    {:ok, silent} = Agent.start_link(fn -> 1 end, name: __MODULE__.Silent)
    :ok = :sys.suspend(silent)

    for call <- [
          fn -> :gen_statem.call(statem, :ask) end,
          fn -> :gen_statem.call(statem, :ask, {:clean_timeout, 60_000}) end,
          fn -> :gen_event.sync_notify(events, :event) end,
          fn -> :gen_event.call(events, Handler, :ask) end,
          fn -> :gen_event.call(events, Handler, :ask, 60_000) end,
          fn -> GenServer.multi_call([node()], __MODULE__.Silent, :ask) end,
          fn -> GenServer.multi_call([node()], __MODULE__.Silent, :ask, 60_000) end
        ] do
      {:ok, server} = Server.start_link(nil)
      {:ok, asker} = Task.start(fn -> GenServer.call(server, {:call, call}, :infinity) end)
      {:ok, task} = Task.start(fn -> [call.()] end)
      await(fn -> Enum.all?([server, task], &waits?/1) end)
      assert server |> scan() |> kind() == {:gen_server, [Server]}
      assert Process.info(server, :message_queue_len) == {:message_queue_len, 0}
      assert task |> scan() |> kind() == nil
      for pid <- [asker, task], do: Process.exit(pid, :kill)
    end
  end

  # Inside of code of this file.
  defp waits?(pid) do
    Process.info(pid, :status) == {:status, :waiting} and
      Enum.any?(Stack.frames(pid), fn {module, _, _} -> module in [Server, __MODULE__] end)
  end

  test "supervisors, processes of their own kind and suspended ones are left alone" do
    {:ok, sup} = Supervisor.start_link(Sup, nil)
    assert sup |> scan() |> kind() == :supervisor
    {:ok, special} = :proc_lib.start_link(Special, :init, [self()])
    assert special |> scan() |> kind() == :special
    {:ok, server} = Server.start_link(self())
    :ok = :sys.suspend(server)
    assert server |> scan() |> kind() == :suspended
  end

  test "Tasks and callers are no targets, but hold the code" do
    test = self()

    task =
      Task.async(fn ->
        send(test, :running)
        receive(do: (:go -> :ok))
        :not_a_tail_call
      end)

    assert_receive :running
    assert task.pid |> scan() |> kind() == nil
    assert [{pid, [__MODULE__]}] = OldCode.holders([task.pid], @changed, MapSet.new())
    assert pid == task.pid
    assert [] = OldCode.holders([task.pid], @changed, MapSet.new([task.pid]))
    send(task.pid, :go)
  end

  test "processes of other modules, and dead ones, are nothing" do
    dead = spawn(fn -> :ok end)
    await(fn -> not Process.alive?(dead) end)

    assert {[], []} =
             Processes.scan([dead, Process.whereis(:code_server), Process.whereis(:init)], @changed, [])

    assert Stack.frames(dead) == []
    assert Origin.initial_call(dead) == nil
  end

  defp await(fun, left \\ 1_000) do
    fun.() || (left > 0 && (Process.sleep(1) && await(fun, left - 1))) || flunk("never happened")
  end

  test "those that were born since are found, whoever has died" do
    sleepers = for _ <- 1..10, do: spawn(fn -> Process.sleep(:infinity) end)
    known = Births.known(Process.list())

    for pid <- Enum.take_every(sleepers, 3) do
      ref = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^ref, _, _, _}
    end

    young = for _ <- 1..10, do: spawn(fn -> Process.sleep(:infinity) end)
    {born, known} = Births.born(known)
    assert young -- born == []
    assert Enum.filter(born, &(&1 in sleepers)) == []
    {born, _known} = Births.born(known)
    assert Enum.filter(born, &(&1 in young)) == []
    Enum.each(sleepers ++ young, &Process.exit(&1, :kill))
  end
end

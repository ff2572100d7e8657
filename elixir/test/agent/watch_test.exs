defmodule FlyDeployAgent.WatchTest do
  # The handler sees what every process of the VM logs.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias FlyDeployAgent.Watch

  defmodule Cart do
    use GenServer
    def start, do: GenServer.start(__MODULE__, %{secret: "s3cret"})
    def init(state), do: {:ok, state}
    def handle_cast(:step, state), do: {:noreply, Map.fetch!(state, :step)}
    def handle_cast({:stop, reason}, state), do: {:stop, reason, state}
    def handle_cast({:clause, value}, state), do: {:noreply, only(value, state)}
    def handle_cast({:raise, text}, _state), do: raise(text)
    def handle_cast(:call, _state), do: GenServer.call(:nobody_there, "s3cret")
    defp only(:this, state), do: state
  end

  defmodule Machine do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(state), do: {:ok, state, nil}
    def handle_event(:cast, :step, state, _data), do: {:next_state, Map.fetch!(state, :step), nil}
  end

  @moduletag :capture_log
  @changed MapSet.new([Cart, Machine, __MODULE__])

  setup do
    table = Watch.open(self())
    on_exit(&Watch.close/0)
    {:ok, table: table}
  end

  # What comes to the log as an error comes to every handler, ours among them, before the process ends.
  defp crash(message) do
    {:ok, pid} = Cart.start()
    ref = Process.monitor(pid)
    GenServer.cast(pid, message)
    assert_receive {:DOWN, ^ref, _, _, reason}, 5_000
    {pid, reason}
  end

  defp told(table), do: Watch.told(table, @changed)

  test "kinds of crashes are told with module, exception, place and number, never with a value", %{
    table: table
  } do
    Watch.commit(table, [])
    log = capture_log(fn -> for _ <- 1..3, do: crash(:step) end)
    assert log =~ "s3cret"
    crash({:clause, "s3cret"})
    crash({:raise, "s3cret"})
    crash({:stop, {:odd, "s3cret"}})
    crash({:stop, :odd})
    crash(:call)

    told = told(table)
    assert told.crashes_total == 8
    refute inspect(told, limit: :infinity, printable_limit: :infinity) =~ "s3cret"

    assert [
             %{exception: "KeyError :step", count: 3, before: 0, module: module, at: at, stack: stack}
             | others
           ] = told.crashes

    assert module == inspect(Cart)
    assert at =~ ~r/^watch_test.exs:\d+$/
    assert Enum.any?(stack, &(&1 =~ "Cart.handle_cast/2"))

    assert others |> Enum.map(& &1.exception) |> Enum.sort() == [
             "FunctionClauseError #{inspect(Cart)}.only/2",
             "RuntimeError",
             "exit",
             "exit :noproc in GenServer.call/3",
             "exit :odd"
           ]
  end

  test "other behaviours, tasks and bare processes are seen as well", %{table: table} do
    Watch.commit(table, [])
    {:ok, statem} = :gen_statem.start(Machine, %{}, [])
    ref = Process.monitor(statem)
    :gen_statem.cast(statem, :step)
    assert_receive {:DOWN, ^ref, _, _, _}, 5_000
    {:ok, task} = Task.start(fn -> Map.fetch!(empty(), :task) end)
    ref = Process.monitor(task)
    assert_receive {:DOWN, ^ref, _, _, _}, 5_000
    spawn(fn -> Map.fetch!(empty(), :bare) end)
    # The emulator tells of it through a process of its own.
    # Other tests' processes may crash meanwhile.
    # Elixir's Logger keeps it from handlers.
    :proc_lib.spawn(fn -> Map.fetch!(empty(), :proc_lib) end)

    eventually(fn ->
      ["KeyError :bare", "KeyError :proc_lib", "KeyError :step", "KeyError :task"] --
        Enum.map(told(table).crashes, & &1.exception) == []
    end)

    assert told(table).crashes |> Enum.map(& &1.count) |> Enum.uniq() == [1]
  end

  test "the emulator's words are understood with a node's name as well", %{table: table} do
    Watch.commit(table, [])

    for told <- [
          [self(), {:undef, [{Cart, :step, [1], []}]}],
          [self(), :shop@host, {:undef, [{Cart, :step, [1], []}]}]
        ] do
      :ets.match_delete(table, {{:seen, :_}})
      msg = {~c"Error in process ~p on node ~p with exit value:~n~p~n", told}
      event = %{level: :error, msg: msg, meta: %{pid: self(), error_logger: %{emulator: true, tag: :error}}}
      Watch.log(event, %{config: %{table: table}})
    end

    assert [%{exception: "UndefinedFunctionError " <> _, count: 2}] = told(table).crashes
  end

  test "what crashed before is told beside it", %{table: table} do
    crash(:step)
    crash(:step)
    crash({:raise, "s3cret"})
    Watch.commit(table, [])

    assert %{
             crashes: [%{count: 0, before: 2, others: 1}, %{count: 0, before: 1, others: 2}],
             crashes_total: 0,
             kinds: 2
           } = sorted(told(table))

    crash(:step)

    assert %{crashes: [%{count: 1, before: 2, watched: 0}, %{count: 0, before: 1}], crashes_total: 1} =
             sorted(told(table))
  end

  defp sorted(told), do: update_in(told.crashes, &Enum.sort_by(&1, fn crash -> -crash.before end))

  test "there is room for what is most above what was before, however much crashes all the time", %{
    table: table
  } do
    event = fn kind ->
      %{
        level: :error,
        msg: {:string, "x"},
        meta: %{pid: self(), crash_reason: {kind, [{Cart, :step, 1, []}]}}
      }
    end

    noise = fn ->
      for n <- 1..20, _ <- 1..9, do: Watch.log(event.(:"noise_#{n}"), %{config: %{table: table}})
    end

    noise.()
    {:ok, idle} = Cart.start()
    Watch.commit(table, [{idle, Cart}])
    noise.()
    for _ <- 1..3, do: Watch.log(event.(:more_often), %{config: %{table: table}})
    Watch.down(table, idle, {%KeyError{key: :step}, [{Cart, :step, 1, []}]})

    assert %{
             crashes: [
               %{exception: "KeyError :step", watched: 1, others: 180},
               %{exception: "exit :more_often", count: 3} | _
             ],
             kinds: 22
           } = told = told(table)

    assert length(told.crashes) == 10
  end

  test "crashes in code that has not changed are not told", %{table: table} do
    Watch.commit(table, [])
    crash(:step)
    assert %{crashes: [], crashes_total: 0} = Watch.told(table, MapSet.new([Enum]))
  end

  test "a watched process counts whatever it dies of, once, and an orderly end does not", %{table: table} do
    {:ok, idle} = Cart.start()
    Watch.commit(table, [{idle, Some.Module}])
    assert Watch.down(table, idle, :killed)

    # Nothing logs that, so it may have happened all along.
    assert [%{module: "Some.Module", exception: "exit :killed", at: "", stack: [], count: 1, watched: 0}] =
             told(table).crashes

    {pid, reason} = crash(:step)
    assert Watch.down(table, pid, reason)
    assert told(table).crashes_total == 2

    for reason <- [:normal, :shutdown, :noproc, {:shutdown, :left}],
        do: refute(Watch.down(table, self(), reason))

    assert Watch.down(table, self(), {:shutdown, {:failed_to_start_child, Cart, {:EXIT, {:badarg, []}}}})
    {:ok, killed} = Cart.start()
    Watch.except(table, [killed])
    refute Watch.down(table, killed, :killed)
  end

  test "what logs nothing when it ends is counted before the commit as its supervisor tells, and after it once",
       %{table: table} do
    {:ok, supervisor} = Supervisor.start_link([], strategy: :one_for_one, max_restarts: 100)
    spec = %{id: Cart, start: {GenServer, :start_link, [Cart, %{}]}}
    {:ok, _} = Supervisor.start_child(supervisor, spec)
    killed = fn -> kill_child(supervisor) end
    for _ <- 1..3, do: killed.()
    Supervisor.terminate_child(supervisor, Cart)
    {:ok, last} = Supervisor.restart_child(supervisor, Cart)
    Watch.commit(table, [{last, Cart}])
    killed.()
    assert Watch.down(table, last, :killed)

    assert [%{module: module, exception: "exit :killed", count: 1, before: 3, watched: 0}] =
             told(table).crashes

    assert module == inspect(Cart)
  end

  # The supervisor has told of it once it answers.
  defp kill_child(supervisor) do
    [{_, pid, _, _}] = Supervisor.which_children(supervisor)
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, _, _, _}, 5_000
    Supervisor.count_children(supervisor)
  end

  test "a supervisor that gives up counts, and one that is told to end does not", %{table: table} do
    Process.flag(:trap_exit, true)
    spec = %{id: Cart, start: {GenServer, :start_link, [Cart, %{}]}}

    for {crashes, told} <- [{2, ["KeyError :step", "its restart limit was reached"]}, {0, []}] do
      {:ok, supervisor} = Supervisor.start_link([spec], strategy: :one_for_one, max_restarts: 1)
      ref = Process.monitor(supervisor)
      Watch.commit(table, [], [supervisor])
      for _ <- 1..crashes//1, do: crash_child(supervisor)
      if crashes == 0, do: Supervisor.stop(supervisor, :shutdown)
      assert_receive {:DOWN, ^ref, _, _, :shutdown}, 5_000
      assert Watch.down(table, supervisor, :shutdown) == crashes > 0
      assert table |> told() |> Map.fetch!(:crashes) |> Enum.map(& &1.exception) |> Enum.sort() == told
      :ets.match_delete(table, {{:kind, :_}, :_, :_})
    end
  end

  defp crash_child(supervisor) do
    with [{_, pid, _, _}] when is_pid(pid) <- Supervisor.which_children(supervisor) do
      ref = Process.monitor(pid)
      GenServer.cast(pid, :step)
      assert_receive {:DOWN, ^ref, _, _, _}, 5_000
    end
  catch
    :exit, _ -> :ok
  end

  test "thousands of crashes and kinds stay within bounds", %{table: table} do
    Watch.commit(table, [])

    event = fn reason ->
      %{level: :error, msg: {:string, "x"}, meta: %{pid: self(), crash_reason: {reason, []}}}
    end

    config = %{config: %{table: table}}
    for n <- 1..6_000, do: Watch.log(event.(String.to_atom("kind_#{rem(n, 300)}")), config)
    assert Watch.count(table) == 6_000
    assert :ets.info(table, :size) < 300
  end

  test "an event that is damaged does no harm, and a handler that was removed comes back", %{table: table} do
    for msg <- [
          {:report, %{label: {:gen_server, :terminate}}},
          {:report, %{label: {:proc_lib, :crash}, report: [[]]}}
        ],
        do: Watch.log(%{level: :error, msg: msg, meta: %{}}, %{config: %{table: table}})

    Watch.commit(table, [])
    :logger.remove_handler(:flydeploy_watch)
    Watch.renew(table)
    crash(:step)
    assert Watch.count(table) == 1
  end

  test "an application that keeps errors out of its log is told of" do
    %{level: level} = :logger.get_primary_config()
    on_exit(fn -> :logger.set_primary_config(:level, level) end)
    :logger.set_primary_config(:level, :error)
    assert Watch.findings() == []

    for level <- [:critical, :none] do
      :logger.set_primary_config(:level, level)
      assert [%{name: "crashes_unlogged", severity: :info, detail: text}] = Watch.findings()
      assert text =~ "level is #{level}"
    end
  end

  defp empty, do: Map.new([])

  defp eventually(is?), do: if(is?.(), do: :ok, else: Process.sleep(1) && eventually(is?))
end

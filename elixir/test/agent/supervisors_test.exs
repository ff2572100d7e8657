defmodule FlyDeployAgent.SupervisorsTest do
  # The filter sees what every process of the VM logs.
  use ExUnit.Case, async: false

  alias FlyDeployAgent.{Supervisors, Watch}

  doctest Supervisors

  defmodule Cart do
    use GenServer, restart: :permanent
    def start_link(_), do: GenServer.start_link(__MODULE__, nil)
    def init(state), do: {:ok, state}
    def handle_cast({:stop, reason}, state), do: {:stop, reason, state}
  end

  @moduletag :capture_log
  @changed MapSet.new([Cart])

  setup do
    Process.flag(:trap_exit, true)
    table = Watch.open(self())
    on_exit(&Watch.close/0)
    {:ok, table: table}
  end

  defp supervisor(child, more) do
    {:ok, pid} =
      Supervisor.start_link(
        [child],
        Keyword.merge([strategy: :one_for_one, max_restarts: 3, max_seconds: 600], more)
      )

    pid
  end

  # Ends the child, in good order or not; the supervisor has logged that once it answers.
  defp stop(supervisor, reason) do
    {_, child, _, _} = supervisor |> Supervisor.which_children() |> List.last()
    GenServer.cast(child, {:stop, reason})
    eventually(fn -> not Process.alive?(child) end)
    Supervisor.count_children(supervisor)
  end

  defp told(table, changed \\ @changed) do
    Supervisors.ask(table)
    eventually(fn -> Enum.all?(:ets.match_object(table, {{:limit, :_}, :_}), &(elem(&1, 1) != nil)) end)
    Supervisors.told(table, changed)
  end

  defp eventually(is?), do: if(is?.(), do: :ok, else: Process.sleep(1) && eventually(is?))

  test "one that has one restart left is told, also where its children end in good order", %{table: table} do
    supervisor = supervisor(Cart, name: Shop.Supervisor)
    Watch.commit(table, [])
    stop(supervisor, :normal)
    assert told(table) == []
    stop(supervisor, :normal)

    assert told(table) == [
             %{
               supervisor: "Shop.Supervisor",
               child: inspect(Cart),
               restarts: 2,
               limit: 3,
               seconds: 600,
               before: 0
             }
           ]

    assert Supervisors.count(table) == 2
    assert %{supervisors: [%{restarts: 2}]} = Watch.told(table, @changed)
    # Whose code has not changed is another matter, unless the upgrade has migrated it.
    assert told(table, MapSet.new()) == []
    Watch.commit(table, [], [supervisor])
    assert [%{restarts: 2}] = told(table, MapSet.new())
  end

  test "a supervisor of children that come and go is told likewise, and one that restarts nothing is not", %{
    table: table
  } do
    for {restart, told} <- [{:transient, [2]}, {:temporary, []}] do
      {:ok, supervisor} = DynamicSupervisor.start_link(max_restarts: 3, max_seconds: 600)
      Watch.commit(table, [])

      for _ <- 1..2 do
        {:ok, _} =
          DynamicSupervisor.start_child(supervisor, %{
            id: Cart,
            start: {Cart, :start_link, [nil]},
            restart: restart
          })

        stop(supervisor, :odd)
      end

      assert for(%{restarts: restarts} <- told(table), do: restarts) == told
      :ets.match_delete(table, {{:restarting, :_}, :_, :_, :_, :_})
    end
  end

  test "one that was as near before the commit is not told", %{table: table} do
    supervisor = supervisor(Cart, max_restarts: 5)
    for _ <- 1..4, do: stop(supervisor, :odd)
    Watch.commit(table, [])
    # The supervisor keeps the time of each restart, which would soon be too many.
    other = supervisor(Cart, max_restarts: 20)
    for _ <- 1..19, do: stop(other, :odd)
    assert [%{restarts: 19, limit: 20}] = told(table)
    stop(supervisor, :odd)
    assert [%{restarts: 19}] = told(table)
  end

  test "of one with many children the limit is not known, and it is not told", %{table: table} do
    children = for n <- 1..5_000, do: Supervisor.child_spec(Cart, id: {n, String.duplicate("x", 60)})
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 3)
    Watch.commit(table, [], [supervisor])
    for _ <- 1..2, do: stop(supervisor, :odd)
    eventually(fn -> Supervisors.count(table) == 2 end)
    Supervisors.ask(table)
    assert Supervisors.told(table, @changed) == []
    assert [{_, nil}] = :ets.lookup(table, {:limit, supervisor})
    # At once, with all of its children: every purge of a module, in whichever test, would ask them.
    Process.unlink(supervisor)
    Process.exit(supervisor, :kill)
  end

  test "what others log, damaged events and a table that is gone do no harm", %{table: table} do
    for report <- [%{}, [offender: []], [offender: [restart_type: :permanent, mfargs: :odd]]],
        event = %{level: :error, msg: {:report, %{label: {:supervisor, :child_terminated}, report: report}}},
        meta <- [%{}, %{pid: self()}],
        do: assert(Supervisors.filter(Map.put(event, :meta, meta), table) == :ignore)

    Watch.commit(table, [])
    assert Supervisors.told(table, @changed) == []
    :ets.delete(table)

    event = %{
      msg: {:report, %{label: {:supervisor, :shutdown}, report: [reason: :reached_max_restart_intensity]}},
      meta: %{pid: self()}
    }

    assert Supervisors.filter(event, table) == :ignore
  end

  test "thousands of restarts and supervisors stay within bounds", %{table: table} do
    Watch.commit(table, [])
    offender = [restart_type: :permanent, mfargs: {Cart, :start_link, []}]
    report = [supervisor: {:local, Shop}, offender: offender]
    event = %{level: :error, msg: {:report, %{label: {:supervisor, :child_terminated}, report: report}}}

    for _ <- 1..1_000 do
      pid = spawn(fn -> :ok end)
      for _ <- 1..60, do: Supervisors.filter(Map.put(event, :meta, %{pid: pid}), table)
    end

    assert Supervisors.count(table) == 60_000
    assert :ets.info(table, :size) < 250
    # Twenty times as many within the period as the bound of times that are kept.
    assert Supervisors.most(for(n <- 50..1//-1, do: n * 10), 10_000) > 900
  end
end

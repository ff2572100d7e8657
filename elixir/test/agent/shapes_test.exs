defmodule FlyDeployAgent.ShapesTest do
  use ExUnit.Case

  alias FlyDeployAgent.Shapes

  defmodule State do
    defstruct [:name, hits: 0]
  end

  defmodule Counter do
    use GenServer
    def init(state), do: {:ok, state}
  end

  @wanted %{State => [:milestone]}
  @without [{State, [:milestone]}]

  test "a struct that lacks a field is found in whatever holds it" do
    old = %State{name: "secret"}

    for term <- [old, {:ok, old}, [1, old], %{a: %{b: [{:x, old}]}}, [1 | old], {[%{old: old}], %State{}}] do
      assert Shapes.lacking(term, @wanted) == @without
    end

    new = Map.put(old, :milestone, 1)

    for term <- [new, {:ok, new}, State, "text", [1 | 2], %{}, fn -> old end],
        do: assert(Shapes.lacking(term, @wanted) == [])
  end

  test "a state that is too large is looked at as far as it goes" do
    large = Map.new(1..100_000, &{&1, {&1, [&1]}})
    {us, []} = :timer.tc(fn -> Shapes.lacking({large, List.duplicate(0, 100_000)}, @wanted) end)
    assert us < 200_000
    assert Shapes.lacking({%State{}, large}, @wanted) == @without
  end

  test "servers, agents, tables and persistent terms are holders; a busy process is not asked" do
    {:ok, server} = GenServer.start_link(Counter, %State{})
    {:ok, agent} = Agent.start_link(fn -> [%State{}] end)
    busy = spawn_link(fn -> Process.sleep(:infinity) end)
    :ets.new(__MODULE__, [:named_table]) |> :ets.insert({1, %State{}})
    :persistent_term.put({__MODULE__, "secret"}, %State{})
    on_exit(fn -> :persistent_term.erase({__MODULE__, "secret"}) end)
    Process.sleep(0)

    held = Shapes.holders(@wanted, [], [])
    assert Enum.all?(held, &(&1.struct == State and &1.fields == [:milestone]))
    by_pid = Map.new(held, &{&1.pid, &1.holder})
    assert by_pid[server] == Counter
    assert is_map_key(by_pid, agent)
    refute is_map_key(by_pid, busy)
    others = for %{pid: nil, holder: holder} <- held, do: holder
    assert Enum.sort(others) == [{:table, __MODULE__}, {:term, "{#{inspect(__MODULE__)}, …}"}]

    assert [%{holder: Mine, pid: ^server}] =
             for(
               %{pid: ^server} = h <-
                 Shapes.holders(@wanted, [%{pid: server, kind: :gen_server, module: Mine}], []),
               do: h
             )
  end
end

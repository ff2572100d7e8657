defmodule FlyDeployAgent.ShapesTest do
  use ExUnit.Case

  alias FlyDeployAgent.Shapes

  defmodule State do
    defstruct [:name, hits: 0]
  end

  defmodule Counter do
    use GenServer
    def init(state), do: {:ok, state}
    def handle_cast(:wait, state), do: receive(do: (:go -> {:noreply, state}))
  end

  @wanted %{
    structs: %{State => [:milestone]},
    gone: MapSet.new(),
    purged: %{},
    keys: %{},
    impls: %{},
    shapes: %{}
  }
  @without [{:struct, State, [:milestone]}]

  test "a struct that lacks a field is found in whatever holds it" do
    old = %State{name: System.get_env("HOME")}

    for term <- [
          old,
          {:ok, old},
          [1, old],
          %{a: %{b: [{:x, old}]}},
          [1 | old],
          {[%{old: old}], %State{}},
          MapSet.new([old]),
          %{{1, old} => true},
          fn -> old end
        ] do
      assert Shapes.within(term, @wanted) == @without
    end

    new = Map.put(old, :milestone, 1)

    for term <- [new, {:ok, new}, State, "text", [1 | 2], %{}, fn -> new end],
        do: assert(Shapes.within(term, @wanted) == [])
  end

  test "functions that are gone, as captures and as what to call" do
    sought = %{
      structs: %{},
      gone: MapSet.new([{Gone, :f, 2}]),
      purged: %{},
      keys: %{},
      impls: %{},
      shapes: %{}
    }

    for term <- [
          Function.capture(Gone, :f, 2),
          {Gone, :f, [1, 2]},
          %{on: {:apply, [{Gone, :f, [1, 2]}]}},
          fn -> Function.capture(Gone, :f, 2) end |> then(& &1.())
        ],
        do: assert(Shapes.within(term, sought) == [{:gone, {Gone, :f, 2}}])

    for term <- [Function.capture(Gone, :f, 1), {Gone, :f, [1]}, {Gone, :f, [1 | 2]}, {Gone, :f, 2}],
        do: assert(Shapes.within(term, sought) == [])
  end

  test "names of functions that are gone, beside their modules" do
    sought = Map.merge(@wanted, %{structs: %{}, names: %{{Gone, :f} => 2}})

    for term <- [
          {Gone, :f},
          %{on: {:id, Gone, :f, nil}},
          [{:log, {Gone, :f}}],
          %{mod: Gone, fun: :f, args: []}
        ],
        do: assert(Shapes.within(term, sought) == [{:gone, {Gone, :f, 2}}])

    for term <- [{Gone, :g}, {:f, Gone}, [Gone, :f], {:f}, %{mod: Gone, state: :f}, %{fun: :f}],
        do: assert(Shapes.within(term, sought) == [])
  end

  test "what a start has set is compared in the process" do
    {:ok, kept} = GenServer.start_link(Counter, %{max: 5, name: "a", conf: {:every, [ms: 9]}})
    {:ok, other} = GenServer.start_link(Counter, %{max: 7, name: "a", conf: [1 | 2]})
    settings = Map.new([kept, other], &{&1, [{[:max], 5}, {[:name], "b"}, {[:conf, 1, :ms], 9}]})
    sought = Map.merge(@wanted, %{structs: %{}, gone: MapSet.new(), settings: settings})
    shapes = Map.new([kept, other], &{&1, :gen_server})

    {held, 0, []} = Shapes.holders(%{sought | shapes: shapes}, [], [{kept, Counter}, {other, Counter}])

    assert for(%{found: {:set, keys}, pid: pid} <- held, do: {pid, keys}) == [
             {kept, [[:max], [:conf, 1, :ms]]}
           ]
  end

  test "functions of a version that is not the one that runs" do
    versions =
      for n <- 1..2 do
        [{module, _}] = quietly("defmodule Fun do\n  def make, do: fn x -> {#{n}, x} end\nend")
        {apply(module, :make, []), module.module_info(:md5)}
      end

    [{old, _}, {new, md5}] = versions
    sought = %{structs: %{}, gone: MapSet.new(), purged: %{Fun => md5}, impls: %{}, shapes: %{}}
    assert Shapes.within(%{on: old}, sought) == [{:purged, Fun}]
    assert Shapes.within(%{on: new}, sought) == []
    :code.purge(Fun)
    :code.delete(Fun)
    :code.purge(Fun)
  end

  defp quietly(source) do
    Code.compiler_options(ignore_module_conflict: true)
    Code.compile_string(source)
  after
    Code.compiler_options(ignore_module_conflict: false)
  end

  test "a state that is too large is looked at as far as it goes" do
    work = fn size ->
      large = Map.new(1..size, &{&1, {&1, [&1]}})
      state = {large, List.duplicate(0, size)}
      {:reductions, before} = Process.info(self(), :reductions)
      assert Shapes.within(state, @wanted) == []
      {:reductions, now} = Process.info(self(), :reductions)
      now - before
    end

    assert work.(200_000) < 3 * work.(50_000)
    large = Map.new(1..100_000, &{&1, {&1, [&1]}})
    assert Shapes.within({%State{}, large}, @wanted) == @without
  end

  test "servers, agents, tables and persistent terms are holders; a busy process is not asked" do
    {:ok, server} = GenServer.start_link(Counter, %State{})
    {:ok, agent} = Agent.start_link(fn -> [%State{}] end)
    busy = spawn_link(fn -> Process.sleep(:infinity) end)
    :ets.new(__MODULE__, [:named_table]) |> :ets.insert({1, %State{}})
    :persistent_term.put({__MODULE__, "secret"}, %State{})
    on_exit(fn -> :persistent_term.erase({__MODULE__, "secret"}) end)
    Process.sleep(0)

    {held, 0, []} = Shapes.holders(@wanted, [], Shapes.servers([], []))
    assert Enum.all?(held, &([&1.found] == @without))
    by_pid = Map.new(held, &{&1.pid, &1.holder})
    assert by_pid[server] == Counter
    assert is_map_key(by_pid, agent)
    refute is_map_key(by_pid, busy)
    others = for %{pid: nil, holder: holder} <- held, do: holder
    assert Enum.sort(others) == [{:table, __MODULE__}, {:term, "{#{inspect(__MODULE__)}, …}"}]

    target = %{pid: server, kind: :gen_server, module: Mine}
    {held, 0, []} = Shapes.holders(@wanted, [target], Shapes.servers([target], []))
    assert [%{holder: Mine}] = for(%{pid: ^server} = h <- held, do: h)
  end

  test "where nothing is sought but the shapes of some, no other process is asked" do
    {:ok, server} = GenServer.start_link(Counter, %State{})
    {:ok, other} = GenServer.start_link(Counter, %State{})
    :erlang.trace(other, true, [:receive])
    asked = fn sought -> Shapes.holders(sought, [], [{server, Counter}, {other, Counter}]) end
    shapes = %{@wanted | structs: %{}, shapes: %{server => :gen_server}}

    assert {[%{pid: ^server, found: {:shape, :gen_server, _}}], 0, []} = asked.(shapes)
    refute_received {:trace, ^other, :receive, _}
    # A struct may be held by everybody.
    asked.(%{@wanted | shapes: %{server => :gen_server}})
    assert_receive {:trace, ^other, :receive, {:system, _, _}}
  end

  test "who is busy when it is asked is waited for when all others have told, and who lives and never answers is named" do
    [late, never, dead] = for _ <- 1..3, do: elem(GenServer.start(Counter, %State{}), 1)
    Enum.each([late, never], &GenServer.cast(&1, :wait))
    GenServer.stop(dead)
    on_exit(fn -> Enum.each([late, never], &Process.exit(&1, :kill)) end)
    tracer = spawn_link(fn -> receive(do: ({:trace, ^late, :receive, {:system, _, _}} -> go_on(late))) end)
    :erlang.trace(late, true, [:receive, {:tracer, tracer}])
    asked = fn servers, ms -> Shapes.holders(@wanted, [], servers, ms) end

    # Longer than anybody is waited for before the others are asked.
    assert {held, 0, []} = asked.([{late, Late}, {dead, Dead}], 60_000)

    assert for(%{holder: holder, found: found} <- held, is_atom(holder), do: {holder, [found]}) == [
             {Late, @without}
           ]

    assert {_, 0, [Never]} = asked.([{never, Never}, {dead, Dead}], 1)
  end

  defp go_on(pid), do: Process.send_after(pid, :go, 200)
end

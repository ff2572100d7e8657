defmodule FlyDeployAgent.AppChildrenTest do
  use ExUnit.Case

  alias FlyDeployAgent.AppChildren

  defmodule Worker do
    use GenServer
    def start_link({name, value}), do: GenServer.start_link(__MODULE__, value, name: name)
    def child_spec({name, value}), do: %{id: name, start: {__MODULE__, :start_link, [{name, value}]}}
    def init(:raises), do: raise("it cannot")
    def init(:stops), do: {:stop, :eaddrinuse}
    def init(:ignores), do: :ignore
    def init(:hangs), do: Process.sleep(:infinity)
    def init(value), do: {:ok, value}
    def handle_call(:get, _from, value), do: {:reply, value, value}
  end

  defmodule Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(arg), do: :persistent_term.get({__MODULE__, :init}).(arg)
  end

  defmodule App do
    use Application
    def start(_type, _args), do: Supervisor.start_link(children([]), strategy: :one_for_one, max_restarts: 7)
    def children(_argument), do: :persistent_term.get({__MODULE__, :children})
  end

  defp gives(children, options \\ [strategy: :one_for_one]),
    do: :persistent_term.put({Sup, :init}, fn _arg -> Supervisor.init(children, options) end)

  defp started(children, options \\ [strategy: :one_for_one]) do
    gives(children, options)
    {:ok, pid} = Sup.start_link(:arg)
    Process.unlink(pid)
    on_exit(fn -> Process.exit(pid, :kill) end)
    pid
  end

  defp tree(more \\ %{}), do: Map.merge(%{root: {Sup, :init, 1}, added: [], removed: []}, more)

  defp ids(pid),
    do:
      for({id, child, _, _} <- pid |> Supervisor.which_children() |> Enum.reverse(), do: {id, is_pid(child)})

  defp pids(pid), do: for({id, child, _, _} <- Supervisor.which_children(pid), into: %{}, do: {id, child})

  test "a supervisor with a module of its own gets what its init/1 gives now" do
    pid = started([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}, {Worker, {:t_three, 3}}])
    {:ok, by_hand} = Supervisor.start_child(pid, %{id: :by_hand, start: {Agent, :start_link, [fn -> 1 end]}})
    before = pids(pid)

    gives([{Worker, {:t_one, 1}}, {Worker, {:t_new, 0}}, {Worker, {:t_three, 33}}],
      strategy: :rest_for_one,
      max_restarts: 9
    )

    test = self()

    assert AppChildren.apply_all([tree(%{removed: [:t_two]})], :keep, &send(test, {:ending, &1})) ==
             %{started: 1, ended: 1, restarted: 0, failed: []}

    # In the new order; what was started by hand stays.
    assert Enum.sort(ids(pid)) == [by_hand: true, t_new: true, t_one: true, t_three: true]
    assert for({id, _} <- ids(pid), id != :by_hand, do: id) == [:t_one, :t_new, :t_three]
    assert_received {:ending, [ended]}
    assert ended == before[:t_two]
    now = pids(pid)
    assert now[:t_one] == before[:t_one] and now[:t_three] == before[:t_three] and now[:by_hand] == by_hand
    # Whoever runs goes on, and gets the new arguments when it is started again; rules are new at once.
    assert GenServer.call(:t_three, :get) == 3
    {:ok, spec} = :supervisor.get_childspec(pid, :t_three)
    assert spec.start == {Worker, :start_link, [{:t_three, 33}]}
    state = :sys.get_state(pid)
    assert elem(state, 2) == :rest_for_one and elem(state, 5) == 9
    assert Sup in Tuple.to_list(state) and :arg in Tuple.to_list(state)
    # A second time there is nothing to do.
    assert AppChildren.apply_all([tree()], :keep) == %{started: 0, ended: 0, restarted: 0, failed: []}
    assert pids(pid) == now
  end

  test "those that are started otherwise are started again where that is asked for" do
    pid = started([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}])
    before = pids(pid)
    gives([{Worker, {:t_one, 1}}, {Worker, {:t_two, 22}}])
    assert AppChildren.apply_all([tree()], :restart) == %{started: 0, ended: 0, restarted: 1, failed: []}
    assert GenServer.call(:t_two, :get) == 22
    assert pids(pid)[:t_one] == before[:t_one] and pids(pid)[:t_two] != before[:t_two]
  end

  test "a child that does not start is told, and the others start" do
    pid = started([{Worker, {:t_one, 1}}])

    gives([
      {Worker, {:t_one, 1}},
      {Worker, {:t_raises, :raises}},
      {Worker, {:t_stops, :stops}},
      {Worker, {:t_ignores, :ignores}},
      {Worker, {:t_four, 4}}
    ])

    assert %{started: 2, ended: 0, failed: [raises, stops]} = AppChildren.apply_all([tree()], :keep)
    assert raises == ":t_raises did not start: ** (RuntimeError) it cannot"
    assert stops == ":t_stops did not start: :eaddrinuse"
    assert GenServer.call(:t_one, :get) == 1 and GenServer.call(:t_four, :get) == 4
    assert Process.alive?(pid)
  end

  @tag timeout: 120_000
  test "a child that hangs is told within seconds" do
    started([{Worker, {:t_one, 1}}])
    gives([{Worker, {:t_one, 1}}, {Worker, {:t_hangs, :hangs}}])
    assert %{started: 0, failed: [text]} = AppChildren.apply_all([tree()], :keep)
    assert text =~ "the children of FlyDeployAgent.AppChildrenTest.Sup did not start and end within"
  end

  test "specifications that a supervisor cannot take leave it as it was" do
    pid = started([{Worker, {:t_one, 1}}])
    before = :sys.get_state(pid)

    for {init, says} <- [
          {fn _ -> raise "no children" end, "** (RuntimeError) no children"},
          {fn _ -> :ignore end, "init/1 gives :ignore now"},
          {fn _ -> :wrong end, "init/1 gives atom"},
          {fn _ -> {:ok, {%{strategy: :none}, []}} end, "the supervisor refuses its new specifications"}
        ] do
      :persistent_term.put({Sup, :init}, init)
      assert %{started: 0, failed: [text]} = AppChildren.apply_all([tree()], :keep)
      assert text =~ says
      assert :sys.get_state(pid) == before
    end
  end

  test "who is temporary and has ended is not started again" do
    once = %{id: :once, start: {Task, :start_link, [fn -> :ok end]}, restart: :temporary}
    pid = started([{Worker, {:t_one, 1}}, once])
    await(fn -> ids(pid) == [t_one: true] end)
    gives([{Worker, {:t_one, 1}}, once, {Worker, {:t_two, 2}}])
    assert AppChildren.apply_all([tree()], :keep) == %{started: 1, ended: 0, restarted: 0, failed: []}
    assert ids(pid) == [t_one: true, t_two: true]
  end

  defp await(fun, looks \\ 3_000) do
    cond do
      fun.() -> true
      looks == 0 -> false
      true -> Process.sleep(10) && await(fun, looks - 1)
    end
  end

  defp boot(children) do
    :persistent_term.put({App, :children}, children)

    :ok =
      :application.load(
        {:application, :t_tree, vsn: ~c"1", modules: [App], applications: [:kernel, :stdlib], mod: {App, []}}
      )

    :ok = Application.start(:t_tree)

    on_exit(fn ->
      Application.stop(:t_tree)
      Application.unload(:t_tree)
    end)

    {top, _} = :application_master.get_child(:application_controller.get_master(:t_tree))
    top
  end

  test "an application's own tree is told by its module" do
    once = %{id: :once, start: {Task, :start_link, [fn -> :ok end]}, restart: :temporary}
    pid = boot([{Worker, {:t_one, 1}}, once, {Worker, {:t_two, 2}}])
    {:ok, _} = Supervisor.start_child(pid, %{id: :by_hand, start: {Agent, :start_link, [fn -> 1 end]}})
    await(fn -> length(ids(pid)) == 3 end)
    [tree] = AppChildren.of_application(:t_tree)
    assert tree.root == {App, :start, 2}

    tree = %{tree | removed: [Worker]}
    :persistent_term.put({App, :children}, [once, {Worker, {:t_three, 3}}, {Worker, {:t_one, 1}}])
    assert AppChildren.apply_all([tree], :keep) == %{started: 1, ended: 1, restarted: 0, failed: []}
    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_three: true]
    assert elem(:sys.get_state(pid), 5) == 7
    # And back.
    :persistent_term.put({App, :children}, [{Worker, {:t_one, 1}}, once, {Worker, {:t_two, 2}}])
    assert AppChildren.apply_all([tree], :keep) == %{started: 1, ended: 1, restarted: 0, failed: []}
    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_two: true]

    # A start/2 that starts more than its module tells: nothing ends that the plan has not named, nor whose code is there.
    :persistent_term.put({App, :children}, [{Worker, {:t_one, 1}}])
    nothing = %{started: 0, ended: 0, restarted: 0, failed: []}
    assert AppChildren.apply_all([%{tree | removed: [Other]}], :keep) == nothing
    assert AppChildren.apply_all(AppChildren.of_application(:t_tree), :keep) == nothing
    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_two: true]
    assert AppChildren.of_application(:t_absent) == []
  end

  test "a list of children that cannot be made leaves the tree as it was" do
    pid = boot([{Worker, {:t_one, 1}}])
    before = :sys.get_state(pid)

    for {children, says} <- [
          {[:t_no_module], "(ArgumentError)"},
          {:wrong, "(FunctionClauseError)"},
          {[%{id: 1, start: :wrong}], "refuses"}
        ] do
      :persistent_term.put({App, :children}, children)
      assert %{started: 0, failed: [text]} = AppChildren.apply_all(AppChildren.of_application(:t_tree), :keep)
      assert text =~ says
      assert :sys.get_state(pid) == before
    end
  end

  test "a module that is removed with its children blocks nothing" do
    tree = [%{root: {Sup, :init, 1}, added: [], removed: [Worker]}]
    used = %{name: "module_in_use", subject: inspect(Worker)}
    other = %{name: "module_in_use", subject: "Other"}
    found = [used, other, %{name: "children_applied", subject: "", trees: tree}]
    assert AppChildren.without_removed(found, :keep) == tl(found)
    assert AppChildren.without_removed(found, nil) == found
  end

  test "the trees of a plan" do
    trees = [%{root: {Sup, :init, 1}, added: [A], removed: [B]}]
    applied = %{name: "children_applied", trees: trees}
    assert AppChildren.trees([applied], nil) == []

    assert AppChildren.trees(
             [applied, applied, %{name: "children_changed", trees: trees}, %{name: "x"}],
             :keep
           ) == [%{root: {Sup, :init, 1}, added: [A, A], removed: [B, B]}]
  end
end

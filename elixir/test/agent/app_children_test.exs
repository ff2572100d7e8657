defmodule FlyDeployAgent.AppChildrenTest do
  use ExUnit.Case

  alias FlyDeployAgent.{AppChildren, ChildLists, Unstarted}

  setup do
    on_exit(fn -> Application.delete_env(:flydeploy, :unstarted) end)
  end

  defmodule Worker do
    use GenServer
    def start_link({name, value}), do: GenServer.start_link(__MODULE__, value, name: name)
    def child_spec({name, value}), do: %{id: name, start: {__MODULE__, :start_link, [{name, value}]}}
    def init(:raises), do: raise("it cannot")
    def init(:stops), do: {:stop, :eaddrinuse}
    def init(:ignores), do: :ignore
    def init(:luck), do: :persistent_term.get({__MODULE__, :luck})
    def init(:hangs), do: Process.sleep(:infinity)
    def init(value), do: {:ok, value}
    def handle_call(:get, _from, value), do: {:reply, value, value}
  end

  defmodule Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(arg), do: :persistent_term.get({__MODULE__, :init}).(arg)
  end

  # Does what Worker does, and is another module.
  defmodule Other do
    use GenServer
    def start_link({name, value}), do: GenServer.start_link(Worker, value, name: name)
    def child_spec({name, value}), do: %{id: name, start: {__MODULE__, :start_link, [{name, value}]}}
    def init(value), do: {:ok, value}
  end

  defmodule App do
    use Application
    def start(_type, _args), do: Supervisor.start_link(children([]), strategy: :one_for_one, max_restarts: 7)

    def children(_argument) do
      with list when is_function(list) <- :persistent_term.get({__MODULE__, :children}), do: list.()
    end
  end

  defp gives(children, options \\ [strategy: :one_for_one]),
    do: :persistent_term.put({Sup, :init}, fn _arg -> Supervisor.init(children, options) end)

  defp started(children, options \\ [strategy: :one_for_one]) do
    gives(children, options)
    {:ok, pid} = Sup.start_link(:arg)
    Process.unlink(pid)
    on_exit(fn -> ends(pid) end)
    pid
  end

  # The next test starts children of the same names.
  defp ends(pid) do
    {:links, links} = Process.info(pid, :links) || {:links, []}
    refs = for ending <- [pid | links], is_pid(ending), do: Process.monitor(ending)
    Process.exit(pid, :kill)

    for ref <- refs do
      receive do
        {:DOWN, ^ref, _, _, _} -> :ok
      end
    end
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

    assert AppChildren.apply_all(
             [tree(%{removed: [:t_two], named: [:t_one, :t_two, :t_three]})],
             :keep,
             &send(test, {:ending, &1})
           ) ==
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

  # It waits for twelve of them.
  @tag :soak
  @tag timeout: 120_000
  test "a child that hangs is told within seconds" do
    started([{Worker, {:t_one, 1}}])
    gives([{Worker, {:t_one, 1}}, {Worker, {:t_hangs, :hangs}}])
    assert %{started: 0, failed: [text]} = AppChildren.apply_all([tree()], :keep)
    assert text =~ "the children of FlyDeployAgent.AppChildrenTest.Sup did not start and end within"
    # The supervisor still waits for it.
    assert [%{detail: text}] = AppChildren.unstarted(:keep)
    assert text =~ ":t_hangs (it was not seen to start)"
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
    tree = %{root: {App, :start, 2}, added: [], removed: []}
    tree = %{tree | removed: [Worker]}
    named = ChildLists.named({App, :start, 2})
    assert named == {:ok, [:t_one, :once, :t_two]}
    :persistent_term.put({App, :children}, [once, {Worker, {:t_three, 3}}, {Worker, {:t_one, 1}}])

    assert AppChildren.apply_all([with_named(tree, named)], :keep) ==
             %{started: 1, ended: 1, restarted: 0, failed: []}

    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_three: true]
    assert elem(:sys.get_state(pid), 5) == 7
    # And back.
    named = ChildLists.named({App, :start, 2})
    :persistent_term.put({App, :children}, [{Worker, {:t_one, 1}}, once, {Worker, {:t_two, 2}}])

    assert AppChildren.apply_all([with_named(tree, named)], :keep) ==
             %{started: 1, ended: 1, restarted: 0, failed: []}

    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_two: true]

    # A start/2 that starts more than its module tells: nothing ends that this, or the plan, has not named, nor whose code is there.
    named = ChildLists.named({App, :start, 2})
    :persistent_term.put({App, :children}, [{Worker, {:t_one, 1}}])
    nothing = %{started: 0, ended: 0, restarted: 0, failed: []}

    for tree <- [
          %{with_named(tree, named) | removed: [Other]},
          with_named(tree, {:ok, [:t_one]}),
          tree,
          any()
        ],
        do: assert(AppChildren.apply_all([tree], :keep) == nothing)

    assert Enum.sort(ids(pid)) == [by_hand: true, t_one: true, t_two: true]
  end

  defp with_named(tree, {:ok, ids}), do: Map.put(tree, :named, ids)
  # As at a boot, where the image's code has not told.
  defp any, do: %{root: {App, :start, 2}, added: [], removed: :any}

  test "a list of children that cannot be made leaves the tree as it was" do
    pid = boot([{Worker, {:t_one, 1}}])
    before = :sys.get_state(pid)

    for {children, says} <- [
          {[:t_no_module], "(ArgumentError)"},
          {:wrong, "(FunctionClauseError)"},
          {[%{id: 1, start: :wrong}], "refuses"}
        ] do
      :persistent_term.put({App, :children}, children)
      assert %{started: 0, failed: [text]} = AppChildren.apply_all([any()], :keep)
      assert text =~ says
      assert :sys.get_state(pid) == before
    end
  end

  # Of the same module, and under names that nobody can tell from those of the list.
  test "those that start_child added at run time stay, though their module is no longer named" do
    pid = started([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}])
    {:ok, added} = Supervisor.start_child(pid, {Worker, {:t_added, 3}})
    {:ok, named} = ChildLists.named({Sup, :init, 1})
    assert Enum.sort(named) == [:t_one, :t_two]
    gives([])

    assert %{ended: 2, failed: []} = AppChildren.apply_all([tree(%{removed: [Worker], named: named})], :keep)
    assert pids(pid) == %{t_added: added}
    # Where it is not known who was added, nobody ends.
    gives([{Worker, {:t_three, 3}}])
    assert %{started: 1, ended: 0} = AppChildren.apply_all([tree(%{removed: [Worker]})], :keep)
    assert Enum.sort(ids(pid)) == [t_added: true, t_three: true]
  end

  test "another module's child under the same name takes its place" do
    pid = started([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}])
    gives([{Other, {:t_one, 11}}, {Worker, {:t_two, 22}}])
    assert AppChildren.apply_all([tree()], :keep) == %{started: 0, ended: 0, restarted: 1, failed: []}
    assert GenServer.call(:t_one, :get) == 11 and GenServer.call(:t_two, :get) == 2
    assert Enum.sort(ids(pid)) == [t_one: true, t_two: true]
  end

  test "what has other arguments each time is not started again for it" do
    pid = boot([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}])
    before = pids(pid)
    :persistent_term.put({App, :children}, fn -> [{Worker, {:t_one, make_ref()}}, {Worker, {:t_two, 22}}] end)
    assert %{restarted: 1, failed: []} = AppChildren.apply_all([any()], :restart)
    assert pids(pid)[:t_one] == before[:t_one] and GenServer.call(:t_two, :get) == 22
  end

  describe "a child that did not start" do
    defp luck(how), do: :persistent_term.put({Worker, :luck}, how)
    defp told, do: for(f <- AppChildren.unstarted(:keep), do: {f.name, f.severity, f.subject, f.detail})

    test "is told by the next plan, and tried again" do
      luck({:stop, :eaddrinuse})
      pid = started([{Worker, {:t_one, 1}}])
      assert AppChildren.unstarted(:keep) == []
      gives([{Worker, {:t_one, 1}}, {Worker, {:t_late, :luck}}])
      assert %{failed: [":t_late did not start: :eaddrinuse"]} = AppChildren.apply_all([tree()], :keep)

      assert [{"child_not_started", :warn, "FlyDeployAgent.AppChildrenTest.Sup", text}] = told()
      assert text =~ ":t_late (:eaddrinuse); they are tried again after the commit"
      assert [%{detail: text} = finding] = AppChildren.unstarted(nil)
      assert text =~ "--apply-children tries again"
      assert AppChildren.tries_again?([finding], :keep) and not AppChildren.tries_again?([finding], nil)

      # Without a luckier machine it stays so, and nothing else is touched.
      trees = AppChildren.trees([finding], :keep)
      before = pids(pid)[:t_one]
      assert %{started: 0, ended: 0, failed: [_]} = AppChildren.apply_all(trees, :keep)
      luck({:ok, :well})
      assert AppChildren.apply_all(trees, :keep) == %{started: 1, ended: 0, restarted: 0, failed: []}
      assert GenServer.call(:t_late, :get) == :well and pids(pid)[:t_one] == before
      assert told() == [] and AppChildren.apply_all(trees, :keep).started == 0
    end

    test "is none any more where the code that is deployed does not name it" do
      luck({:stop, :eaddrinuse})
      pid = started([{Worker, {:t_one, 1}}])
      gives([{Worker, {:t_one, 1}}, {Worker, {:t_late, :luck}}])
      assert %{failed: [_]} = AppChildren.apply_all([tree()], :keep)
      trees = :keep |> AppChildren.unstarted() |> AppChildren.trees(:keep)
      gives([{Worker, {:t_one, 1}}])
      assert %{ended: 1, failed: []} = AppChildren.apply_all(trees, :keep)
      assert ids(pid) == [t_one: true]
      assert told() == [] and Application.get_env(:flydeploy, :unstarted) == nil
    end

    test "that somebody has started since, or whose supervisor has ended, is forgotten" do
      luck({:stop, :eaddrinuse})
      pid = started([])
      gives([{Worker, {:t_late, :luck}}, {Worker, {:t_never, :luck}}])
      assert %{failed: [_, _]} = AppChildren.apply_all([tree()], :keep)
      luck({:ok, :well})
      {:ok, _} = Supervisor.restart_child(pid, :t_late)
      assert [{_, _, _, text}] = told()
      assert text =~ ":t_never" and not (text =~ ":t_late")
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}, 60_000
      assert Unstarted.all() == []
    end
  end

  describe "a module that is removed" do
    defp used(module, pids),
      do: %{name: "module_in_use", severity: :block, subject: inspect(module), detail: "", users: pids}

    defp applied(removed),
      do: %{
        name: "children_applied",
        severity: :info,
        subject: "Sup",
        detail: "init/1 no longer starts it",
        trees: [%{root: {Sup, :init, 1}, added: [], removed: removed}]
      }

    test "blocks nothing where all that runs it are children that end, and what those have started" do
      below = %{
        id: :below,
        start: {Supervisor, :start_link, [[{Worker, {:t_below, 1}}], [strategy: :one_for_one]]}
      }

      pid = started([{Worker, {:t_one, 1}}, below])
      {:ok, added} = Supervisor.start_child(pid, {Worker, {:t_added, 3}})
      %{t_one: one} = pids(pid)
      other = %{name: "other", severity: :info, subject: "", detail: ""}
      all = [Worker, Supervisor]

      assert [^other, applied] =
               AppChildren.judged(
                 [used(Worker, [one, Process.whereis(:t_below)]), other, applied(all)],
                 :keep
               )

      assert [%{named: [:t_one, :below]}] = applied.trees
      # Somebody else runs it.
      for users <- [[one, added], [self()]] do
        assert [%{name: "module_in_use"} = left, _] =
                 AppChildren.judged([used(Worker, users), applied(all)], :keep)

        refute is_map_key(left, :users)
      end

      assert [%{name: "module_in_use"}] = AppChildren.judged([used(Worker, [one])], :keep)
      assert [%{name: "module_in_use"}, _] = AppChildren.judged([used(Worker, [one]), applied(all)], nil)
      assert [_] = AppChildren.trees([applied], :keep)
    end

    test "blocks nothing either where the application's module tells that it ends" do
      boot([{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}])
      applied = %{applied([Worker]) | trees: [%{root: {App, :start, 2}, added: [], removed: [Worker]}]}
      users = for name <- [:t_one, :t_two], do: Process.whereis(name)
      assert [%{name: "children_applied"}] = AppChildren.judged([used(Worker, users), applied], :keep)
    end

    test "blocks where the running code does not tell its children" do
      pid = started([{Worker, {:t_one, 1}}])
      %{t_one: one} = pids(pid)
      :persistent_term.put({Sup, :init}, fn _ -> raise "only once" end)
      assert [used, changed] = AppChildren.judged([used(Worker, [one]), applied([Worker])], :keep)
      assert used.name == "module_in_use"
      assert %{name: "children_changed", severity: :block, trees: []} = changed
      assert changed.detail =~ "init/1 no longer starts it. The running code does not tell"
      # What only starts needs no such list.
      assert [%{name: "children_applied"}] = AppChildren.judged([applied([])], :keep)
    end
  end

  test "the trees of a plan" do
    trees = [%{root: {Sup, :init, 1}, added: [A], removed: [B]}]
    applied = %{name: "children_applied", trees: trees}
    assert AppChildren.trees([applied], nil) == []

    assert AppChildren.trees(
             [applied, applied, %{name: "children_changed", trees: trees}, %{name: "x"}],
             :keep
           ) == [%{root: {Sup, :init, 1}, added: [A, A], removed: [B, B], named: nil}]
  end
end

defmodule FlyDeployAgent.AppChildren do
  @moduledoc """
  Children that a deploy starts, ends and restarts (`--apply-children`), once the new code runs.

  Supervisors with a module of their own are asked for their new specifications by OTP's way: `supervisor`'s `code_change`, which takes
  what `init/1` gives. A tree that `c:Application.start/2` puts together has no such module: there the application's own one tells,
  where it exports `children/0`, or `children/1`, which gets the argument of `mod:`. Strategy and limits of that stay.

  A supervisor keeps the children that it has under the specifications that it gets. Then those that the code of before has named and that
  are no longer named end, the last first, and those that are new start, in their order; those that are started otherwise now are started
  again if that is asked for, or if they are another module's. What somebody has started by `start_child` stays.
  """

  alias FlyDeployAgent.{Beside, ChildChanges, ChildLists, Failure, Origin, Release, Unstarted}

  # For all that is started and ended: meanwhile the agent says nothing, and must not be taken for lost.
  @work_ms 12_000
  @told 5

  @typedoc """
  What starts children, and the modules that its old code names, and its new one does not (`:any`, at a boot, where no plan has told), and the
  reverse. `named` are the ids that its old code has named, nil if they are not known; `pids` are the supervisors that are meant, nil for all.
  """
  @type tree :: %{
          required(:root) => mfa,
          required(:added) => [module],
          required(:removed) => [module] | :any,
          optional(:named) => [term] | nil,
          optional(:pids) => [pid] | nil
        }
  @typedoc "`:keep` or `:restart` those that are started otherwise now; nil where nothing is applied."
  @type how :: :keep | :restart | nil
  @type told :: %{
          started: non_neg_integer,
          ended: non_neg_integer,
          restarted: non_neg_integer,
          failed: [binary]
        }

  # -- the plan

  @doc "How the children of a tree's root, in a module that changes, are applied; nil: not at all."
  @spec how(mfa, FlyDeployAgent.Pair.t(), map) :: how
  def how(root, pair, live) do
    case Map.get(live, :apply_children) do
      nil -> nil
      how -> if appliable?(root, pair), do: how
    end
  end

  defp appliable?({_module, :init, 1}, %{new: facts}),
    do: Enum.any?([Supervisor, :supervisor], &(&1 in facts.behaviours))

  # Both tell them: otherwise what starts could not be taken back.
  defp appliable?({_module, :start, 2}, %{old: old, new: new}),
    do: Enum.all?([old, new], fn facts -> Enum.any?([children: 0, children: 1], &(&1 in facts.exports)) end)

  @doc "The trees that a plan's findings say are applied."
  @spec trees([FlyDeployAgent.Findings.finding()], how) :: [tree]
  def trees(_findings, nil), do: []

  def trees(findings, _how) do
    for(
      %{name: name, trees: trees} <- findings,
      name in ["children_applied", "child_spec_changed", "child_not_started"],
      tree <- trees,
      do: tree
    )
    |> Enum.group_by(& &1.root)
    |> Enum.map(fn {root, all} ->
      %{
        root: root,
        added: Enum.flat_map(all, & &1.added),
        removed: Enum.flat_map(all, & &1.removed),
        named: Enum.find_value(all, &Map.get(&1, :named))
      }
    end)
  end

  @doc "The findings about children that an earlier deploy, or a boot, was to start, and that do not run."
  @spec unstarted(how) :: [FlyDeployAgent.Findings.finding()]
  def unstarted(how) do
    for {{module, _, _} = root, children} <- Enum.group_by(Unstarted.all(), & &1.root) do
      names = Enum.map_join(Enum.take(children, @told), ", ", &"#{inspect(&1.id)} (#{&1.why})")
      more = if length(children) > @told, do: " and #{length(children) - @told} more", else: ""

      %{
        name: "child_not_started",
        severity: :warn,
        subject: inspect(module),
        detail:
          "names children that an earlier upgrade could not start, and that do not run: #{names}#{more}; #{then(how)}",
        trees: [%{root: root, added: [], removed: []}]
      }
    end
  end

  defp then(nil), do: "--apply-children tries again"
  defp then(_how), do: "they are tried again after the commit"

  @doc "Whether a commit starts children that did not start before."
  @spec tries_again?([FlyDeployAgent.Findings.finding()], how) :: boolean
  def tries_again?(findings, how), do: how != nil and Enum.any?(findings, &(&1.name == "child_not_started"))

  @doc """
  A plan's findings, with what the running code names where something of it ends. Where it does not tell, nothing is applied: who was added
  by `start_child` could not be told apart. Those about modules that are removed go, if children that end are all that runs them, `users`.
  """
  @spec judged([FlyDeployAgent.Findings.finding()], how) :: [FlyDeployAgent.Findings.finding()]
  def judged(findings, how) do
    named =
      for %{root: root, removed: [_ | _]} <- trees(findings, how),
          into: %{},
          do: {root, ChildLists.named(root)}

    findings = Enum.map(findings, &with_named(&1, named))
    ending = findings |> trees(how) |> ending()

    for finding <- findings, not over?(finding, ending), do: Map.delete(finding, :users)
  end

  defp over?(%{name: "module_in_use", users: pids}, ending), do: Enum.all?(pids, &ends?(&1, ending))
  defp over?(_finding, _ending), do: false

  defp with_named(%{trees: [_ | _] = trees} = finding, named) do
    known =
      for %{root: root} = tree <- trees, named[root] != :error do
        with {:ok, ids} <- named[root], do: Map.put(tree, :named, ids), else: (nil -> tree)
      end

    if length(known) < length(trees) and finding.name == "children_applied",
      do: %{
        finding
        | name: "children_changed",
          severity: :block,
          detail:
            finding.detail <>
              ". The running code does not tell its children apart from those that somebody has added: it fails when it is asked again",
          trees: known
      },
      else: %{finding | trees: known}
  end

  defp with_named(finding, _named), do: finding

  # Who ends after the commit, as far as the plan knows.
  defp ending(trees) do
    for %{named: [_ | _] = named, removed: removed} = tree <- trees,
        {id, module, pid} <- ChildLists.running(tree.root),
        id in named and (id in removed or module in removed),
        into: MapSet.new(),
        do: pid
  end

  # With all that it has started.
  defp ends?(pid, ending) do
    above = Origin.dictionary(pid, :"$ancestors") || []
    Enum.any?([pid | above], &(pid_of(&1) in ending))
  end

  defp pid_of(name) when is_atom(name), do: Process.whereis(name)
  defp pid_of(pid), do: pid

  # -- after the commit

  @doc """
  Applies them, one after the other, and tells what became of it. It is the application's code: beside the caller, and bounded. `ending` gets
  the pids of those that are about to be ended.
  """
  @spec apply_all([tree], how, ([pid] -> any)) :: told
  def apply_all(trees, how, ending \\ fn _pids -> :ok end) do
    until = now() + @work_ms
    unstarted = if trees == [], do: [], else: Unstarted.all()

    for tree <- trees,
        {pid, list} <- ChildLists.supervisors(tree.root, Map.get(tree, :pids)),
        again = for(%{supervisor: ^pid, id: id} <- unstarted, do: id),
        reduce: %{started: 0, ended: 0, restarted: 0, failed: []} do
      told ->
        fn -> work({pid, list}, tree, again, {how, ending}) end
        |> Beside.run(max(until - now(), 0))
        |> became(tree)
        |> Enum.reduce(told, &count/2)
    end
  end

  defp count({:failed, text}, told), do: %{told | failed: Enum.take(told.failed ++ [text], @told)}
  defp count(what, told), do: Map.update!(told, what, &(&1 + 1))

  defp became({:ok, told}, _tree), do: told
  defp became({:raised, kind, reason, stack}, _tree), do: [{:failed, explain(kind, reason, stack)}]

  defp became(:killed, %{root: {module, _, _}}),
    do: [{:failed, "what was to apply the children of #{inspect(module)} was killed"}]

  defp became(:late, %{root: {module, _, _}}),
    do: [
      {:failed, "the children of #{inspect(module)} did not start and end within #{div(@work_ms, 1_000)} s"}
    ]

  @doc "What the application's own code raises is told; a library's text may hold what it was called with."
  @spec explain(atom, term, list) :: binary
  def explain(:error, reason, stack),
    do: Failure.explain({:error, {:EXIT, {reason, stack}}}, &Release.own?/1).exception

  def explain(kind, reason, _stack), do: "#{kind} with #{Failure.shape(reason)}"

  defp work({pid, list}, tree, again, {how, ending}) do
    specs = if list, do: ChildLists.specs(list.())

    case ChildChanges.take(pid, specs, tree, again) do
      {:ok, todo} ->
        restarted = todo.replaced ++ if(how == :restart, do: steady(todo.changed, specs, list), else: [])
        ending.(for {_id, pid} <- todo.removed ++ restarted, is_pid(pid), do: pid)
        # Until they run: whoever hangs keeps the others from it as well.
        for id <- todo.added, do: Unstarted.note(pid, id, tree.root, "it was not seen to start")

        Enum.flat_map(todo.over, &forget(pid, &1)) ++
          Enum.flat_map(todo.removed, &end_child(pid, &1)) ++
          Enum.flat_map(restarted, &restart(pid, &1, tree)) ++
          Enum.flat_map(todo.added, &start(pid, &1, tree, :started))

      {:error, text} ->
        [{:failed, text}]
    end
  end

  # What has other arguments whenever it is asked for would be started again for nothing.
  defp steady([], _specs, _list), do: []
  defp steady(changed, nil, nil), do: changed

  defp steady(changed, specs, list) do
    again = ChildLists.specs(list.())
    Enum.filter(changed, fn {id, _} -> start_of(specs, id) == start_of(again, id) end)
  end

  defp start_of(specs, id) do
    Enum.find_value(specs, fn spec ->
      if ChildLists.id(spec) == id, do: if(is_map(spec), do: spec.start, else: elem(spec, 1))
    end)
  end

  defp forget(pid, id) do
    :supervisor.delete_child(pid, id)
    []
  end

  defp end_child(pid, {id, _}) do
    Unstarted.forget(pid, id)

    with :ok <- :supervisor.terminate_child(pid, id),
         :ok <- :supervisor.delete_child(pid, id) do
      [:ended]
    else
      # A temporary one goes with its specification.
      {:error, :not_found} -> [:ended]
      {:error, reason} -> [{:failed, "#{inspect(id)} could not be ended: #{why(reason)}"}]
    end
  end

  defp restart(pid, {id, _}, tree) do
    case :supervisor.terminate_child(pid, id) do
      :ok -> start(pid, id, tree, :restarted)
      {:error, reason} -> [{:failed, "#{inspect(id)} could not be ended: #{why(reason)}"}]
    end
  end

  defp start(pid, id, tree, what) do
    case :supervisor.restart_child(pid, id) do
      {:error, reason} when reason not in [:running, :restarting] ->
        Unstarted.note(pid, id, tree.root, why(reason))
        [{:failed, "#{inspect(id)} did not start: #{why(reason)}"}]

      _started_ignored_or_there ->
        Unstarted.forget(pid, id)
        [what]
    end
  end

  # What it raised, or the word that it gave.
  defp why({:EXIT, reason}), do: why(reason)
  defp why({:shutdown, reason}), do: why(reason)
  defp why({:already_started, _pid}), do: "it runs already, under another supervisor"

  defp why({reason, [{m, f, a, l} | _] = stack})
       when is_atom(m) and is_atom(f) and (is_integer(a) or is_list(a)) and is_list(l),
       do: explain(:error, reason, stack)

  defp why(reason) when is_atom(reason), do: inspect(reason)
  defp why({reason, _}) when is_atom(reason), do: inspect(reason)
  defp why(reason), do: Failure.shape(reason)

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule FlyDeployAgent.AppChildren do
  @moduledoc """
  Children that a deploy starts, ends and restarts (`--apply-children`), once the new code runs.

  Supervisors with a module of their own are asked for their new specifications by OTP's way: `supervisor`'s `code_change`, which takes
  what `init/1` gives. A tree that `c:Application.start/2` puts together has no such module: there the application's own one tells,
  where it exports `children/0`, or `children/1`, which gets the argument of `mod:`. Strategy and limits of that stay.

  A supervisor keeps the children that it has under the specifications that it gets. Then those that are no longer named end, the last first, and
  those that are new start, in their order; those that are started otherwise now are started again if that is asked for. What
  somebody has started by `start_child` stays.
  """

  alias FlyDeployAgent.{Failure, Origin, Release}

  # For a supervisor to take specifications, and for all that is started and ended: meanwhile the agent says nothing, and must not be
  # taken for lost.
  @ask_ms 3_000
  @work_ms 12_000
  @told 5

  @typedoc "What starts children: the function of a module, and the modules that its old code names, and its new one does not, and the reverse."
  @type tree :: %{root: mfa, added: [module], removed: [module] | :gone}
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
  @spec trees([map], how) :: [tree]
  def trees(_findings, nil), do: []

  def trees(findings, _how) do
    for(
      %{name: name, trees: trees} <- findings,
      name in ["children_applied", "child_spec_changed"],
      tree <- trees,
      do: tree
    )
    |> Enum.group_by(& &1.root)
    |> Enum.map(fn {root, all} ->
      %{root: root, added: Enum.flat_map(all, & &1.added), removed: Enum.flat_map(all, & &1.removed)}
    end)
  end

  @doc "The tree of an application that its module tells by itself: of what is no longer in it, that ends of which there is no code."
  @spec of_application(atom) :: [tree]
  def of_application(app) do
    case :application.get_key(app, :mod) do
      {:ok, {module, _}} -> [%{root: {module, :start, 2}, added: [], removed: :gone}]
      _ -> []
    end
  end

  @doc "A plan's findings without those about modules that are removed and whose only processes are children that end."
  @spec without_removed([map], how) :: [map]
  def without_removed(findings, how) do
    removed = for %{removed: removed} <- trees(findings, how), module <- removed, do: inspect(module)
    Enum.reject(findings, &(&1.name == "module_in_use" and &1.subject in removed))
  end

  # -- after the commit

  @doc """
  Applies them, one after the other, and tells what became of it. It is the application's code: beside the caller, and bounded. `ending` gets
  the pids of those that are about to be ended.
  """
  @spec apply_all([tree], how, ([pid] -> any)) :: told
  def apply_all(trees, how, ending \\ fn _pids -> :ok end) do
    until = now() + @work_ms

    for tree <- trees,
        {pid, children} <- supervisors(tree),
        reduce: %{started: 0, ended: 0, restarted: 0, failed: []} do
      told ->
        fn -> work(pid, children, tree, {how, ending}) end
        |> beside(tree, until)
        |> Enum.reduce(told, &count/2)
    end
  end

  defp count({:failed, text}, told), do: %{told | failed: Enum.take(told.failed ++ [text], @told)}
  defp count(what, told), do: Map.update!(told, what, &(&1 + 1))

  # With the specifications of an application's own tree.
  defp supervisors(%{root: {module, :init, 1}}),
    do:
      for(pid <- Process.list(), match?({:supervisor, ^module, _}, Origin.initial_call(pid)), do: {pid, nil})

  defp supervisors(%{root: {module, :start, 2}}) do
    with {:ok, app} <- :application.get_application(module),
         {:ok, {^module, argument}} <- :application.get_key(app, :mod),
         master when is_pid(master) <- :application_controller.get_master(app),
         {top, _} when is_pid(top) <- :application_master.get_child(master),
         children when children != nil <- children(module, argument) do
      [{top, children}]
    else
      _ -> []
    end
  end

  defp children(module, argument) do
    cond do
      function_exported?(module, :children, 0) -> fn -> module.children() end
      function_exported?(module, :children, 1) -> fn -> module.children(argument) end
      true -> nil
    end
  end

  defp beside(fun, %{root: {module, _, _}}, until) do
    {asker, ref} = {self(), make_ref()}

    {worker, monitor} =
      spawn_monitor(fn ->
        Process.group_leader(self(), Process.whereis(:init))
        send(asker, {ref, safely(fun)})
      end)

    receive do
      {^ref, told} ->
        Process.demonitor(monitor, [:flush])
        told

      {:DOWN, ^monitor, :process, _, _} ->
        [{:failed, "what was to apply the children of #{inspect(module)} was killed"}]
    after
      max(until - now(), 0) ->
        Process.demonitor(monitor, [:flush])
        Process.exit(worker, :kill)

        [
          {:failed,
           "the children of #{inspect(module)} did not start and end within #{div(@work_ms, 1_000)} s"}
        ]
    end
  end

  defp safely(fun) do
    fun.()
  catch
    kind, reason -> [{:failed, explain(kind, reason, __STACKTRACE__)}]
  end

  # What the application's own code raises is told; a library's text may hold what it was called with.
  defp explain(:error, reason, stack),
    do: Failure.explain({:error, {:EXIT, {reason, stack}}}, &Release.own?/1).exception

  defp explain(kind, reason, _stack), do: "#{kind} with #{Failure.shape(reason)}"

  defp work(pid, children, tree, {how, ending}) do
    specs = if children, do: given(Supervisor.init(children.(), strategy: :one_for_one))

    case take(pid, specs, tree) do
      {:ok, todo} ->
        changed = if how == :restart, do: todo.changed, else: []
        ending.(for {_id, pid} <- todo.removed ++ changed, is_pid(pid), do: pid)

        Enum.flat_map(todo.over, &forget(pid, &1)) ++
          Enum.flat_map(todo.removed, &end_child(pid, &1)) ++
          Enum.flat_map(changed, &restart(pid, &1)) ++
          Enum.flat_map(todo.added, &start(pid, &1, :started))

      {:error, text} ->
        [{:failed, text}]
    end
  end

  defp given({:ok, {_flags, specs}}), do: specs

  # In the supervisor itself, as its own code_change: a state that it cannot take stays as it is.
  defp take(pid, specs, tree) do
    {asker, ref} = {self(), make_ref()}
    :sys.replace_state(pid, &taken(&1, specs, tree, fn told -> send(asker, {ref, told}) end), @ask_ms)

    receive do
      {^ref, told} -> told
    after
      0 -> {:error, "#{inspect(elem(tree.root, 0))} is not a supervisor whose children have names"}
    end
  catch
    :exit, _ ->
      {:error,
       "the supervisor of #{inspect(elem(tree.root, 0))} has not taken its new children: it did not answer, or has ended"}
  end

  @doc false
  def taken(state, specs, tree, tell) do
    with {:ok, at} <- place(state, specs, tree),
         {:ok, {flags, new}, before} <- specs(state, at, specs),
         {:ok, next} <- change(state, at, {:ok, {flags, new}}) do
      tell.({:ok, todo(state, next, new, before, tree)})
      next
    else
      {:error, text} ->
        tell.({:error, text})
        state
    end
  catch
    kind, reason ->
      tell.({:error, "#{inspect(elem(tree.root, 0))}: #{explain(kind, reason, __STACKTRACE__)}"})
      state
  end

  # Where in supervisor's record its module stands, which its arguments follow; other fields differ from OTP to OTP.
  defp place(state, specs, %{root: {module, _, _}}) do
    wanted = if specs, do: Supervisor.Default, else: module

    with true <- is_tuple(state) and elem(state, 0) == :state and tuple_size(state) > 8,
         {ids, children} when is_list(ids) and is_map(children) <- elem(state, 3),
         :undefined <- elem(state, 4),
         at when is_integer(at) <- state |> Tuple.to_list() |> Enum.find_index(&(&1 == wanted)) do
      {:ok, at}
    else
      _ when specs != nil ->
        {:error, "the tree of #{inspect(module)} was not made by Supervisor.start_link/2"}

      _ ->
        {:error, "#{inspect(module)} is not a supervisor whose children have names"}
    end
  end

  # And the ids of before, as far as they are known.
  defp specs(state, at, nil) do
    case elem(state, at).init(elem(state, at + 1)) do
      {:ok, {flags, specs}} -> {:ok, {flags, specs}, nil}
      :ignore -> {:error, "#{inspect(elem(state, at))}.init/1 gives :ignore now"}
      other -> {:error, "#{inspect(elem(state, at))}.init/1 gives #{Failure.shape(other)}"}
    end
  end

  defp specs(state, at, specs) do
    {:ok, {flags, before}} = elem(state, at + 1)
    {:ok, {flags, specs}, Enum.map(before, &id/1)}
  end

  # Its module's init/1 was asked once, and is not asked again.
  defp change(state, at, given) do
    asked = state |> put_elem(at, Supervisor.Default) |> put_elem(at + 1, given)

    case :supervisor.code_change(:undefined, asked, []) do
      {:ok, next} when elem(state, at) == Supervisor.Default -> {:ok, next}
      {:ok, next} -> {:ok, next |> put_elem(at, elem(state, at)) |> put_elem(at + 1, elem(state, at + 1))}
      {:error, _} -> {:error, "#{inspect(elem(state, at))}: the supervisor refuses its new specifications"}
    end
  end

  defp todo(state, next, new, before, tree) do
    {_, had} = elem(state, 3)
    {_, has} = elem(next, 3)
    ids = Enum.map(new, &id/1)
    # Who is temporary and has ended is no longer there, and was there all the same.
    {added, over} =
      ids |> Enum.reject(&is_map_key(had, &1)) |> Enum.split_with(&added?(&1, has[&1], before, tree))

    {kept, _} = elem(state, 3)
    # It keeps them the other way round: the last is ended first.
    removed = for id <- kept, id not in ids, removed?(id, had[id], before, tree), do: {id, elem(had[id], 1)}

    %{
      added: added,
      over: over,
      removed: removed,
      changed:
        for(
          id <- ids,
          is_map_key(had, id),
          elem(had[id], 3) != elem(has[id], 3),
          is_pid(elem(had[id], 1)),
          do: {id, elem(had[id], 1)}
        )
    }
  end

  defp added?(id, _child, before, _tree) when is_list(before), do: id not in before
  defp added?(id, child, nil, tree), do: elem(child, 4) != :temporary or of?(id, child, tree.added)

  # An application may start others beside those that it tells: what its code still has is never ended by their list alone.
  defp removed?(id, child, before, tree) when is_list(before),
    do: id in before and ends?(id, child, tree.removed)

  defp removed?(id, child, nil, tree), do: of?(id, child, tree.removed)

  defp ends?(_id, child, :gone), do: not Code.ensure_loaded?(elem(elem(child, 3), 0))
  defp ends?(id, child, modules), do: of?(id, child, modules)

  defp of?(id, child, modules), do: id in modules or elem(elem(child, 3), 0) in modules

  defp id(%{id: id}), do: id
  defp id(spec) when is_tuple(spec), do: elem(spec, 0)

  defp forget(pid, id) do
    :supervisor.delete_child(pid, id)
    []
  end

  defp end_child(pid, {id, _}) do
    with :ok <- :supervisor.terminate_child(pid, id),
         :ok <- :supervisor.delete_child(pid, id) do
      [:ended]
    else
      # A temporary one goes with its specification.
      {:error, :not_found} -> [:ended]
      {:error, reason} -> [{:failed, "#{inspect(id)} could not be ended: #{why(reason)}"}]
    end
  end

  defp restart(pid, {id, _}) do
    case :supervisor.terminate_child(pid, id) do
      :ok -> start(pid, id, :restarted)
      {:error, reason} -> [{:failed, "#{inspect(id)} could not be ended: #{why(reason)}"}]
    end
  end

  defp start(pid, id, what) do
    case :supervisor.restart_child(pid, id) do
      {:error, reason} -> [{:failed, "#{inspect(id)} did not start: #{why(reason)}"}]
      _started_or_ignored -> [what]
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

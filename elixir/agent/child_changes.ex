defmodule FlyDeployAgent.ChildChanges do
  @moduledoc """
  Has a running supervisor take other specifications, by OTP's way, `supervisor`'s `code_change`: it keeps the children that it has under
  those that it gets. Tells what is to be done then, so that it has the children that it is to have.
  """

  alias FlyDeployAgent.{AppChildren, ChildLists, Failure}

  # For the supervisor to take them.
  @ask_ms 3_000

  @typedoc """
  Ids, with their pids where they run: `added` are to be started, in this order, `over` are temporary ones that have ended before, `removed`
  are no longer named, the last one first; `replaced` are another module's now under the same id, and `changed` get other arguments.
  """
  @type todo :: %{
          added: [term],
          over: [term],
          removed: [{term, pid | atom}],
          replaced: [{term, pid}],
          changed: [{term, pid}]
        }

  @doc """
  Gives the supervisor `specs`, or what its module's `init/1` gives now if they are nil. `again` are ids of children that were to be
  started before, and were not. A state that it cannot take stays as it is.
  """
  @spec take(pid, [:supervisor.child_spec()] | nil, AppChildren.tree(), again :: [term]) ::
          {:ok, todo} | {:error, binary}
  def take(pid, specs, %{root: {module, _, _}} = tree, again) do
    {asker, ref} = {self(), make_ref()}
    tell = fn told -> send(asker, {ref, told}) end
    :sys.replace_state(pid, &taken(&1, specs, tree, {again, tell}), @ask_ms)

    receive do
      {^ref, told} -> told
    after
      0 -> {:error, "#{inspect(module)} is not a supervisor whose children have names"}
    end
  catch
    :exit, _ ->
      {:error,
       "the supervisor of #{inspect(module)} has not taken its new children: it did not answer, or has ended"}
  end

  # In the supervisor itself.
  defp taken(state, specs, tree, {again, tell}) do
    with {:ok, at} <- place(state, specs, tree),
         {:ok, {flags, new}, before} <- specs(state, at, specs),
         {:ok, next} <- change(state, at, {:ok, {flags, new}}) do
      tell.({:ok, todo({state, next}, new, {before, again}, tree)})
      next
    else
      {:error, text} ->
        tell.({:error, text})
        state
    end
  catch
    kind, reason ->
      text = AppChildren.explain(kind, reason, __STACKTRACE__)
      tell.({:error, "#{inspect(elem(tree.root, 0))}: #{text}"})
      state
  end

  defp place(state, specs, %{root: {module, _, _}}) do
    case ChildLists.place(state, if(specs, do: Supervisor.Default, else: module)) do
      nil when specs != nil ->
        {:error, "the tree of #{inspect(module)} was not made by Supervisor.start_link/2"}

      nil ->
        {:error, "#{inspect(module)} is not a supervisor whose children have names"}

      at ->
        {:ok, at}
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
    {:ok, {flags, specs}, Enum.map(before, &ChildLists.id/1)}
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

  defp todo({state, next}, new, {before, again}, tree) do
    {kept, had} = elem(state, 3)
    {_, has} = elem(next, 3)
    ids = Enum.map(new, &ChildLists.id/1)
    absent? = &(&1 in again or not is_map_key(had, &1))
    # Who is temporary and has ended is no longer there, and was there all the same.
    {added, over} =
      ids |> Enum.filter(absent?) |> Enum.split_with(&(&1 in again or added?(&1, has[&1], before, tree)))

    # It keeps them the other way round: the last is ended first.
    removed =
      for id <- kept,
          id not in ids,
          id in again or removed?(id, had[id], before, tree),
          do: {id, elem(had[id], 1)}

    other =
      for id <- ids,
          not absent?.(id),
          pid = elem(had[id], 1),
          is_pid(pid) and otherwise?(start(had[id]), start(has[id])),
          do: {id, pid}

    {replaced, changed} = Enum.split_with(other, fn {id, _} -> module(had[id]) != module(has[id]) end)
    %{added: added, over: over, removed: removed, replaced: replaced, changed: changed}
  end

  defp added?(id, _child, before, _tree) when is_list(before), do: id not in before
  defp added?(id, child, nil, tree), do: elem(child, 4) != :temporary or of?(id, child, tree.added)

  # What the code of before has not named was added by somebody, and stays; so does what the plan has not named, where there is one. Where
  # that code did not tell, at a boot, nobody can go on without code.
  defp removed?(id, child, _before, %{named: named, removed: removed}) when is_list(named),
    do: id in named and (removed == :any or of?(id, child, removed))

  defp removed?(id, child, before, %{removed: :any}),
    do: (before == nil or id in before) and not Code.ensure_loaded?(module(child))

  defp removed?(_id, _child, _before, _tree), do: false

  defp of?(id, child, modules), do: id in modules or module(child) in modules

  # The arguments of temporary ones are not kept.
  defp otherwise?({m, f, :undefined}, {m, f, _}), do: false
  defp otherwise?(had, has), do: had != has

  # supervisor's record of a child.
  defp start(child), do: elem(child, 3)
  defp module(child), do: elem(start(child), 0)
end

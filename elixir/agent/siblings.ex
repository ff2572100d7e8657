defmodule FlyDeployAgent.Siblings do
  @moduledoc """
  Who ends along with a process that starts afresh: its supervisor's other children, where its strategy is `:one_for_all`, or those started
  after it, where that is `:rest_for_one`; and what runs below them.
  """

  alias FlyDeployAgent.{Fresh, Origin, Processes, Rounds}

  # How long supervisors may take to tell.
  @tell_ms 250

  @doc """
  They, for `processes` that their supervisors start again. Those of changed modules, `targets`, are ended with these in the window, since
  what takes their states back is not asked; all others are left to their supervisor (`:left`), which ends them in good order.
  """
  @spec all([Fresh.process()], targets :: [FlyDeployAgent.Target.t()], pids :: [pid], own :: [pid]) :: [
          Fresh.process()
        ]
  def all(processes, targets, pids, own) do
    below = processes |> Enum.filter(&(&1.supervisor && &1.again)) |> Enum.group_by(& &1.supervisor)
    asked = for {supervisor, all} <- below, do: {supervisor, &told(&1, all)}

    direct =
      for {supervisor, all} <- Rounds.inside(asked, @tell_ms), {pid, by, again} <- all, uniq: true do
        %{pid: pid, supervisor: supervisor, again: again, by: by}
      end
      |> Enum.uniq_by(& &1.pid)

    except = MapSet.new(own ++ Enum.map(processes, & &1.pid))
    modules = Map.new(targets, &{&1.pid, &1.module})

    for %{pid: pid} = one <- Enum.uniq_by(direct ++ descendants(direct, pids), & &1.pid),
        pid not in except,
        module = modules[pid] || module(pid) do
      {by, one} = Map.pop!(one, :by)

      Map.merge(one, %{
        module: module,
        why: why(by),
        end: if(is_map_key(modules, pid), do: :along, else: :left)
      })
    end
  end

  defp why(by), do: "its supervisor does not let it go on without #{inspect(by)}"

  # What runs below supervisors, not they.
  defp module(pid) do
    case Origin.initial_call(pid) do
      {:supervisor, _, _} -> nil
      {module, _, _} -> module
      nil -> nil
    end
  end

  # Runs in the supervisor.
  defp told(state, processes) do
    for %{pid: pid, module: module} <- processes,
        sibling <- beside(state, pid),
        do: {sibling, module, Fresh.again?(state, sibling)}
  end

  # OTP keeps its children in the order in which they end: the last one that was started first.
  defp beside(state, pid) when is_tuple(state) and elem(state, 0) == :state do
    case {elem(state, 2), elem(state, 3)} do
      {:one_for_all, {ids, children}} ->
        pids(ids, children, pid)

      {:rest_for_one, {ids, children}} ->
        ids |> Enum.take_while(&(elem(children[&1], 1) != pid)) |> pids(children, pid)

      _ ->
        []
    end
  end

  defp beside(_state, _pid), do: []

  defp pids(ids, children, except),
    do: for(id <- ids, pid = elem(children[id], 1), is_pid(pid) and pid != except, do: pid)

  # Ancestors are known by their names or pids.
  defp descendants([], _pids), do: []

  defp descendants(direct, pids) do
    by = for %{pid: pid, by: by} <- direct, key <- [pid | name(pid)], into: %{}, do: {key, by}

    found =
      for pid <- pids,
          [_ | _] = ancestors <- [Origin.dictionary(pid, :"$ancestors")],
          ancestor = Enum.find(ancestors, &is_map_key(by, &1)),
          do: %{
            pid: pid,
            supervisor: pid |> List.wrap() |> Processes.supervisors() |> List.first(),
            by: by[ancestor]
          }

    again = again(found)
    for one <- found, do: Map.put(one, :again, one.supervisor && Map.get(again, one.pid, true))
  end

  defp name(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when is_atom(name) -> [name]
      _ -> []
    end
  end

  # A supervisor that starts anew has only the children that it is told of by its own start.
  defp again(found) do
    asked =
      for {supervisor, all} <- Enum.group_by(found, & &1.supervisor, & &1.pid),
          supervisor != nil,
          do:
            {supervisor,
             fn state -> for(pid <- all, do: {pid, static?(state) and Fresh.again?(state, pid)}) end}

    for {_, told} <- Rounds.inside(asked, @tell_ms), pair <- told, into: %{}, do: pair
  end

  defp static?(%{__struct__: DynamicSupervisor}), do: false

  defp static?(state) when is_tuple(state) and elem(state, 0) == :state,
    do: not match?({kind, _} when kind in [:maps, :mapsets], elem(state, 4))

  defp static?(_state), do: true
end

defmodule FlyDeployAgent.Signals do
  @moduledoc """
  Processes that running servers have monitored, or are linked to: their ends come as messages of the kind that was asked for then. New code
  that waits for another kind drops them with what it does not know.
  """

  alias FlyDeployAgent.{Messages, Pair}

  @taking {:handle_info, 2}
  @signals [{:DOWN, 5}, {:EXIT, 3}]
  # Processes of a module that are looked at.
  @asked 40

  @doc "The findings about servers that run, `targets`."
  @spec findings([Pair.t()], [map]) :: [map]
  def findings(pairs, targets) do
    pids = for %{kind: :gen_server, module: m, pid: pid} <- targets, do: {m, pid}
    pids = Enum.group_by(pids, &elem(&1, 0), &elem(&1, 1))

    for %{old: %{}, module: module} = pair <- pairs,
        is_map_key(pids, module) and Pair.both?(pair, @taking) and not Pair.migrates?(pair, 3),
        signal <- dropped(pair),
        count = pids[module] |> Enum.take(@asked) |> Enum.count(&waits?(&1, signal)),
        count > 0,
        do: %{
          name: "messages_changed",
          severity: :warn,
          subject: inspect(module),
          detail:
            "handle_info/2 drops #{Messages.told(signal)}, for another message that it takes now: processes that were #{how(signal)} before send it still",
          processes: count,
          modules: [module]
        }
  end

  # Where no other message takes the place of one, it is not wanted any more; one that nothing takes has a finding of its own.
  defp dropped(pair) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)[@taking]
    [before, now] = for code <- [old, new], do: Messages.named(code, {:x, 0})

    for signal <- @signals,
        signal in before and signal not in now and now -- before != [],
        Messages.taken?(new, {:x, 0}, Messages.value(signal)),
        do: signal
  end

  defp waits?(pid, {:DOWN, _}), do: match?({:monitors, [_ | _]}, Process.info(pid, :monitors))

  defp waits?(pid, {:EXIT, _}) do
    case Process.info(pid, [:trap_exit, :links, :dictionary]) do
      [trap_exit: true, links: links, dictionary: dictionary] ->
        links -- Enum.map(List.wrap(dictionary[:"$ancestors"]), &pid/1) != []

      _ ->
        false
    end
  end

  defp pid(name) when is_atom(name), do: Process.whereis(name)
  defp pid(pid), do: pid

  defp how({:DOWN, _}), do: "monitored"
  defp how({:EXIT, _}), do: "linked"
end

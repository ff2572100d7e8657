defmodule FlyDeployAgent.StateNames do
  @moduledoc """
  State machines with `handle_event/4` whose processes are in a state of which the new code knows nothing any more, as one that has become a tuple
  has another name: events that it took there find no clause.
  """

  alias FlyDeployAgent.{Findings, MessageFindings, Messages, Pair}

  @events {:handle_event, 4}
  # States and messages that are tried, of one module.
  @states 20

  @doc "The findings about `states`, the shapes of those that live by their changed modules."
  @spec findings(%{module => [FlyDeployAgent.Value.t()]}, %{module => Pair.t()}) :: [Findings.finding()]
  def findings(states, by_module) do
    for {module, all} <- states,
        %{old: %{behaviours: behaviours}} = pair <- [by_module[module]],
        :gen_statem in behaviours and Pair.both?(pair, @events) and not Pair.migrates?(pair, 4),
        counts = Enum.frequencies(for {:tuple, [{:atom, name} | _]} <- all, do: name),
        {name, count} <- Enum.take(counts, @states),
        message <- pair |> refused(name) |> Enum.take(1) do
      detail =
        "handle_event/4 no longer has a clause for #{Messages.told(message)} in the state #{inspect(name)}, in which #{Findings.number(count)} " <>
          "#{if count == 1, do: "is", else: "are"}"

      "messages_changed" |> Findings.finding(:warn, module, detail) |> Findings.of_processes(module, count)
    end
  end

  # Those that the new code takes in other states: of others more is told elsewhere.
  defp refused(pair, name) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)[@events]
    here = %{{:x, 2} => {:tag, name}}

    for message <- Messages.named(old, {:x, 1}),
        kind <- MessageFindings.kinds(),
        event = Map.put(kind, {:x, 1}, Messages.value(message)),
        Messages.takes?(old, Map.merge(event, here)),
        not Messages.takes?(new, Map.merge(event, here)),
        Messages.takes?(new, event),
        uniq: true,
        do: message
  end
end

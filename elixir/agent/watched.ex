defmodule FlyDeployAgent.Watched do
  @moduledoc """
  Servers whose new code monitors the processes that it is told of, to forget them when they end, where the running one does not: those that it
  holds already end unseen.
  """

  alias FlyDeployAgent.{CodeFacts, Findings, Messages, Pair, Value}

  @callbacks [handle_call: 3, handle_cast: 2, handle_info: 2]
  @monitors [{Process, :monitor, 1}, {Process, :monitor, 2}, {:erlang, :monitor, 2}, {:erlang, :monitor, 3}]
  # Who is linked to them gets to know it, too.
  @links [{Process, :link, 1}, {:erlang, :link, 1}]

  @doc "The findings about `states`, the shapes of those that live by their changed modules."
  @spec findings(%{module => [Value.t()]}, %{module => Pair.t()}) :: [Findings.finding()]
  def findings(states, by_module) do
    for {module, all} <- states,
        %{old: %{imports: before}, new: %{imports: now}} = pair <- [by_module[module]],
        Enum.any?(@monitors, &(&1 in now)) and not Enum.any?(@monitors ++ @links, &(&1 in before)),
        not Pair.migrates?(pair, 3),
        count = Enum.count(all, &pids?/1),
        count > 0,
        told?(pair) do
      detail =
        "now monitors the processes that it is told of; #{Findings.number(count)} #{if count == 1, do: "holds", else: "hold"} some that nobody " <>
          "monitors, and will not learn of their end"

      "init_changed" |> Findings.finding(:warn, module, detail) |> Findings.of_processes(module, count)
    end
  end

  defp told?(%{module: module} = pair) do
    code = Pair.code(pair, :new)

    Enum.any?(CodeFacts.reached(code, module, @callbacks), fn {_, body} ->
      Enum.any?(CodeFacts.calls(body), &(&1 in @monitors))
    end) and {:DOWN, 5} in Messages.named(code[{:handle_info, 2}], {:x, 0})
  end

  # Several of them: a list, a set, or a map by them or by something else. One alone may be its parent, or a server that it asks.
  defp pids?({:cons, {:tuple, [{:atom, _} | _]}, tail}), do: pids?(tail)
  defp pids?({:cons, head, tail}), do: pid?(head) or pids?(tail)
  defp pids?({:tuple, values}), do: Enum.any?(values, &pids?/1)

  defp pids?({:map, values, _}),
    do: pid?(Value.others(values)) or values |> Map.values() |> Enum.any?(&pids?/1)

  defp pids?(_value), do: false

  defp pid?({:is, :pid}), do: true
  defp pid?({:tuple, values}), do: Enum.any?(values, &pid?/1)
  defp pid?(_value), do: false
end

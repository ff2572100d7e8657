defmodule FlyDeployAgent.Loops do
  @moduledoc """
  Processes that loop in a module that changes, and that speak no system messages: which code they run next depends on how the loop calls
  itself.
  """

  alias FlyDeployAgent.{CodeFacts, Findings, Pair, Stack}

  @asked 200

  @doc "The findings about `holders`, processes with changed modules on their stack."
  @spec findings([Pair.t()], [{pid, [module]}]) :: [Findings.finding()]
  def findings(pairs, holders) do
    by_module = for %{module: module, old: %{}} = pair <- pairs, into: %{}, do: {module, pair}

    found =
      for {pid, _modules} <- Enum.take(holders, @asked),
          [{waits, _, _} | _] = frames <- [Stack.frames(pid)],
          # It waits for a message there, and does not only pass through.
          {^waits, f, a} <- frames,
          pair = by_module[waits],
          uniq: true,
          do: {pid, pair, {f, a}}

    found
    |> Enum.group_by(fn {_, pair, function} -> {pair, function} end, &elem(&1, 0))
    |> Enum.flat_map(fn {{pair, function}, pids} -> finding(pair, function, pids) end)
  end

  defp finding(%{module: module} = pair, {f, a} = function, pids) do
    code = Pair.code(pair, :old)

    cond do
      not Pair.differs?(pair, [function]) ->
        []

      again?(code, module, function, &local/1) ->
        [told(module, pids, "#{f}/#{a}", "stays in the old code")]

      again?(code, module, function, &CodeFacts.calls/1) ->
        [told(module, pids, "#{f}/#{a}", "runs the new code from its next turn on, with what it holds now")]

      true ->
        []
    end
  end

  # Whether a function comes back to itself by these calls.
  defp again?(code, module, function, calls) do
    next = fn at -> for {^module, f, a} <- calls.(Map.get(code, at, [])), do: {f, a} end
    reaches?(next.(function), function, next, MapSet.new())
  end

  defp reaches?([], _function, _next, _seen), do: false
  defp reaches?([function | _], function, _next, _seen), do: true

  defp reaches?([at | rest], function, next, seen) do
    if at in seen,
      do: reaches?(rest, function, next, seen),
      else: reaches?(next.(at) ++ rest, function, next, MapSet.put(seen, at))
  end

  defp local(body), do: for(op <- body, elem(op, 0) in [:call, :call_only, :call_last], do: elem(op, 2))

  defp told(module, pids, function, what) do
    %{
      name: "hidden_process",
      severity: :warn,
      subject: inspect(module),
      processes: length(pids),
      pids: pids,
      detail:
        "#{function} is run by #{Findings.some(pids, &Findings.who/1)}: such a loop takes no part in upgrades, and #{what}"
    }
  end
end

defmodule FlyDeployAgent.StartFindings do
  @moduledoc """
  What starts of the new version do, and those have not done that run: as far as it depends on what they started with, which their states tell.
  """

  alias FlyDeployAgent.{Conditions, Demands, Findings, NewStates, Once, Pair, StartRows, Starts}

  @start [init: 1, handle_continue: 2]
  # All modules together.
  @time_ms 4_000

  @doc "The findings about processes of changed modules, by the shapes of their states; `demanded` are those about what they lack."
  @spec all(
          [%{holder: term, found: tuple}],
          %{module => Pair.t()},
          Demands.codes(),
          [Findings.finding()],
          time_ms :: non_neg_integer
        ) :: [Findings.finding()]
  def all(shapes, by_module, codes, demanded, time_ms \\ @time_ms) do
    until = System.monotonic_time(:millisecond) + time_ms

    timed = fn version, module ->
      (System.monotonic_time(:millisecond) < until || throw(:late)) && codes.(version, module)
    end

    {late, told} =
      for {module, all} <- Enum.group_by(shapes, & &1.holder, & &1.found),
          %{old: %{}} = pair <- [by_module[module]] do
        states = for {:shape, kind, state} <- all, do: {kind, state}
        timed(pair, states) ++ conditions(pair, states) ++ by_states(pair, states, {timed, demanded})
      end
      |> Enum.concat()
      |> Enum.split_with(&(&1 == :late))

    told ++ late(length(late))
  end

  # Callbacks are followed with each state, as often as there is time.
  defp by_states(pair, states, {codes, demanded}) do
    lacked(pair, states, {codes, demanded}) ++ rows(pair, states, codes)
  catch
    :late -> [:late]
  end

  defp late(0), do: []

  defp late(count),
    do: [
      Findings.not_compared(
        "there was no time to follow the states of #{if count == 1, do: "1 module", else: "#{count} modules"} with what a start of the new code sets"
      )
    ]

  # State machines that are in a state which the new version starts with a timeout: theirs has none.
  defp timed(pair, states) do
    names = for {:gen_statem, {:tuple, [{:atom, name} | _]}} <- states, do: name

    for state <- if(names == [], do: [], else: Starts.timed(pair)),
        count = Enum.count(names, &(&1 == state)),
        count > 0 do
      finding(
        pair,
        count,
        "now starts in #{inspect(state)} with a timeout; #{if count == 1, do: "1 process is", else: "#{count} processes are"} in that state without it"
      )
    end
  end

  defp conditions(%{module: module} = pair, states) do
    found = Conditions.new(pair, Once.new(pair, @start))

    for {calls, conditions} <- found |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> by_calls(),
        count = Enum.count(states, fn {_, state} -> Enum.any?(conditions, &may_hold?(&1, state)) end),
        count > 0 do
      finding(
        pair,
        count,
        "now #{calls |> Enum.take(3) |> done()} when it starts with #{Enum.map_join(Enum.take(conditions, 3), ", ", &Conditions.told/1)} as well; #{number(count, module)}"
      )
    end
  end

  defp done([{:then, _} | _] = texts), do: Enum.map_join(texts, ", ", &elem(&1, 1))
  defp done(calls), do: "calls #{Enum.map_join(calls, ", ", &Once.told/1)}"

  # Conditions under which the same is done are one.
  defp by_calls(found), do: Enum.group_by(found, &elem(&1, 1), &elem(&1, 0))

  defp may_hold?(condition, state), do: Conditions.holds?(condition, state) != false

  defp number(1, module), do: "1 process of #{inspect(module)}, which may have started so, has not done that"

  defp number(count, module),
    do: "#{count} processes of #{inspect(module)}, which may have started so, have not done that"

  # What the new code cannot do without is told of already.
  defp lacked(%{module: module} = pair, states, {codes, demanded}) do
    known = for %{modules: [^module], keys: keys} <- demanded, key <- keys, do: key

    for {keys, {f, a}, count} <- NewStates.lacked(pair, states, codes), List.last(keys) not in known do
      finding(
        pair,
        count,
        "now sets #{Enum.map_join(keys, ".", &inspect/1)} when it starts, by which #{f}/#{a} does other things; #{if count == 1, do: "1 process", else: "#{count} processes"} of #{inspect(module)} started without it"
      )
    end
  end

  defp rows(pair, states, codes) do
    for {key, {f, a}, count} <- StartRows.held(pair, states, codes) do
      told = if is_atom(key), do: inspect(key), else: "a row"

      %{
        finding(
          pair,
          count,
          "#{f}/#{a} reads, once its start has put it, #{told} in the table that its state holds, where nothing has that key"
        )
        | name: "table_changed"
      }
    end
  end

  defp finding(%{module: module}, count, detail),
    do: "init_changed" |> Findings.finding(:warn, module, detail) |> Findings.of_processes(module, count)
end

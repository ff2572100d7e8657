defmodule FlyDeployAgent.Measured do
  @moduledoc """
  What handlers of telemetry's events were attached to read, and the new code measures under that name no more: the settings that they were attached
  with stay as they are.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Shapes, Value}

  @table :telemetry_handler_table
  @executes [{:telemetry, :execute, 2}, {:telemetry, :execute, 3}]

  @doc "The findings about events that changed modules execute."
  @spec findings([Pair.t()]) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs) do
    pairs = for %{old: %{}} = pair <- pairs, executes?(pair.old) and executes?(pair.new), do: pair
    attached = if pairs == [], do: [], else: attached()

    [before, now] =
      for version <- [:old, :new], do: if(attached == [], do: [], else: measured(pairs, version))

    for {event, read} <- attached,
        {_, keys, module} <- Enum.filter(before, &match?({^event, _, _}, &1)),
        measured = for({^event, keys, _} <- now, do: keys),
        measured != [],
        key <- keys,
        key in read and not Enum.any?(measured, &(key in &1)),
        uniq: true,
        do: %{
          name: "stale_shape",
          severity: :warn,
          subject: inspect(module),
          detail:
            "no longer measures #{inspect(key)} with the event #{inspect(event)}, and a handler is attached to it with settings that name #{inspect(key)}"
        }
  end

  defp executes?(%{imports: imports}), do: Enum.any?(@executes, &(&1 in imports))

  # `{event, atoms of what the handler was attached with}`.
  defp attached do
    if :ets.whereis(@table) == :undefined,
      do: [],
      else:
        for(
          {:handler, _id, event, _fun, settings} <- Shapes.rows(@table),
          do: {event, settings |> Value.of() |> named()}
        )
  end

  defp named({:map, values, _}), do: values |> Map.values() |> Enum.flat_map(&named/1)
  defp named(value), do: Value.atoms(value)

  # `{event, keys, module}`, of those whose keys are all known.
  defp measured(pairs, version) do
    for %{module: module} = pair <- pairs,
        code = Pair.code(pair, version),
        roots =
          for(
            {{f, a}, body} <- code,
            Enum.any?(CodeFacts.calls(body), &(&1 in @executes)),
            do: {module, f, a}
          ),
        program = Paths.alone(module, code, roots),
        {_, _, a} = root <- roots,
        {mfa, [event, measurements | _]} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        mfa in @executes,
        {:ok, event} <- [event(Value.parts(event))],
        {:map, values, true} <- [Value.parts(measurements)],
        uniq: true,
        do: {event, Map.keys(values), module}
  end

  defp event(value) do
    case Value.elements(value) do
      {[_ | _] = names, true} ->
        if(Enum.all?(names, &match?({:const, _}, &1)), do: {:ok, for({:const, name} <- names, do: name)})

      _ ->
        nil
    end
  end
end

defmodule FlyDeployAgent.Handlers do
  @moduledoc """
  Functions of changed modules that tables hold, to be called with what stands beside them: handlers with their settings, as telemetry
  keeps them, jobs with their arguments; and what logger calls, handlers, filters and formatters. Both versions are followed with it, see
  `FlyDeployAgent.Paths`.
  """

  alias FlyDeployAgent.{DemandFindings, Pair, Paths, Shapes, Value}

  @doc "The findings about functions that do not take any more what they will be called with."
  @spec findings([Pair.t()], FlyDeployAgent.Demands.codes()) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, codes) do
    by_module = for %{old: %{}} = pair <- pairs, into: %{}, do: {pair.module, pair}

    for {holder, severity, {m, f, given}} <- if(by_module == %{}, do: [], else: held() ++ logging()),
        pair = by_module[m],
        Pair.both?(pair, {f, length(given)}),
        demand = refused({m, f, length(given)}, given, codes),
        uniq: true do
      %{
        name: "stale_shape",
        severity: severity,
        subject: "what #{Exception.format_mfa(m, f, length(given))} is called with",
        detail: "is kept #{holder}, and is not what the new code takes: #{DemandFindings.wants(demand)}"
      }
    end
  end

  defp held do
    for table <- :ets.all(),
        row <- Shapes.rows(table),
        elements = Tuple.to_list(row),
        element <- elements,
        {severity, call} <- call(element, List.last(elements)),
        uniq: true,
        do: {"in the table #{inspect(:ets.info(table, :name))}", severity, call}
  end

  # An event is what comes.
  defp logging do
    for(
      %{id: id, module: module} = handler <- :logger.get_handler_config(),
      call <- [{module, :log, [:any, Value.of(handler)]} | formatter(handler) ++ filters(handler)],
      do: {"by logger, for #{inspect(id)}", :block, call}
    ) ++ for call <- filters(:logger.get_primary_config()), do: {"by logger, for all handlers", :block, call}
  end

  defp formatter(%{formatter: {module, settings}}) when is_atom(module),
    do: [{module, :format, [:any, Value.of(settings)]}]

  defp formatter(_handler), do: []

  defp filters(%{filters: filters}) do
    for {_id, {fun, extra}} <- filters,
        is_function(fun, 2),
        info = Function.info(fun),
        info[:type] == :external,
        do: {info[:module], info[:name], [:any, Value.of(extra)]}
  end

  defp filters(_handler), do: []

  # What stands last beside a function will be its last argument, of which the others come with the event.
  defp call(fun, last) when is_function(fun) and not is_function(last) do
    info = Function.info(fun)

    if info[:type] == :external and info[:arity] > 0 and settings?(last),
      do: [
        {:warn, {info[:module], info[:name], List.duplicate(:any, info[:arity] - 1) ++ [Value.of(last)]}}
      ],
      else: []
  end

  defp call({m, f, [_ | _] = arguments}, _last) when is_atom(m) and is_atom(f),
    do: if(List.improper?(arguments), do: [], else: [{:block, {m, f, Enum.map(arguments, &Value.of/1)}}])

  defp call(_element, _last), do: []

  defp settings?(%{}), do: true
  defp settings?([{key, _} | _]), do: is_atom(key)
  defp settings?(_term), do: false

  defp refused(mfa, given, codes) do
    [old, new] =
      for version <- [:old, :new], do: Paths.follow(Paths.program(&codes.(version, &1), [mfa]), mfa, given)

    known = for %{demand: demand} <- old.misses, do: demand
    # It stays what it is, as long as the function is held.
    missed = for %{demand: demand} <- new.misses, demand not in known, do: demand
    if old.whole and new.whole and old.returns != [], do: List.first(missed)
  end
end

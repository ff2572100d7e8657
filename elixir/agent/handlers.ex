defmodule FlyDeployAgent.Handlers do
  @moduledoc """
  Functions of changed modules that tables hold, to be called with what stands beside them: handlers with their events and settings, as telemetry
  keeps them, jobs with their arguments; and what logger calls, handlers, filters and formatters. Both versions are followed with it, see
  `FlyDeployAgent.Paths`.
  """

  alias FlyDeployAgent.{Attached, DemandFindings, Pair, Paths, Shapes, Value}

  @doc "The findings about functions that do not take any more what they will be called with, or no longer do with it what they do with other things."
  @spec findings([Pair.t()], FlyDeployAgent.Demands.codes()) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, codes) do
    by_module = for %{old: %{}} = pair <- pairs, into: %{}, do: {pair.module, pair}

    for {holder, severity, {m, f, given}} <- if(by_module == %{}, do: [], else: held() ++ logging()),
        pair = by_module[m],
        Pair.both?(pair, {f, length(given)}),
        why =
          refused({m, f, length(given)}, given, codes) || dropped({m, f, length(given)}, given, pairs, codes),
        uniq: true do
      %{
        name: "stale_shape",
        severity: severity,
        subject: "what #{Exception.format_mfa(m, f, length(given))} is called with",
        detail: "is kept #{holder}, and #{why}"
      }
    end
  end

  # What is given is `{:term, term}`, or `:any` for what comes with the event.
  defp held do
    for table <- :ets.all(),
        row <- Shapes.rows(table),
        elements = Tuple.to_list(row),
        {element, before} <- Enum.zip(elements, [nil | elements]),
        {severity, call} <- call(element, before, List.last(elements)),
        uniq: true,
        do: {"in the table #{inspect(:ets.info(table, :name))}", severity, call}
  end

  defp logging do
    for(
      %{id: id, module: module} = handler <- :logger.get_handler_config(),
      call <- [{module, :log, [:any, {:term, handler}]} | formatter(handler) ++ filters(handler)],
      do: {"by logger, for #{inspect(id)}", :block, call}
    ) ++ for call <- filters(:logger.get_primary_config()), do: {"by logger, for all handlers", :block, call}
  end

  defp formatter(%{formatter: {module, settings}}) when is_atom(module),
    do: [{module, :format, [:any, {:term, settings}]}]

  defp formatter(_handler), do: []

  defp filters(%{filters: filters}) do
    for {_id, {fun, extra}} <- filters,
        is_function(fun, 2),
        info = Function.info(fun),
        info[:type] == :external,
        do: {info[:module], info[:name], [:any, {:term, extra}]}
  end

  defp filters(_handler), do: []

  # What stands last beside a function will be its last argument, and an event that stands before it the first.
  defp call(fun, before, last) when is_function(fun) and not is_function(last) do
    info = Function.info(fun)
    others = List.duplicate(:any, max(info[:arity] - 2, 0))

    cond do
      info[:type] != :external or info[:arity] == 0 ->
        []

      info[:arity] > 1 and event?(before) ->
        [{:warn, {info[:module], info[:name], [{:term, before}] ++ others ++ [{:term, last}]}}]

      not settings?(last) ->
        []

      info[:arity] == 1 ->
        [{:warn, {info[:module], info[:name], [{:term, last}]}}]

      true ->
        [{:warn, {info[:module], info[:name], [:any | others] ++ [{:term, last}]}}]
    end
  end

  defp call({m, f, [_ | _] = arguments}, _before, _last) when is_atom(m) and is_atom(f),
    do: if(List.improper?(arguments), do: [], else: [{:block, {m, f, Enum.map(arguments, &{:term, &1})}}])

  defp call(_element, _before, _last), do: []

  defp event?([_ | _] = list), do: not List.improper?(list) and Enum.all?(list, &(is_atom(&1) and &1 != nil))
  defp event?(_term), do: false

  defp settings?(%{}), do: true
  defp settings?([{key, _} | _]), do: is_atom(key)
  defp settings?(_term), do: false

  defp shape({:term, term}), do: Value.of(term)
  defp shape(:any), do: :any

  # It stays what it is, as long as the function is held.
  defp exactly({:term, term}), do: {:const, term}
  defp exactly(:any), do: :any

  defp follow(mfa, given, version, codes),
    do: Paths.follow(Paths.program(&codes.(version, &1), [mfa]), mfa, given)

  defp refused(mfa, given, codes) do
    shapes = Enum.map(given, &shape/1)
    exactly = Enum.map(given, &exactly/1)
    [old, new] = for version <- [:old, :new], do: follow(mfa, shapes, version, codes)
    known = for %{demand: demand} <- old.misses, do: demand
    missed = for %{demand: demand} <- new.misses, demand not in known, do: demand

    cond do
      not (old.whole and new.whole) or old.returns == [] ->
        nil

      missed != [] ->
        "is not what the new code takes: #{DemandFindings.wants(hd(missed))}"

      raises?(follow(mfa, exactly, :new, codes)) and not raises?(follow(mfa, exactly, :old, codes)) ->
        "the new code has no clause for it"

      true ->
        nil
    end
  end

  defp raises?(%{whole: whole, returns: returns}), do: whole and returns == []

  # What the running code does with it, and the new code only with what it attaches the function with itself.
  defp dropped({m, f, a} = mfa, given, pairs, codes) do
    exactly = Enum.map(given, &exactly/1)

    attached =
      for {_mfa, ^f, arguments} <- Attached.attached(pairs, :new, m),
          do: arguments

    with [_ | _] <- attached,
         false <- Enum.any?(attached, &with?(&1, mfa, given)),
         [old, new] = for(version <- [:old, :new], do: follow(mfa, exactly, version, codes)),
         other = follow(mfa, List.duplicate(:any, a), :new, codes),
         true <- old.whole and new.whole and other.whole,
         [{x, y, z} | _] <-
           (Paths.called(old) -- Paths.called(new)) -- Paths.called(old) -- Paths.called(other) do
      "the new code no longer calls #{Exception.format_mfa(x, y, z)} with it, as it does with what it attaches now"
    else
      _ -> nil
    end
  end

  # Whether the function is attached with the same: an event, or a list of them, and settings stand beside it.
  defp with?(arguments, mfa, given) do
    case Enum.find_index(arguments, &(&1 == {:fun, mfa, []})) do
      n when n in [nil, 0] ->
        true

      n ->
        event_like?(Enum.at(arguments, n - 1), hd(given)) and
          like?(Enum.at(arguments, n + 1, :any), List.last(given))
    end
  end

  defp event_like?(_argument, :any), do: true

  defp event_like?(argument, event) do
    {events, all} = Value.elements(argument)
    not all or like?(argument, event) or Enum.any?(events, &(match?({:cons, _, _}, &1) and like?(&1, event)))
  end

  defp like?(_argument, :any), do: true
  defp like?(argument, {:term, term}), do: Value.like?(argument, Value.parts({:const, term}))
end

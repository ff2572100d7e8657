defmodule FlyDeployAgent.Grown do
  @moduledoc """
  Maps that a module puts together with a further key, as entries of a state, and that functions of it take that key of: those that live, with the
  keys that the running version gives them, do not have it.
  """

  alias FlyDeployAgent.{Findings, Pair, Paths, Value}

  # Functions that are followed, of one module, and maps of the same keys that are tried.
  @functions 40
  @tried 4

  @doc "The findings about `states`, the shapes of those that live by their changed modules. Of what stands in `told` no more is told."
  @spec findings(%{module => [Value.t()]}, %{module => Pair.t()}, told :: [Findings.finding()]) :: [
          Findings.finding()
        ]
  def findings(states, by_module, told) do
    for {module, all} <- states,
        %{old: %{}} = pair <- [by_module[module]],
        not Pair.migrates?(pair, 3) and not Pair.migrates?(pair, 4),
        {keys, more} <- grown(pair),
        held =
          for(
            state <- all,
            {:map, values, true} = map <- within(state),
            keys?(values, keys),
            uniq: true,
            do: Value.general(map)
          ),
        held != [],
        {key, {f, a}} <- pair |> taken(more, held) |> Enum.take(1),
        not told?(told, module, key) do
      subject = "what #{inspect(module)} holds, without #{inspect(key)}"

      detail =
        "maps with #{Enum.map_join(keys, ", ", &inspect/1)} are held by #{Findings.number(length(all))} of #{inspect(module)}; the new code takes " <>
          "#{inspect(key)} of such (in #{f}/#{a}), and puts it into new ones only"

      "stale_shape" |> Findings.finding(:warn, subject, detail) |> Findings.of_processes(module, length(all))
    end
  end

  defp told?(told, module, key) do
    [whose, without] = ["#{inspect(module)}'s ", " without #{inspect(key)}"]
    Enum.any?(told, &(String.starts_with?(&1.subject, whose) and String.ends_with?(&1.subject, without)))
  end

  # The keys of maps that the running version makes and the new one does not, and those that it gives them besides.
  defp grown(pair) do
    [old, new] = for version <- [:old, :new], do: pair |> Pair.code(version) |> made()

    for keys <- MapSet.difference(old, new),
        length(keys) > 1,
        [more] <- [for(other <- MapSet.difference(new, old), keys -- other == [], do: other -- keys)],
        do: {keys, more}
  end

  defp made(code) do
    for {_function, body} <- code,
        op <- body,
        %{} = map <- put(op),
        not is_map_key(map, :__struct__),
        keys = Map.keys(map),
        Enum.all?(keys, &is_atom/1),
        into: MapSet.new(),
        do: Enum.sort(keys)
  end

  defp put({:put_map_assoc, _, {:literal, %{} = map}, _, _, {:list, pairs}}),
    do: [Map.merge(map, Map.new(keys(pairs), &{&1, nil})) | within_literal(Map.values(map))]

  defp put({:move, {:literal, term}, _to}), do: within_literal(term)

  defp put({:put_tuple2, _to, {:list, all}}),
    do: for({:literal, term} <- all, map <- within_literal(term), do: map)

  defp put({:put_list, head, tail, _to}),
    do: for({:literal, term} <- [head, tail], map <- within_literal(term), do: map)

  defp put(_op), do: []

  defp keys([{_, key}, _value | rest]), do: [key | keys(rest)]
  defp keys(_none), do: []

  defp within_literal(%{} = map), do: [map | within_literal(Map.values(map))]
  defp within_literal([head | tail]), do: within_literal(head) ++ within_literal(tail)
  defp within_literal(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> within_literal()
  defp within_literal(_term), do: []

  # -- what lives

  # A state itself is looked at by all that is called with it.
  defp within({:map, values, _}), do: values |> Map.values() |> Enum.flat_map(&[&1 | within(&1)])
  defp within({:tuple, values}), do: Enum.flat_map(values, &[&1 | within(&1)])
  defp within({:cons, head, tail}), do: [head | within(head)] ++ within(tail)
  defp within(_value), do: []

  defp keys?(values, keys), do: Enum.sort(Map.keys(values)) == keys

  # -- what takes it

  defp taken(%{module: module} = pair, more, held) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)

    for {{f, a} = function, body} <- new |> Enum.filter(&names?(&1, more)) |> Enum.take(@functions),
        a > 0 and old[function] != body,
        program = Paths.alone(module, new, [{module, f, a}]),
        n <- 0..(a - 1),
        map <- Enum.take(held, @tried),
        {:key, key, nil} <- missed(program, {module, f, a}, n, map),
        key in more,
        is_nil(old[function]) or
          {:key, key, nil} not in missed(Paths.alone(module, old, [{module, f, a}]), {module, f, a}, n, map),
        uniq: true,
        do: {key, function}
  end

  defp missed(program, {_, _, a} = mfa, n, map) do
    arguments = :any |> List.duplicate(a) |> List.replace_at(n, map)
    for %{demand: demand} <- Paths.follow(program, mfa, arguments).misses, do: demand
  end

  defp names?({_function, body}, keys) do
    Enum.any?(body, fn
      {name, _, _, {:list, all}} when name in [:get_map_elements, :has_map_fields] ->
        Enum.any?(keys, &({:atom, &1} in all))

      _op ->
        false
    end)
  end
end

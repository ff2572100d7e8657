defmodule FlyDeployAgent.KeyShapes do
  @moduledoc """
  Rows of named tables that are looked for by keys which the new code puts together otherwise: no row that is there has a key of that shape, and
  those that the running code puts together are of theirs.
  """

  alias FlyDeployAgent.{CodeFacts, Demands, Pair, Paths, Shapes, Value}

  @reading [
    {:ets, :lookup, 2},
    {:ets, :member, 2},
    {:ets, :take, 2},
    {:ets, :lookup_element, 3},
    {:ets, :lookup_element, 4}
  ]
  # All of them; half of it for what changed modules give to others.
  @time_ms 2_000
  # Rows that are looked at.
  @rows 50

  @doc """
  The findings about keys of changed modules, and of those of others that they give them; `callers` gives the modules that call some. Of tables
  in which rows of another shape are put, as `told` says, no more is told.
  """
  @spec findings([Pair.t()], callers :: ([module] -> [module]), Demands.codes(), told :: [map]) :: [
          FlyDeployAgent.Findings.finding()
        ]
  def findings(pairs, callers, codes, told) do
    until = System.monotonic_time(:millisecond) + @time_ms

    reading =
      for %{module: m, old: %{}, new: %{imports: imports}} <- pairs,
          Enum.any?(@reading, &(&1 in imports)),
          do: m

    giving =
      for %{module: m, old: %{}} = pair <- pairs,
          System.monotonic_time(:millisecond) < until - div(@time_ms, 2),
          gives?(pair),
          do: m

    modules = reading ++ if giving == [], do: [], else: callers.(giving)

    for module <- modules,
        code = codes.(:new, module),
        reads?(code),
        root <- roots(module, code),
        System.monotonic_time(:millisecond) < until,
        [old, new] = for(version <- [:old, :new], do: keys(root, version, codes)),
        {name, key} <- new -- old,
        not Enum.any?(told, &(&1.detail =~ "the table #{inspect(name)} ")),
        before = for({^name, key} <- old, do: key),
        before != [],
        live = live(name),
        live != [] and not fits?(key, live) and Enum.all?(before, &fits?(&1, live)),
        uniq: true do
      %{
        name: "table_changed",
        severity: :warn,
        subject: inspect(module),
        detail:
          "looks in the table #{inspect(name)} for a key that is put together otherwise than those that are there: it finds none of them"
      }
    end
  end

  # Whether functions that others call put something else together than before.
  defp gives?(%{module: module, old: %{exports: exports}} = pair) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)

    Enum.any?(new, fn {{f, a} = function, body} ->
      function in exports and a > 0 and old[function] not in [nil, body] and
        Enum.any?(body, &(elem(&1, 0) in [:put_tuple2, :put_map_assoc])) and
        given(module, new, {f, a}) -- given(module, old, {f, a}) != []
    end)
  end

  defp given(module, code, {f, a}) do
    root = {module, f, a}

    %{returns: returns, whole: whole} =
      module |> Paths.alone(code, [root]) |> Paths.follow(root, List.duplicate(:any, a))

    if whole,
      do: for(value <- returns, Value.type(value) in [:tuple, :map], do: kind(Value.parts(value))),
      else: []
  end

  # What it is made of, whatever it has within.
  defp kind({:tuple, [{:const, tag} | rest]}), do: {tag, length(rest)}
  defp kind({:tuple, values}), do: length(values)
  defp kind({:map, values, _}), do: Enum.sort(Map.keys(values))
  defp kind(_value), do: nil

  defp reads?(code), do: Enum.any?(code, fn {_, body} -> reading?(body) end)
  defp reading?(body), do: Enum.any?(CodeFacts.calls(body), &(&1 in @reading))

  defp roots(module, code), do: for({{f, a}, body} <- code, reading?(body), do: {module, f, a})

  defp keys({_, _, a} = root, version, codes) do
    program = Paths.program(&codes.(version, &1), [root])

    with true <- is_map_key(program, root),
         %{calls: calls, whole: true} <- Paths.follow(program, root, List.duplicate(:any, a)) do
      # Whether a constant is there is asked elsewhere.
      for {mfa, [{:const, name}, key | _]} <- calls,
          mfa in @reading and is_atom(name) and not match?({:const, _}, key),
          uniq: true,
          do: {name, Value.parts(key)}
    else
      _ -> []
    end
  end

  defp live(name) do
    case :ets.info(name, :keypos) do
      n when is_integer(n) ->
        for row <- name |> Shapes.rows() |> Enum.take(@rows), do: row |> elem(n - 1) |> Value.of()

      _ ->
        []
    end
  end

  defp fits?(key, live), do: Enum.any?(live, &may_be?(key, &1))

  # What the code puts together, and what lives.
  defp may_be?({:const, atom}, {:atom, other}) when is_atom(atom), do: atom == other
  defp may_be?({:tuple, some}, {:tuple, others}), do: length(some) == length(others) and all?(some, others)

  defp may_be?({:map, some, complete}, {:map, others, true}) when complete != false,
    do: Map.keys(some) == Map.keys(others) and all?(Map.values(some), Map.values(others))

  defp may_be?(key, live) do
    case {Value.type(key), Value.type(live)} do
      {nil, _} -> true
      {_, nil} -> true
      {one, other} -> one == other
    end
  end

  defp all?(some, others),
    do: [some, others] |> Enum.zip() |> Enum.all?(fn {one, other} -> may_be?(one, other) end)
end

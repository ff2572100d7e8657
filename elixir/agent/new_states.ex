defmodule FlyDeployAgent.NewStates do
  @moduledoc """
  What states have that the new version starts with, and those that live lack, or have as something of another kind, where the new code copes with that by
  doing something else: an option's default that only a start applies. What it demands has findings of its own (`FlyDeployAgent.Demands`).
  """

  alias FlyDeployAgent.{Contexts, Demands, Pair, Paths, Places, Starts, Value}

  # How many of what starts set, and of the shapes that live.
  @keys 8
  @shapes 6
  @puts [
    {Map, :put, 3},
    {:maps, :put, 3},
    {Map, :put_new, 3},
    {Map, :merge, 2},
    {Keyword, :put, 3},
    {Keyword, :put_new, 3}
  ]

  @doc "As `{keys that lead there, callback, number of those of the states that lack it}`, for the states of processes of a changed module."
  @spec lacked(Pair.t(), [{atom, Value.t()}], Demands.codes()) :: [{[atom], {atom, arity}, pos_integer}]
  def lacked(%{module: module} = pair, states, codes) do
    with false <- Pair.migrates?(pair, 3) or Pair.migrates?(pair, 4),
         [_ | _] = set <- set(pair) do
      shapes = states |> Enum.frequencies() |> Enum.sort_by(&(-elem(&1, 1))) |> Enum.take(@shapes)

      roots =
        for {{kind, _}, _} <- shapes,
            %{function: {f, a}} <- contexts(kind, pair, codes),
            uniq: true,
            do: {module, f, a}

      program = Paths.program(&codes.(:new, &1), roots)
      set = Enum.reject(set, fn {path, _} -> later?(program, List.last(path)) end)

      for {path, value} <- set,
          found =
            for(
              {{kind, state}, n} <- shapes,
              f = otherwise(pair, program, {kind, state}, {path, value}, codes),
              do: {f, n}
            ),
          found != [] do
        {[{f, _} | _], counts} = {found, Enum.map(found, &elem(&1, 1))}
        {path, f, Enum.sum(counts)}
      end
    else
      _ -> []
    end
  end

  defp contexts(kind, pair, codes), do: Contexts.all(kind, pair, codes.(:new, pair.module) || %{})

  # What every start of the new version sets, and none of the running one, as far as these are known, or as another kind of thing.
  defp set(pair) do
    [before, now] = for version <- [:old, :new], do: pair |> Starts.states(version) |> Enum.map(&Places.of/1)

    for paths <- Enum.take(now, 1),
        path <- paths |> Map.keys() |> Enum.sort(),
        Enum.all?(path, &is_atom/1) and Enum.all?(now, &is_map_key(&1, path)),
        value = applied(Starts.agreed(for paths <- now, do: paths[path])),
        value != {:const, nil},
        Enum.all?(before, &(not is_map_key(&1, path) or unlike?(applied(&1[path]), value))),
        # Beside what the running one sets, not in something new as a whole.
        path |> Enum.drop(-1) |> there?(before) do
      {path, value}
    end
    |> Enum.take(@keys)
  end

  defp there?([], _before), do: true
  defp there?(path, before), do: Enum.any?(before, &is_map_key(&1, path))

  defp unlike?(one, other), do: Value.type(one) not in [nil, Value.type(other)] and Value.type(other) != nil

  # Nobody has given an option that the running version did not know.
  defp applied({:default, term}), do: {:const, term}
  defp applied(value), do: value

  # What others than a start put there, it has in the course of time.
  defp later?(program, key) do
    Enum.any?(program, fn {_, {body, _}} ->
      Enum.any?(body, fn
        {:put_map_assoc, _, _, _, _, {:list, pairs}} -> {:atom, key} in pairs
        _op -> false
      end)
    end) or
      Enum.any?(Map.keys(program), fn {_, _, a} = mfa ->
        Enum.any?(Paths.follow(program, mfa, List.duplicate(:any, a)).calls, fn {call, arguments} ->
          call in @puts and {:const, key} in arguments
        end)
      end)
  end

  # The first callback that does something else.
  defp otherwise(%{module: module} = pair, program, {kind, state}, {path, value}, codes) do
    with {:ok, other} <- with_it(state_of(kind, state), path, value) do
      other = of_kind(kind, state, other)

      Enum.find_value(contexts(kind, pair, codes), fn %{function: {f, a}} = context ->
        Enum.any?(Contexts.messages(context, module, codes), fn {message, _} ->
          [without, with_it] =
            for state <- [state, other],
                do: Paths.follow(program, {module, f, a}, Contexts.arguments(context, message, state))

          without.whole and with_it.whole and without.misses == [] and
            otherwise?(done(with_it, path), done(without, path), match?({:const, _}, value))
        end) and {f, a}
      end)
    else
      _ -> nil
    end
  end

  defp state_of(:gen_statem, {:tuple, [_name, data]}), do: data
  defp state_of(kind, {:map, %{assigns: assigns}, _}) when kind in [:view, :channel], do: assigns
  defp state_of(_kind, state), do: state

  defp of_kind(:gen_statem, {:tuple, [name, _]}, data), do: {:tuple, [name, data]}

  defp of_kind(kind, {:map, values, all}, assigns) when kind in [:view, :channel],
    do: {:map, %{values | assigns: assigns}, all}

  defp of_kind(_kind, _state, state), do: state

  # A state with what it lacks. Where it may be there, nothing is said.
  defp with_it({:map, values, true}, [key], value) do
    case values do
      %{^key => there} -> if unlike?(there, value), do: {:ok, {:map, Map.put(values, key, value), true}}
      _ -> {:ok, {:map, Map.put(values, key, value), true}}
    end
  end

  defp with_it({:map, values, all}, [key | path], value) do
    with %{^key => there} <- values,
         {:ok, there} <- with_it(there, path, value),
         do: {:ok, {:map, Map.put(values, key, there), all}},
         else: (_ -> nil)
  end

  defp with_it(options, [key], value) do
    with {elements, true} <- Value.elements(options),
         true <- Enum.all?(elements, &match?({:tuple, [{:atom, _}, _]}, &1)),
         false <- Enum.any?(elements, &match?({:tuple, [{:atom, ^key}, _]}, &1)) do
      {:ok, {:cons, {:tuple, [{:atom, key}, value]}, options}}
    else
      _ -> nil
    end
  end

  defp with_it(_state, _path, _value), do: nil

  # What it calls for want of it may well give the same. With what is not known it may do more than with what is.
  defp otherwise?(same, same, _known), do: false
  defp otherwise?({[_ | _], _}, {[], _}, _known), do: true

  defp otherwise?({returns, calls}, {other, without}, known) do
    without -- calls == [] and
      (known or calls != without or
         not Enum.all?(other, fn value -> Enum.any?(returns, &Value.like?(&1, value)) end))
  end

  defp done(%{returns: returns} = told, path) do
    key = List.last(path)

    {returns |> Enum.map(&(&1 |> Value.parts() |> unkeyed(key))) |> Enum.uniq() |> Enum.sort(),
     Paths.called(told)}
  end

  defp unkeyed({:map, values, all}, key),
    do: {:map, for({k, value} <- values, k != key, into: %{}, do: {k, unkeyed(value, key)}), all}

  defp unkeyed({:tuple, values}, key), do: {:tuple, Enum.map(values, &unkeyed(&1, key))}
  defp unkeyed({:cons, {:tuple, [{_, key}, _]}, rest}, key), do: unkeyed(rest, key)
  defp unkeyed({:cons, head, tail}, key), do: {:cons, unkeyed(head, key), unkeyed(tail, key)}
  defp unkeyed({:atom, atom}, _key), do: {:const, atom}
  defp unkeyed(:empty, _key), do: {:const, []}
  defp unkeyed(value, _key), do: value
end

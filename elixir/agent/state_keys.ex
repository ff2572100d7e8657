defmodule FlyDeployAgent.StateKeys do
  @moduledoc """
  Keys of a state that is a plain map: those that a process of the new version has from its start, and that the new code takes. A
  process of the running version has them only if its `code_change` brings them.
  """

  alias FlyDeployAgent.{CodeFacts, Pair}

  @start [init: 1, handle_continue: 2]
  # Instructions between an argument and the call.
  @before_call 4

  @doc "The keys that only the new version puts into maps when it starts, and that its other functions take from maps."
  @spec new(Pair.t()) :: [atom]
  def new(%{module: module} = pair) do
    case put(pair, :new) -- put(pair, :old) do
      [] ->
        []

      keys ->
        starting = pair |> Pair.code(:new) |> CodeFacts.reached(module, @start) |> Map.keys()

        taken = for {_, body} <- Map.drop(Pair.code(pair, :new), starting), key <- taken(body), do: key

        Enum.filter(keys, &(&1 in taken))
    end
  end

  defp put(%{module: module} = pair, version) do
    reached = pair |> Pair.code(version) |> CodeFacts.reached(module, @start)
    Enum.uniq(for {_, body} <- reached, op <- body, key <- put(op), do: key)
  end

  defp put(op) when is_tuple(op),
    do: op |> Tuple.to_list() |> Enum.flat_map(&literal/1) |> Enum.concat(assigned(op))

  defp assigned({:put_map_assoc, _, _, _, _, {:list, pairs}}), do: keys(pairs)
  defp assigned(_op), do: []

  defp literal({:literal, %{} = map}) when not is_struct(map),
    do: map |> Map.keys() |> Enum.filter(&is_atom/1)

  defp literal({:literal, tuple}) when is_tuple(tuple), do: literals(Tuple.to_list(tuple))
  defp literal({:list, operands}), do: Enum.flat_map(operands, &literal/1)
  defp literal(_operand), do: []

  # {:ok, %{…}}, as init/1 gives it.
  defp literals(terms),
    do: for(%{} = map <- terms, not is_struct(map), key <- Map.keys(map), is_atom(key), do: key)

  # What is sure to raise where the key is missing: %{map | key: value}, and map.key.
  defp taken([{:put_map_exact, _, _, _, _, {:list, pairs}} | rest]), do: keys(pairs) ++ taken(rest)

  defp taken([{:put_tuple2, _, {:list, [{:atom, :badkey}, {:atom, key} | _]}} | rest]),
    do: [key | taken(rest)]

  # From Elixir 1.20 on a function raises it, which gets the key second.
  defp taken([{:move, {:atom, key}, {:x, 1}} | rest]) do
    if rest |> Enum.take(@before_call) |> Enum.any?(&raises?/1), do: [key | taken(rest)], else: taken(rest)
  end

  defp taken([_ | rest]), do: taken(rest)
  defp taken([]), do: []

  defp raises?(op),
    do: tuple_size(op) > 2 and elem(op, 2) == {:extfunc, :elixir_erl_pass, :no_parens_remote, 2}

  defp keys([{:atom, key}, _value | rest]), do: [key | keys(rest)]
  defp keys([_key, _value | rest]), do: keys(rest)
  defp keys([]), do: []
end

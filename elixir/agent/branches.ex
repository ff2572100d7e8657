defmodule FlyDeployAgent.Branches do
  @moduledoc """
  What no sampled page has shown: keys that a template takes only in a branch which none of them took. Read from the code of both
  versions.
  """

  alias FlyDeployAgent.{CodeFacts, Pair}

  @pages [Phoenix.LiveView, Phoenix.LiveComponent]
  @render [render: 1]
  # Instructions between an argument and the call.
  @before_call 4
  # What only new pages do.
  @start [mount: 3, mount: 1]

  @doc """
  The keys that the new `render/1` of a view or a component takes, and the running one did not, that are not among those that
  live pages have; `[{module, [key]}]`. What the module sets later itself, in a callback, is left out.
  """
  @spec untaken([Pair.t()], live :: MapSet.t(atom)) :: [{module, [atom]}]
  def untaken(pairs, live) do
    for %{module: module, old: %{}} = pair <- pairs,
        Enum.any?(@pages, &(&1 in pair.new.behaviours)),
        keys = Enum.reject(taken(pair, :new) -- taken(pair, :old), &(&1 in live)),
        keys != [],
        keys = keys -- set_later(pair),
        keys != [],
        do: {module, Enum.sort(keys)}
  end

  defp taken(%{module: module} = pair, version) do
    reached = pair |> Pair.code(version) |> CodeFacts.reached(module, @render)
    for {_, body} <- reached, key <- keys(body), uniq: true, do: key
  end

  # What is sure to raise where the key is missing: %{map | key: value}, and map.key.
  defp keys([{:put_map_exact, _, _, _, _, {:list, pairs}} | rest]), do: updated(pairs) ++ keys(rest)

  defp keys([{:put_tuple2, _, {:list, [{:atom, :badkey}, {:atom, key} | _]}} | rest]),
    do: [key | keys(rest)]

  # From Elixir 1.20 on a function raises it, which gets the key second.
  defp keys([{:move, {:atom, key}, {:x, 1}} | rest]) do
    if rest |> Enum.take(@before_call) |> Enum.any?(&raises?/1), do: [key | keys(rest)], else: keys(rest)
  end

  defp keys([_ | rest]), do: keys(rest)
  defp keys([]), do: []

  defp raises?(op),
    do: tuple_size(op) > 2 and elem(op, 2) == {:extfunc, :elixir_erl_pass, :no_parens_remote, 2}

  defp updated([{:atom, key}, _value | rest]), do: [key | updated(rest)]
  defp updated([_key, _value | rest]), do: updated(rest)
  defp updated([]), do: []

  defp set_later(%{module: module} = pair) do
    code = Pair.code(pair, :new)
    [starting, rendering] = for roots <- [@start, @render], do: CodeFacts.reached(code, module, roots)
    later = code |> Map.drop(Map.keys(starting)) |> Map.drop(Map.keys(rendering))
    for {_, body} <- later, atom <- atoms(body), uniq: true, do: atom
  end

  defp atoms({:atom, atom}), do: [atom]
  defp atoms({:literal, literal}), do: literals(literal)
  defp atoms(term) when is_tuple(term), do: term |> Tuple.to_list() |> atoms()
  defp atoms(terms) when is_list(terms), do: Enum.flat_map(terms, &atoms/1)
  defp atoms(_term), do: []

  defp literals(atom) when is_atom(atom), do: [atom]
  defp literals(%{} = map), do: map |> Map.keys() |> Enum.filter(&is_atom/1)
  defp literals([head | tail]), do: literals(head) ++ literals(tail)
  defp literals(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> literals()
  defp literals(_term), do: []
end

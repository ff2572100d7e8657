defmodule FlyDeployAgent.Places do
  @moduledoc "Where something stands in a state: below keys of maps and of lists of options, and as elements of tuples."

  alias FlyDeployAgent.Value

  @type path :: [atom | non_neg_integer]

  @depth 2

  @doc "What stands where in a state: by the keys of maps and of lists of options, and the numbers of elements of tuples, that lead there."
  @spec of(Value.t()) :: %{path => Value.t()}
  def of(state), do: state |> paths([], @depth) |> Map.new()

  defp paths(_value, _path, 0), do: []

  defp paths({:map, values, _}, path, depth),
    do:
      for(
        {key, value} <- values,
        is_atom(key),
        key != :__struct__,
        found <- here(value, path ++ [key], depth),
        do: found
      )

  defp paths({:tuple, values}, path, depth),
    do: for({value, n} <- Enum.with_index(values), found <- here(value, path ++ [n], depth), do: found)

  defp paths({:cons, _, _} = list, path, depth) do
    {elements, _all} = Value.elements(list)

    for {:tuple, [{:const, key}, value]} when is_atom(key) <- elements,
        found <- here(value, path ++ [key], depth),
        do: found
  end

  defp paths(_value, _path, _depth), do: []

  defp here(value, path, depth), do: [{path, value} | paths(value, path, depth - 1)]

  @doc "What stands there in a term that lives."
  @spec at(term, path) :: {:ok, term} | :error
  def at(term, []), do: {:ok, term}
  def at(%{} = map, [key | path]) when is_map_key(map, key), do: map |> Map.fetch!(key) |> at(path)
  def at(tuple, [n | path]) when is_integer(n) and tuple_size(tuple) > n, do: tuple |> elem(n) |> at(path)

  def at([_ | _] = list, [key | path]) when is_atom(key) do
    with false <- List.improper?(list),
         {_, value} <- List.keyfind(list, key, 0),
         do: at(value, path),
         else: (_ -> :error)
  end

  def at(_term, _path), do: :error

  @doc "Such a way, as people write it."
  @spec told(path) :: binary
  def told(path),
    do: Enum.map_join(path, ".", &if(is_integer(&1), do: "element #{&1 + 1}", else: inspect(&1)))
end

defmodule FlyDeployAgent.Constants do
  @moduledoc "Whether two versions of functions do the same with other numbers or names."

  alias FlyDeployAgent.{CodeFacts, Value}

  @doc "Whether nothing but numbers differs."
  @spec only_numbers?(CodeFacts.code(), CodeFacts.code()) :: boolean
  def only_numbers?(old, new), do: old != new and numberless(old) == numberless(new)

  @doc "Whether they call the same functions, and name other atoms, or one more often."
  @spec other_names?(CodeFacts.code(), CodeFacts.code()) :: boolean
  def other_names?(old, new), do: calls(old) == calls(new) and atoms(old) != atoms(new)

  defp calls(code), do: for({_, body} <- code, call <- CodeFacts.calls(body), into: MapSet.new(), do: call)

  defp atoms(code) do
    for({_, body} <- code, op <- body, elem(op, 0) != :func_info, do: Tuple.to_list(op))
    |> Enum.concat()
    |> Enum.flat_map(&atoms_of/1)
    |> Enum.frequencies()
  end

  defp atoms_of({:atom, atom}), do: [atom]
  defp atoms_of({:literal, term}), do: term |> Value.of() |> Value.atoms()
  defp atoms_of({:list, operands}), do: Enum.flat_map(operands, &atoms_of/1)
  defp atoms_of(_operand), do: []

  defp numberless(code), do: Map.new(code, fn {function, body} -> {function, without(body)} end)

  defp without(n) when is_number(n), do: 0
  defp without([head | tail]), do: [without(head) | without(tail)]
  defp without(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> without() |> List.to_tuple()
  defp without(%{} = map), do: map |> Map.to_list() |> without()
  defp without(term), do: term
end

defmodule FlyDeployAgent.Mfas do
  @moduledoc """
  The functions that code names as a tuple of module, function and arguments, or captures, so that others call them.
  """

  alias FlyDeployAgent.CodeFacts

  # Terms of a literal that are looked at.
  @terms 2_000

  @doc "The functions that code names so."
  @spec of(CodeFacts.code()) :: [mfa]
  def of(code), do: for({_, body} <- code, op <- body, mfa <- named(op), uniq: true, do: mfa)

  defp named({:put_tuple2, _to, {:list, [{:atom, m}, {:atom, f}, arguments | _]}}) do
    case arguments do
      {:literal, list} when is_list(list) -> mfa(m, f, list)
      nil -> [{m, f, 0}]
      _ -> []
    end
  end

  defp named(op) when is_tuple(op), do: op |> Tuple.to_list() |> Enum.flat_map(&operand/1)
  defp named(_op), do: []

  defp operand({:literal, term}), do: literal([term], @terms)
  defp operand({:list, operands}) when is_list(operands), do: Enum.flat_map(operands, &operand/1)
  defp operand(_operand), do: []

  defp literal([], _left), do: []
  defp literal(_terms, 0), do: []

  defp literal([term | rest], left) do
    case term do
      {m, f, args} when is_atom(m) and is_atom(f) and is_list(args) ->
        mfa(m, f, args) ++ literal([args | rest], left - 1)

      fun when is_function(fun) ->
        info = Function.info(fun)
        [{info[:module], info[:name], info[:arity]} | literal(rest, left - 1)]

      tuple when is_tuple(tuple) ->
        literal(Tuple.to_list(tuple) ++ rest, left - 1)

      [head | tail] ->
        literal([head, tail | rest], left - 1)

      %{} = map ->
        literal(Map.values(map) ++ rest, left - 1)

      _ ->
        literal(rest, left - 1)
    end
  end

  defp mfa(m, f, arguments) do
    if List.improper?(arguments), do: [], else: [{m, f, length(arguments)}]
  end
end

defmodule FlyDeployAgent.Decisions do
  @moduledoc """
  How the tests of code end for values of which only the shape is known: what `FlyDeployAgent.Steps` gives for them.
  """

  alias FlyDeployAgent.{Registers, Value}

  import FlyDeployAgent.Registers

  @type label :: {:f, non_neg_integer}

  @doc "A test for one of these types."
  @spec typed(Value.t(), [atom], label) :: term
  def typed(value, types, no) do
    case Value.type(value) do
      nil -> {:either, no}
      type -> decide(type in types, no, value, {:type, hd(types)})
    end
  end

  @doc "A test for `true` or `false`."
  @spec boolean(Value.t(), label) :: term
  def boolean({kind, atom}, no) when kind in [:atom, :const, :tag],
    do: decide(is_boolean(atom), no, :any, nil)

  def boolean(value, no), do: if(Value.type(value), do: {:goto, no, nil}, else: {:either, no})

  @doc "A test for a tuple of `n` elements."
  @spec arity(Value.t(), non_neg_integer, label) :: term
  def arity({kind, values} = value, n, no) when kind in [:tuple, :made],
    do: decide(length(values) == n, no, value, {:arity, n, length(values)})

  def arity({:const, tuple}, n, no) when is_tuple(tuple), do: decide(tuple_size(tuple) == n, no, :any, nil)

  def arity(value, _n, no),
    do: if(Value.type(value), do: {:goto, no, miss(value, {:type, :tuple})}, else: {:either, no})

  @doc "A test of whether two operands are the same."
  @spec equal(term, term, label, Registers.t()) :: term
  def equal(one, other, no, regs) do
    {a, b} = {value(one, regs), value(other, regs)}
    lives = if Value.lives?(a), do: a, else: b
    decide(Value.same(a, b), no, lives, demanded(if(lives == a, do: other, else: one)))
  end

  @doc "What a test for equality demands, by the other operand."
  @spec demanded(term) :: {:value, term}
  def demanded({kind, term}) when kind in [:atom, :integer], do: {:value, term}
  def demanded(_operand), do: {:value, nil}

  @doc "Where a value leads among cases, each with its label: nil where no case fits."
  @spec chosen([term], Value.t()) :: label | nil | :unknown
  def chosen(cases, value) do
    case value do
      {kind, atom} when kind in [:atom, :name, :tag] -> case_of(cases, {:atom, atom})
      {:const, atom} when is_atom(atom) -> case_of(cases, {:atom, atom})
      {:const, n} when is_integer(n) -> case_of(cases, {:integer, n})
      _ -> if Value.type(value) in [nil, :integer, :atom, :float], do: :unknown, else: nil
    end
  end

  defp case_of([choice, to | rest], value), do: if(choice == value, do: to, else: case_of(rest, value))
  defp case_of([], _value), do: nil

  @doc "The labels of all cases."
  @spec choices([term]) :: [label]
  def choices([_choice, to | rest]), do: [to | choices(rest)]
  def choices([]), do: []

  @doc "Where a tuple of `n` elements leads among cases, likewise."
  @spec chosen_arity([term], non_neg_integer, Value.t(), label) :: term
  def chosen_arity(cases, n, value, no) do
    case case_of(cases, {:u, n}) do
      nil -> {:goto, no, miss(value, {:arity, cases |> hd() |> elem(1), n})}
      label -> {:goto, label, nil}
    end
  end

  @doc "A test for keys of a map; what stands under them goes into the registers beside them."
  @spec keys(Value.t(), [{term, tuple | nil}], label, Registers.t()) :: term
  def keys({:map, values, complete} = map, pairs, no, regs) do
    case missing(map, pairs, regs) do
      nil ->
        sure = complete != false or Enum.all?(pairs, fn {key, _} -> known(values, key, regs) != nil end)
        regs = taken(pairs, values, regs)
        if sure and not unsure?(pairs, values, regs), do: {:next, regs}, else: {:either_with, no, regs}

      miss ->
        {:goto, no, miss}
    end
  end

  def keys({:const, map}, pairs, no, regs) when is_map(map),
    do: keys(Value.map(map), pairs, no, regs)

  def keys(value, pairs, no, regs) do
    if Value.type(value),
      do: {:goto, no, miss(value, {:type, :map})},
      else: {:either_with, no, taken(pairs, %{}, regs)}
  end

  # Keys that are no atoms are not looked at, and those in registers not known.
  defp unsure?(pairs, values, regs), do: Enum.any?(pairs, fn {key, _} -> known(values, key, regs) == nil end)

  defp taken(pairs, values, regs) do
    for {key, to} <- pairs,
        to != nil,
        into: regs,
        do: {to, known(values, key, regs) || any(values, key, regs)}
  end

  # Under a key that is not known, and no atom of the code's.
  defp any(values, key, regs) do
    case {value(key, regs), Value.other({:map, values, false})} do
      {{:const, atom}, _} when is_atom(atom) -> :any
      {_, {:tuple, [_, value]}} -> value
      _ -> :any
    end
  end
end

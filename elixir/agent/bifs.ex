defmodule FlyDeployAgent.Bifs do
  @moduledoc """
  What functions that code calls by instructions of their own (guards, arithmetic) give, for `FlyDeployAgent.Steps`.
  """

  import FlyDeployAgent.Registers

  alias FlyDeployAgent.{Registers, Value}

  @numbers [:+, :-, :*, :/, :div, :rem, :band, :bor, :bxor, :bsl, :bsr]

  @doc "One step: the function's name, its operands, where it goes if it fails, and the register that gets what it gives."
  @spec bif(atom, [term], tuple, tuple, Registers.t()) :: term
  def bif(:map_get, [key, map], fail, to, regs) do
    case {value(map, regs), missing(value(map, regs), [{key, nil}], regs)} do
      {{:map, values, _}, nil} -> put(regs, to, known(values, key, regs) || :any)
      {_, nil} -> or_fails(fail, to, regs)
      {_, miss} -> fails(fail, miss)
    end
  end

  def bif(:is_map_key, [key, map], fail, to, regs) do
    case {value(map, regs), value(key, regs)} do
      {{:map, values, true}, {:const, key}} when is_atom(key) ->
        put(regs, to, {:const, is_map_key(values, key)})

      # Its own keys are others than those that it is asked for.
      {{:map, %{__struct__: {_, MapSet}}, _} = set, :any} ->
        fails(fail, miss(set, {:value, Map}))

      {{:map, %{}, _}, _} ->
        put(regs, to, :any)

      {value, _} ->
        wanted(value, [:map], fail, to, regs)
    end
  end

  def bif(f, [a, b], _fail, to, regs) when f in [:"=:=", :==] do
    case Value.same(value(a, regs), value(b, regs)) do
      :unknown -> put(regs, to, :any)
      same -> put(regs, to, {:const, same})
    end
  end

  def bif(:element, [{:integer, n}, tuple], fail, to, regs) do
    case value(tuple, regs) do
      {kind, values} when kind in [:tuple, :made] and length(values) >= n ->
        put(regs, to, Enum.at(values, n - 1))

      {:tuple, values} = value ->
        fails(fail, miss(value, {:arity, n, length(values)}))

      {:made, _} ->
        fails(fail, nil)

      value ->
        wanted(value, [:tuple], fail, to, regs)
    end
  end

  def bif(f, operands, fail, to, regs) when f in @numbers do
    bad =
      Enum.find(operands, fn operand -> Value.type(value(operand, regs)) not in [nil, :integer, :float] end)

    if bad && Value.lives?(value(bad, regs)),
      do: fails(fail, {{:type, :number}, true}),
      else: or_fails(fail, to, regs)
  end

  def bif(f, [a], fail, to, regs) when f in [:hd, :tl] do
    {h, t} = list(value(a, regs))

    if h == :any,
      do: wanted(value(a, regs), [:list], fail, to, regs),
      else: put(regs, to, if(f == :hd, do: h, else: t))
  end

  def bif(:map_size, [a], fail, to, regs), do: wanted(value(a, regs), [:map], fail, to, regs)
  def bif(:tuple_size, [a], fail, to, regs), do: wanted(value(a, regs), [:tuple], fail, to, regs)
  def bif(:length, [a], fail, to, regs), do: wanted(value(a, regs), [:list], fail, to, regs)
  def bif(:byte_size, [a], fail, to, regs), do: wanted(value(a, regs), [:binary], fail, to, regs)
  def bif(_f, _operands, fail, to, regs), do: or_fails(fail, to, regs)

  defp wanted(value, types, fail, to, regs) do
    type = Value.type(value)

    if type && type not in types,
      do: fails(fail, miss(value, {:type, hd(types)})),
      else: or_fails(fail, to, regs)
  end

  defp or_fails({:f, 0}, to, regs), do: put(regs, to, :any)
  defp or_fails(fail, to, regs), do: {:either_with, fail, Map.put(regs, to, :any)}

  defp fails({:f, 0}, miss), do: {:error, miss}
  defp fails(fail, miss), do: {:goto, fail, miss}
end

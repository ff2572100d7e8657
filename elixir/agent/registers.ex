defmodule FlyDeployAgent.Registers do
  @moduledoc """
  Registers of which only the shapes of values are known, and how a test of one ends: for `FlyDeployAgent.Steps`.
  """

  alias FlyDeployAgent.Value

  @type t :: %{tuple => Value.t()}

  @doc "What an operand is."
  @spec value(term, map) :: Value.t()
  def value({kind, _} = register, regs) when kind in [:x, :y], do: Map.get(regs, register, :any)
  def value({:literal, fun}, _regs) when is_function(fun), do: function(Function.info(fun))
  def value({kind, term}, _regs) when kind in [:atom, :integer, :literal], do: {:const, term}
  def value(nil, _regs), do: {:const, []}
  def value(_operand, _regs), do: :any

  # &Module.function/1
  defp function(info), do: {:fun, {info[:module], info[:name], info[:arity]}, []}

  @doc "Goes on with a value in a register."
  @spec put(t, tuple, Value.t()) :: {:next, t}
  def put(regs, to, value), do: {:next, Map.put(regs, to, value)}

  @doc "Goes both ways, on with nothing known of a register."
  @spec forget(t, tuple, tuple) :: {:either_with, tuple, t}
  def forget(regs, to, no), do: {:either_with, no, Map.put(regs, to, :any)}

  @doc "Head and tail."
  @spec list(Value.t()) :: {Value.t(), Value.t()}
  def list({kind, head, tail}) when kind in [:cons, :list], do: {head, tail}
  def list({:const, [head | tail]}), do: {{:const, head}, {:const, tail}}
  def list(_value), do: {:any, :any}

  @doc "Keys and what stands beside them, in pairs."
  @spec pairs([term]) :: [{term, term}]
  def pairs([key, other | rest]), do: [{key, other} | pairs(rest)]
  def pairs([]), do: []

  @doc "What is missing where something living was tested in vain."
  @spec miss(Value.t(), term) :: {term, boolean} | nil
  def miss(value, demand), do: if(Value.lives?(value), do: {demand, Value.passing?(value)})

  @doc "How a test ends that was decided, or was not; `demand` is what it wanted of `value`."
  @spec decide(boolean | :unknown, tuple, Value.t(), term) :: term
  def decide(true, _no, _value, _demand), do: :pass
  def decide(false, no, value, demand), do: {:goto, no, demand && miss(value, demand)}
  def decide(:unknown, no, _value, _demand), do: {:either, no}

  @doc "What a map has under a key that an operand names, nil where it is not known."
  @spec known(map, term, t) :: Value.t() | nil
  def known(values, operand, regs) do
    case value(operand, regs) do
      {:const, key} -> Map.get(values, key)
      {kind, key} when kind in [:atom, :tag, :name] -> Map.get(values, key)
      _ -> nil
    end
  end

  @doc "What a map lacks of keys, nil if nothing is known to be missing."
  @spec missing(Value.t(), [{term, term}], t) :: {term, boolean} | nil
  def missing({:map, values, true}, pairs, regs) do
    Enum.find_value(pairs, fn {operand, _} ->
      with {:const, key} <- value(operand, regs),
           false <- is_map_key(values, key),
           true <- is_atom(key) or (is_binary(key) and atoms?(values)) do
        {{:key, key, struct_of(values)}, false}
      else
        _ -> nil
      end
    end)
  end

  def missing(_value, _pairs, _regs), do: nil

  # Whether all of its keys are atoms: those of an empty one may be anything.
  defp atoms?(values),
    do: values != %{} and not is_map_key(values, :__struct__) and Value.others(values) == nil

  @doc "The module of a struct, by its values."
  @spec struct_of(map) :: module | nil
  def struct_of(values) do
    case values[:__struct__] do
      {_, module} when is_atom(module) -> module
      _ -> nil
    end
  end
end

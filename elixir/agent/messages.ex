defmodule FlyDeployAgent.Messages do
  @moduledoc """
  Which messages a callback takes, read from its code: atoms, and tuples that begin with one. A message is refused where every way
  through the function's patterns ends in no clause, whatever the message's other elements and the state are. What the code does
  not show counts as taken.
  """

  alias FlyDeployAgent.Instructions

  @type message :: atom | {atom, arity :: pos_integer}

  # Steps through the patterns of a function, all ways together.
  @steps 2_000
  # What tests types; for those that are neither atoms nor tuples, both are refused.
  @types [
    :is_integer,
    :is_float,
    :is_number,
    :is_reference,
    :is_port,
    :is_pid,
    :is_nil,
    :is_binary,
    :is_bitstr,
    :is_list,
    :is_nonempty_list,
    :is_map,
    :is_function,
    :is_function2,
    :has_map_fields,
    :get_map_elements,
    :bs_start_match3,
    :bs_start_match4
  ]
  # What a pattern needs beside, and that decides nothing.
  @between [:label, :test_heap, :allocate, :allocate_heap, :init_yregs, :kill, :trim]

  @doc "The messages that `old` names and takes, and `new` refuses."
  @spec refused([Instructions.instruction()], [Instructions.instruction()]) :: [message]
  def refused(old, new) do
    for message <- named(old), takes?(old, message), not takes?(new, message), do: message
  end

  @doc "A message as people write it."
  @spec told(message) :: binary
  def told({tag, 1}), do: "{#{inspect(tag)}}"
  def told({tag, arity}), do: "{#{inspect(tag)}#{String.duplicate(", _", arity - 1)}}"
  def told(tag), do: inspect(tag)

  # Candidates: whether they are taken is tried.
  defp named(code) do
    atoms = for op <- code, atom <- compared(op, {:x, 0}), do: atom
    tagged = for {:is_tagged_tuple, _, {:x, 0}, {:u, n}, {:atom, tag}} <- code, do: {tag, n}
    arities = for op <- code, n <- arities(op), uniq: true, do: n
    firsts = for {:get_tuple_element, {:x, 0}, {:u, 0}, to} <- code, uniq: true, do: to
    tags = for to <- firsts, op <- code, tag <- compared(op, to), uniq: true, do: tag
    Enum.uniq(atoms ++ tagged ++ for(n <- arities, tag <- tags, do: {tag, n}))
  end

  defp compared({:is_eq_exact, _, register, {:atom, atom}}, register), do: [atom]
  defp compared({:is_ne_exact, _, register, {:atom, atom}}, register), do: [atom]

  defp compared({:select_val, register, _, {:list, cases}}, register),
    do: for({:atom, atom} <- cases, do: atom)

  defp compared(_op, _register), do: []

  defp arities({:test_arity, _, {:x, 0}, {:u, n}}), do: [n]
  defp arities({:select_tuple_arity, {:x, 0}, _, {:list, cases}}), do: for({:u, n} <- cases, do: n)
  defp arities(_op), do: []

  # -- trying a message

  defp takes?(code, message) do
    labels = labels(code, %{})
    value = if is_tuple(message), do: message, else: {:atom, message}
    # Behind func_info, which is where no clause matches.
    [_first, _info | body] = code
    {taken, _left} = follow([{body, %{{:x, 0} => value}}], labels, @steps)
    taken
  end

  defp labels([], found), do: found
  defp labels([{:label, n} | rest], found), do: labels(rest, Map.put(found, n, rest))
  defp labels([_ | rest], found), do: labels(rest, found)

  defp follow([], _labels, left), do: {false, left}
  defp follow(_ways, _labels, 0), do: {true, 0}

  defp follow([{[op | rest], values} | ways], labels, left) do
    case step(op, values) do
      :taken ->
        {true, left}

      {:next, values} ->
        follow([{rest, values} | ways], labels, left - 1)

      {:go, label} ->
        follow(to(label, values, labels) ++ ways, labels, left - 1)

      {:both, others} ->
        follow([{rest, values} | Enum.flat_map(others, &to(&1, values, labels))] ++ ways, labels, left - 1)

      {:any, others} ->
        follow(Enum.flat_map(others, &to(&1, values, labels)) ++ ways, labels, left - 1)
    end
  end

  defp follow([{[], _values} | _ways], _labels, left), do: {true, left}

  # The first label stands before func_info: there is no such clause.
  defp to({:f, 0}, _values, _labels), do: []
  defp to({:f, n}, values, labels), do: [{Map.fetch!(labels, n), values}]

  defp step(op, values) when elem(op, 0) in @between, do: {:next, values}
  defp step({:move, from, to}, values), do: {:next, Map.put(values, to, value(from, values))}
  defp step({:jump, to}, _values), do: {:go, to}
  defp step({:is_tuple, no, from}, values), do: decide(tuple?(value(from, values)), no, values)
  defp step({:is_atom, no, from}, values), do: decide(atom?(value(from, values)), no, values)
  defp step({:test_arity, no, from, {:u, n}}, values), do: decide(arity?(value(from, values), n), no, values)

  defp step({:is_tagged_tuple, no, from, {:u, n}, {:atom, tag}}, values) do
    case value(from, values) do
      :unknown -> {:both, [no]}
      known -> decide(known == {tag, n}, no, values)
    end
  end

  defp step({:is_eq_exact, no, one, other}, values), do: decide(equal?(one, other, values), no, values)

  defp step({:is_ne_exact, no, one, other}, values) do
    case equal?(one, other, values) do
      :unknown -> {:both, [no]}
      equal -> decide(not equal, no, values)
    end
  end

  defp step({:select_val, from, no, {:list, cases}}, values) do
    case value(from, values) do
      {:atom, _} = atom -> {:go, chosen(cases, atom, no)}
      :unknown -> {:any, [no | targets(cases)]}
      _tuple -> {:go, no}
    end
  end

  defp step({:select_tuple_arity, from, no, {:list, cases}}, values) do
    case value(from, values) do
      {:atom, _} -> {:go, no}
      {_tag, n} -> {:go, chosen(cases, {:u, n}, no)}
      :unknown -> {:any, [no | targets(cases)]}
    end
  end

  defp step({:get_tuple_element, from, {:u, n}, to}, values) do
    case value(from, values) do
      {tag, arity} when is_integer(arity) and n == 0 -> {:next, Map.put(values, to, {:atom, tag})}
      _ -> {:next, Map.put(values, to, :unknown)}
    end
  end

  defp step(op, values) when elem(op, 0) in @types do
    case value(elem(op, 2), values) do
      :unknown when elem(op, 0) in [:get_map_elements, :bs_start_match3, :bs_start_match4] -> :taken
      :unknown -> {:both, [elem(op, 1)]}
      _known -> {:go, elem(op, 1)}
    end
  end

  defp step(_op, _values), do: :taken

  defp decide(true, _no, values), do: {:next, values}
  defp decide(false, no, _values), do: {:go, no}
  defp decide(:unknown, no, _values), do: {:both, [no]}

  defp value({:atom, _} = atom, _values), do: atom
  defp value({kind, _} = register, values) when kind in [:x, :y], do: Map.get(values, register, :unknown)
  defp value(_literal, _values), do: :unknown

  defp tuple?(:unknown), do: :unknown
  defp tuple?({:atom, _}), do: false
  defp tuple?({_tag, _arity}), do: true

  defp atom?(:unknown), do: :unknown
  defp atom?(value), do: not tuple?(value)

  defp arity?(:unknown, _n), do: :unknown
  defp arity?({:atom, _}, _n), do: false
  defp arity?({_tag, arity}, n), do: arity == n

  defp equal?(one, other, values) do
    case {value(one, values), other} do
      {:unknown, _} ->
        :unknown

      {{:atom, _} = atom, {:atom, _}} ->
        atom == other

      {_tuple, {:atom, _}} ->
        false

      {_known, {kind, _}} when kind in [:x, :y] ->
        :unknown

      {{:atom, _}, {:literal, _}} ->
        false

      {{tag, arity}, {:literal, tuple}} when is_tuple(tuple) and tuple_size(tuple) == arity ->
        tagged?(tuple, tag)

      # The empty list, a number, another literal.
      _ ->
        false
    end
  end

  defp tagged?(tuple, tag), do: if(elem(tuple, 0) == tag, do: :unknown, else: false)

  defp chosen([choice, to | rest], value, no), do: if(choice == value, do: to, else: chosen(rest, value, no))
  defp chosen([], _value, no), do: no

  defp targets([_choice, to | rest]), do: [to | targets(rest)]
  defp targets([]), do: []
end

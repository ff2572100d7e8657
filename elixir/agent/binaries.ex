defmodule FlyDeployAgent.Binaries do
  @moduledoc """
  What instructions do that take binaries apart, for `FlyDeployAgent.Steps`: so far as texts in patterns need it.
  """

  import FlyDeployAgent.Registers

  alias FlyDeployAgent.{Registers, Value}

  @doc "One step, nil for an instruction that has nothing to do with binaries."
  @spec step(tuple, Registers.t()) :: term
  def step({:bs_start_match3, no, from, _live, to}, regs), do: opened(value(from, regs), no, to, regs)
  def step({:bs_start_match4, no, _live, from, to}, regs), do: opened(value(from, regs), no, to, regs)

  def step({:bs_match_string, no, context, bits, text}, regs),
    do: matched(value(context, regs), bits, text, no, context, regs)

  def step({:bs_get_position, context, to, _}, regs), do: put(regs, to, value(context, regs))
  def step({:bs_set_position, context, from}, regs), do: put(regs, context, value(from, regs))
  def step({:bs_get_tail, context, to, _}, regs), do: put(regs, to, whole(value(context, regs)))

  def step({:bs_test_tail2, no, context, {:u, n}}, regs) do
    case value(context, regs) do
      {:rest, text, bits} -> decide(bit_size(text) - bits == n, no, :any, nil)
      _ -> {:either, no}
    end
  end

  def step({:bs_get_integer2, no, context, _, {:integer, size}, {:u, unit}, _, to}, regs) do
    case integer(value(context, regs), size * unit) do
      {:ok, n, rest} -> {:next, regs |> Map.put(to, {:const, n}) |> Map.put(context, rest)}
      :short -> {:goto, no, nil}
      :unknown -> forget_all([context, to], regs, no)
    end
  end

  def step({:bs_match, no, context, {:list, commands}}, regs),
    do: commands(commands, value(context, regs), no, context, regs)

  def step({:bs_create_bin, _, _, _, _, to, {:list, parts}}, regs) do
    case Enum.find_value(joined(parts), &no_binary(value(&1, regs))) do
      nil -> put(regs, to, begins(parts))
      miss -> {:error, miss}
    end
  end

  def step({name, no, context, _live, _size, _unit, _flags, to}, regs)
      when name in [:bs_get_binary2, :bs_get_float2, :bs_get_integer2],
      do: forget_all([context, to], regs, no)

  def step({name, no, context, _live, _flags, to}, regs)
      when name in [:bs_get_utf8, :bs_get_utf16, :bs_get_utf32],
      do: forget_all([context, to], regs, no)

  def step(op, regs) when elem(op, 0) in [:bs_skip_bits2, :bs_skip_utf8, :bs_skip_utf16, :bs_skip_utf32],
    do: forget(regs, elem(op, 2), elem(op, 1))

  def step({:bs_test_unit, no, _context, _unit}, _regs), do: {:either, no}

  def step(_op, _regs), do: nil

  defp begins([{:text, text} | _]) when is_binary(text), do: {:begins, text}
  defp begins(_parts), do: {:is, :binary}

  # What is put together as binaries, of six operands each; texts have four.
  defp joined([{:atom, type}, _, _, _, from, _ | rest]) when type in [:append, :private_append, :binary],
    do: [from | joined(rest)]

  defp joined([{:text, _}, _, _, _ | rest]), do: joined(rest)
  defp joined([_, _, _, _, _, _ | rest]), do: joined(rest)
  defp joined(_operands), do: []

  defp no_binary(value),
    do: if(Value.type(value) not in [nil, :binary], do: miss(value, {:type, :binary}))

  # A match that goes on, of what is known to be one.
  defp opened({:rest, _, _} = rest, _no, to, regs), do: put(regs, to, rest)
  defp opened({:text, text}, _no, to, regs), do: put(regs, to, {:rest, text, 0})
  defp opened({:const, text}, _no, to, regs) when is_binary(text), do: put(regs, to, {:rest, text, 0})
  defp opened(_value, {:atom, _}, to, regs), do: put(regs, to, :any)
  defp opened({:is, :binary}, no, to, regs), do: forget(regs, to, no)
  defp opened({:packed, _}, no, to, regs), do: forget(regs, to, no)
  defp opened({:begins, _}, no, to, regs), do: forget(regs, to, no)

  defp opened(value, no, to, regs),
    do: if(Value.type(value), do: {:goto, no, miss(value, {:type, :binary})}, else: forget(regs, to, no))

  defp matched(rest, bits, wanted, no, context, regs) do
    wanted = number(wanted, 0, bits)

    case integer(rest, bits) do
      {:ok, ^wanted, rest} -> put(regs, context, rest)
      :unknown -> forget(regs, context, no)
      _other_or_short -> {:goto, no, nil}
    end
  end

  # From OTP 26 on, texts are compared by 31 bits.
  defp integer({:rest, text, from}, bits) do
    if bit_size(text) - from < bits,
      do: :short,
      else: {:ok, number(text, from, bits), {:rest, text, from + bits}}
  end

  defp integer(_value, _bits), do: :unknown

  # Some of a text's bits. Patterns cannot say that in a way that both Elixir 1.14 and 1.20 take.
  defp number(text, from, bits) do
    first = div(from, 8)
    past = div(from + bits + 7, 8)

    text
    |> binary_part(first, past - first)
    |> :binary.decode_unsigned()
    |> Bitwise.bsr(past * 8 - from - bits)
    |> Bitwise.band(Bitwise.bsl(1, bits) - 1)
  end

  defp whole({:rest, text, 0}), do: {:text, text}
  defp whole(_value), do: {:is, :binary}

  # From OTP 26 on. What is asked in one go; only the forms that texts in patterns take.
  defp commands([], context, _no, to, regs), do: put(regs, to, context)

  defp commands([{:atom, :ensure_exactly}, {:u, n} | rest], {:rest, text, from} = context, no, to, regs),
    do: if(bit_size(text) - from == n, do: commands(rest, context, no, to, regs), else: {:goto, no, nil})

  defp commands(
         [{:atom, :ensure_at_least}, {:u, n}, _unit | rest],
         {:rest, text, from} = context,
         no,
         to,
         regs
       ),
       do: if(bit_size(text) - from >= n, do: commands(rest, context, no, to, regs), else: {:goto, no, nil})

  defp commands(
         [{:atom, :"=:="}, _live, {:u, size}, {_, wanted} | rest],
         {:rest, _, _} = context,
         no,
         to,
         regs
       ) do
    case integer(context, size) do
      {:ok, ^wanted, context} -> commands(rest, context, no, to, regs)
      _other_or_short -> {:goto, no, nil}
    end
  end

  defp commands(
         [{:atom, :integer}, _live, _flags, {:u, size}, {:u, unit}, register | rest],
         {:rest, _, _} = context,
         no,
         to,
         regs
       ) do
    case integer(context, size * unit) do
      {:ok, n, context} -> commands(rest, context, no, to, Map.put(regs, register, {:const, n}))
      :short -> {:goto, no, nil}
    end
  end

  defp commands(commands, _context, no, to, regs), do: forget_all([to | commands], regs, no)

  # Goes both ways, on with nothing known of the registers among these.
  defp forget_all(operands, regs, no) do
    written = for {kind, _} = register <- operands, kind in [:x, :y], do: {register, :any}
    {:either_with, no, Map.merge(regs, Map.new(written))}
  end
end

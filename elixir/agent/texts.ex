defmodule FlyDeployAgent.Texts do
  @moduledoc """
  The texts that an argument of a function is compared with, as the names of a page's events are. In code they lie in pieces: so all
  ways through the comparisons are followed, and what they come to is put together.
  """

  alias FlyDeployAgent.{Instructions, Steps}

  @steps 2_000

  @doc "The texts that code compares an argument with."
  @spec named([Instructions.instruction()], {:x, non_neg_integer}) :: [binary]
  def named(code, register) do
    if Enum.any?(code, &compares?(&1, register)) do
      [_first, _info | body] = code
      [{body, %{register => :whole}}] |> follow(Steps.labels(code), @steps, []) |> Enum.uniq() |> Enum.sort()
    else
      []
    end
  end

  defp compares?({:bs_start_match3, _, register, _, _}, register), do: true
  defp compares?({:bs_start_match4, _, _, register, _}, register), do: true
  defp compares?({:is_eq_exact, _, register, {:literal, text}}, register), do: is_binary(text)
  defp compares?(_op, _register), do: false

  defp follow([], _labels, _left, found), do: found
  defp follow(_ways, _labels, 0, found), do: found
  defp follow([{[], _regs} | ways], labels, left, found), do: follow(ways, labels, left, found)

  defp follow([{[op | rest], regs} | ways], labels, left, found) do
    {nexts, texts} = step(op, rest, regs)
    further = for next <- nexts, way <- way(next, regs, labels), do: way
    follow(further ++ ways, labels, left - 1, texts ++ found)
  end

  defp way({:f, 0}, _regs, _labels), do: []
  defp way({:f, n}, regs, labels), do: [{Map.fetch!(labels, n), regs}]
  defp way({{:f, 0}, _now}, _regs, _labels), do: []
  defp way({{:f, n}, now}, _regs, labels), do: [{Map.fetch!(labels, n), now}]
  defp way({rest, now}, _regs, _labels), do: [{rest, now}]

  defp step({:bs_start_match4, {:f, _} = no, live, from, to}, rest, regs),
    do: step({:bs_start_match3, no, from, live, to}, rest, regs)

  defp step({:bs_start_match4, _never, _live, from, to}, rest, regs),
    do: {[{rest, Map.put(regs, to, opened(regs[from]))}], []}

  defp step({:bs_start_match3, no, from, _live, to}, rest, regs),
    do: {if(regs[from] == :whole, do: [{rest, Map.put(regs, to, {:read, ""})}], else: [{rest, regs}, no]), []}

  defp step({:bs_get_position, from, to, _}, rest, regs), do: {[{rest, Map.put(regs, to, regs[from])}], []}
  defp step({:bs_set_position, to, from}, rest, regs), do: {[{rest, Map.put(regs, to, regs[from])}], []}
  defp step({:bs_get_tail, _, _, _}, rest, regs), do: {[{rest, regs}], []}

  defp step({:bs_match_string, no, context, _bits, text}, rest, regs),
    do: {[{rest, read(regs, context, text)}, no], []}

  defp step({:bs_get_integer2, no, context, _, {:integer, size}, {:u, unit}, _, to}, rest, regs),
    do: {[{rest, pending(regs, context, size * unit, to)}, no], []}

  defp step({:bs_test_tail2, no, context, {:u, 0}}, rest, regs),
    do: {[{rest, regs}, no], whole(regs[context])}

  defp step({:bs_match, no, context, {:list, commands}}, rest, regs) do
    now = commands(commands, context, regs)

    {[{rest, now}, no],
     if(:ensure_exactly in for({:atom, c} <- commands, do: c), do: whole(now[context]), else: [])}
  end

  defp step({:select_val, from, no, {:list, cases}}, _rest, regs),
    do: {[no | cases(cases, regs[from], regs)], []}

  defp step({:is_eq_exact, no, from, {:integer, n}}, rest, regs),
    do: {[{rest, number(regs, regs[from], n)}, no], []}

  defp step({:is_eq_exact, no, from, {:literal, text}}, rest, regs) when is_binary(text),
    do: {[{rest, regs}, no], if(regs[from] == :whole, do: [text], else: [])}

  defp step({:move, from, to}, rest, regs), do: {[{rest, Map.put(regs, to, regs[from])}], []}

  # Whatever else it does, it knows nothing of texts.
  defp step(op, rest, regs) do
    case Steps.step(op, %{}) do
      {:goto, label, _} -> {[label], []}
      {:either, label} -> {[{rest, regs}, label], []}
      {:either_with, label, _} -> {[{rest, regs}, label], []}
      {:any_of, labels} -> {labels, []}
      :pass -> {[{rest, regs}], []}
      {:next, _} -> {[{rest, regs}], []}
      _ -> {[], []}
    end
  end

  # A number of which nothing more is said ends a text: it may be any.
  defp commands([{:atom, :"=:="}, _live, {:u, size}, {_, n} | rest], context, regs) when is_integer(n),
    do: commands(rest, context, read(regs, context, <<n::size(size)>>))

  defp commands([{:atom, :integer}, _live, _flags, {:u, size}, {:u, unit}, to | rest], context, regs),
    do: commands(rest, context, pending(regs, context, size * unit, to))

  defp commands([_ | rest], context, regs), do: commands(rest, context, regs)
  defp commands([], _context, regs), do: regs

  defp cases([{:integer, n}, label | rest], number, regs),
    do: [{label, number(regs, number, n)} | cases(rest, number, regs)]

  defp cases([_choice, label | rest], number, regs), do: [label | cases(rest, number, regs)]
  defp cases([], _number, _regs), do: []

  defp opened(:whole), do: {:read, ""}
  defp opened(other), do: other

  # A number that was read, and is not compared yet: positions behind it may be kept meanwhile.
  defp pending(regs, context, size, to) do
    case regs[context] do
      {:read, text} -> Map.merge(regs, %{context => {:read, text, size}, to => {:number, text, size}})
      _ -> regs
    end
  end

  defp number(regs, {:number, text, size}, n) do
    :maps.map(
      fn
        _register, {:read, ^text, ^size} -> {:read, <<text::bitstring, n::size(size)>>}
        _register, value -> value
      end,
      regs
    )
  end

  defp number(regs, _other, _n), do: regs

  defp read(regs, context, more) do
    case regs[context] do
      {:read, text} -> Map.put(regs, context, {:read, <<text::bitstring, more::bitstring>>})
      _ -> regs
    end
  end

  defp whole({:read, text}) when is_binary(text) and text != "", do: [text]
  defp whole(_), do: []
end

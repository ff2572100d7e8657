defmodule FlyDeployAgent.Messages do
  @moduledoc """
  Which messages a callback takes, read from its code: atoms, texts, and tuples that begin with an atom. A message is refused where every
  way through the function's patterns ends in no clause, whatever the message's other elements and the state are. What the code does
  not show counts as taken.
  """

  alias FlyDeployAgent.{Instructions, Steps, Texts, Value}

  @type message :: atom | binary | {atom, arity :: pos_integer} | :"any other"
  @type code :: [Instructions.instruction()]

  # Steps through the patterns of a function, all ways together.
  @steps 2_000
  # No code names these.
  @others [{:tag, :"another message"}, {:made, [{:tag, :"another message"}, :any]}]

  @doc """
  The messages that `old` names and takes in an argument, and `new` refuses; `:"any other"` where it took whatever came. `kinds` are what
  another argument may be meanwhile, as the type of an event: one is enough.
  """
  @spec refused(code, code, {:x, non_neg_integer}, [map]) :: [message]
  def refused(old, new, register \\ {:x, 0}, [first | _] = kinds \\ [%{}]) do
    refused? = fn kind, value -> refused?(old, new, Map.put(kind, register, value)) end
    named = for message <- named(old, register), Enum.any?(kinds, &refused?.(&1, value(message))), do: message

    others = if not default?(old) and Enum.all?(@others, &refused?.(first, &1)), do: [:"any other"], else: []

    named ++ others
  end

  # `use GenServer` brings a clause for everything, which logs it as a mistake.
  defp default?(code), do: Enum.any?(code, fn op -> op |> Tuple.to_list() |> Enum.any?(&mistake?/1) end)

  defp mistake?({:literal, %{label: {GenServer, _}}}), do: true
  # The report has the process' module and name, in newer versions of Elixir.
  defp mistake?({:literal, {GenServer, :no_handle_info}}), do: true
  defp mistake?({:list, operands}), do: Enum.any?(operands, &mistake?/1)
  defp mistake?(_operand), do: false

  defp refused?(old, new, regs), do: takes?(old, regs) and not takes?(new, regs)

  @doc "The names of the timeouts of a state machine that `old` knows by an event's type, in the first argument, and `new` refuses."
  @spec timeouts_refused(code, code) :: [atom]
  def timeouts_refused(old, new) do
    elements = for {:get_tuple_element, {:x, 0}, {:u, 1}, to} <- old, uniq: true, do: to

    for to <- elements,
        op <- old,
        name <- compared(op, to),
        refused?(old, new, %{{:x, 0} => {:made, [{:tag, :timeout}, {:tag, name}]}}),
        uniq: true,
        do: name
  end

  @doc "A message as people write it."
  @spec told(message) :: binary
  def told(:"any other"), do: "any other message"
  def told({tag, 1}), do: "{#{inspect(tag)}}"
  def told({tag, arity}), do: "{#{inspect(tag)}#{String.duplicate(", _", arity - 1)}}"
  def told(message), do: inspect(message)

  @doc "A message as `FlyDeployAgent.Value`."
  @spec value(message) :: Value.t()
  def value({tag, arity}), do: {:made, [{:tag, tag} | List.duplicate(:any, arity - 1)]}
  def value(text) when is_binary(text), do: {:text, text}
  def value(tag), do: {:tag, tag}

  @doc "The messages that code names in an argument. Whether they are taken is another question."
  @spec named([Instructions.instruction()] | nil, {:x, non_neg_integer}) :: [message]
  def named(nil, _register), do: []

  def named(code, register) do
    atoms = for op <- code, atom <- compared(op, register), do: atom
    tagged = for {:is_tagged_tuple, _, ^register, {:u, n}, {:atom, tag}} <- code, do: {tag, n}
    arities = for op <- code, n <- arities(op, register), uniq: true, do: n
    firsts = for {:get_tuple_element, ^register, {:u, 0}, to} <- code, uniq: true, do: to
    tags = for to <- firsts, op <- code, tag <- compared(op, to), uniq: true, do: tag
    Enum.uniq(atoms ++ tagged ++ for(n <- arities, tag <- tags, do: {tag, n}) ++ Texts.named(code, register))
  end

  defp compared({:is_eq_exact, _, register, {:atom, atom}}, register), do: [atom]
  defp compared({:is_ne_exact, _, register, {:atom, atom}}, register), do: [atom]

  defp compared({:select_val, register, _, {:list, cases}}, register),
    do: for({:atom, atom} <- cases, do: atom)

  defp compared(_op, _register), do: []

  defp arities({:test_arity, _, register, {:u, n}}, register), do: [n]

  defp arities({:select_tuple_arity, register, _, {:list, cases}}, register),
    do: for({:u, n} <- cases, do: n)

  defp arities(_op, _register), do: []

  @doc "Whether a callback has a clause for a message in an argument, whatever the other ones are; true where its code does not show it."
  @spec taken?(code, {:x, non_neg_integer}, Value.t()) :: boolean
  def taken?(code, register, message), do: takes?(code, %{register => message})

  # -- trying a message

  @doc "Whether a callback has a clause for what is known of its arguments; true where its code does not show it."
  @spec takes?(code, map) :: boolean
  def takes?(code, regs) do
    # Behind func_info, which is where no clause matches.
    [_first, _info | body] = code
    follow([{body, regs}], Steps.labels(code), @steps)
  end

  defp follow([], _labels, _left), do: false
  defp follow(_ways, _labels, 0), do: true
  defp follow([{[], _regs} | _ways], _labels, _left), do: true

  defp follow([{[op | rest], regs} | ways], labels, left) do
    case Steps.step(op, regs) do
      :pass -> follow([{rest, regs} | ways], labels, left - 1)
      {:next, regs} -> follow([{rest, regs} | ways], labels, left - 1)
      {:goto, label, _miss} -> follow(to(label, regs, labels) ++ ways, labels, left - 1)
      {:either, label} -> follow([{rest, regs} | to(label, regs, labels)] ++ ways, labels, left - 1)
      {:either_with, label, now} -> follow([{rest, now} | to(label, regs, labels)] ++ ways, labels, left - 1)
      {:any_of, all} -> follow(Enum.flat_map(all, &to(&1, regs, labels)) ++ ways, labels, left - 1)
      # A call, a return: the patterns are behind.
      _ -> true
    end
  end

  # The first label stands before func_info: there is no such clause.
  defp to({:f, 0}, _regs, _labels), do: []
  defp to({:f, n}, regs, labels), do: [{Map.fetch!(labels, n), regs}]
end

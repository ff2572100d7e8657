defmodule FlyDeployAgent.Failure do
  @moduledoc """
  Tells why a process could not be migrated: exception, stack, and the shape of its state. Never a value: states may
  hold what nobody must read. The text of an exception that the application itself wrote is shown; of another's,
  which may hold a value, only where `explain/2` is told so.
  """

  @typedoc "What is told of a process, or of a module that could not be loaded. `name` is that of a registered process."
  @type t :: %{
          required(:reason) => binary,
          required(:exception) => binary,
          optional(:pid) => pid,
          optional(:name) => binary,
          optional(:module) => module,
          optional(:stack) => [binary],
          optional(:state_before) => binary | nil,
          optional(:state_after) => binary
        }

  @frames 8
  @depth 3
  @keys 12
  @text 200
  @hidden "(its text is not shown, as it may hold a value)"

  @doc """
  Why a process did not migrate, from what `sys` answered: `%{reason, exception, stack, state_after}`. `own?` tells whether the text of
  an exception that a module raises may be shown.
  """
  @spec explain(term, own? :: (module -> boolean)) :: t
  def explain(answer, own? \\ fn _module -> true end)

  # Of a proper list: the guard fails for any other, as iodata may be.
  def explain({:error, {:EXIT, {reason, stack}}}, own?) when length(stack) >= 0 do
    if Enum.all?(stack, &frame?/1),
      do: raised(reason, stack, own?),
      else: explain({:error, {:EXIT, :exit}})
  end

  def explain({:error, {:EXIT, reason}}, _own?),
    do: %{reason: "exited", exception: "exit with #{shape(reason)}", stack: []}

  def explain({:error, {:unknown_system_msg, _}}, _own?),
    do: %{reason: "not_suspended", exception: "another process resumed it inside the window", stack: []}

  def explain({:error, returned}, _own?),
    do: %{
      reason: "bad_return",
      exception: "code_change returned #{shape(returned)}",
      stack: [],
      state_after: shape(returned)
    }

  def explain(other, _own?), do: %{reason: "bad_return", exception: "answered #{shape(other)}", stack: []}

  defp raised(reason, stack, own?) do
    exception = Exception.normalize(:error, reason, stack)
    shown? = not text?(exception) or Enum.any?(Enum.take(stack, 1), &own?.(elem(&1, 0)))

    %{
      reason: "raised",
      exception: "** (#{inspect(exception.__struct__)}) #{if shown?, do: message(exception), else: @hidden}",
      stack: stack(stack)
    }
  end

  defp frame?({m, f, a, l}) when is_atom(m) and is_atom(f) and (is_integer(a) or is_list(a)) and is_list(l),
    do: true

  defp frame?(_), do: false

  # Exceptions of the language carry the offending value: its shape stands in for it.
  # Nothing tells of the map that `%{map | key: value}` was made of.
  defp message(%KeyError{key: key, term: nil}) when is_atom(key), do: "key #{inspect(key)} not found"

  defp message(%KeyError{key: key, term: term}) when is_atom(key),
    do: "key #{inspect(key)} not found in: #{shape(term)}"

  defp message(%KeyError{term: term}), do: "key not found in: #{shape(term)}"
  defp message(%MatchError{term: term}), do: "no match of right hand side value: #{shape(term)}"
  defp message(%CaseClauseError{term: term}), do: "no case clause matching: #{shape(term)}"
  defp message(%WithClauseError{term: term}), do: "no with clause matching: #{shape(term)}"
  defp message(%TryClauseError{term: term}), do: "no try clause matching: #{shape(term)}"
  defp message(%BadMapError{term: term}), do: "expected a map, got: #{shape(term)}"

  # Elixir 1.20 no longer has this exception: as a struct it would not compile there.
  defp message(%{__struct__: BadStructError, struct: struct, term: term}),
    do: "expected a struct named #{inspect(struct)}, got: #{shape(term)}"

  defp message(%ErlangError{original: original}), do: "Erlang error: #{shape(original)}"

  defp message(%FunctionClauseError{module: module, function: fun, arity: arity}),
    do: "no function clause matching in #{Exception.format_mfa(module, fun, arity)}"

  defp message(%UndefinedFunctionError{module: module, function: fun, arity: arity}),
    do: "function #{Exception.format_mfa(module, fun, arity)} is undefined"

  defp message(exception) do
    if text?(exception),
      do: clip(exception.message),
      else: shape(Map.drop(exception, [:__struct__, :__exception__]))
  end

  # Nothing but a text that whoever raised it wrote.
  defp text?(%{message: text} = exception), do: is_binary(text) and map_size(exception) == 3
  defp text?(_exception), do: false

  @doc "A stack without arguments, innermost first, at most #{@frames} frames."
  @spec stack([tuple]) :: [binary]
  def stack(stack) do
    for {module, fun, arity, location} <- Enum.take(stack, @frames) do
      arity = if is_list(arity), do: length(arity), else: arity

      {module, fun, arity, Keyword.take(location, [:file, :line])}
      |> Exception.format_stacktrace_entry()
      |> clip()
    end
  end

  @doc "The stack of a process as it is now, [] for a dead one."
  @spec stack_of(pid) :: [binary]
  def stack_of(pid) do
    case Process.info(pid, :current_stacktrace) do
      {:current_stacktrace, stack} -> stack(stack)
      nil -> []
    end
  end

  @doc """
  The shape of a term: struct names, atom keys and types. `%Shop.Cart{items: [%{…}], total: integer}`.
  """
  @spec shape(term) :: binary
  def shape(term), do: term |> shape(@depth) |> clip()

  defp shape(nil, _), do: "nil"
  defp shape(term, _) when is_boolean(term), do: "boolean"
  defp shape(term, _) when is_atom(term), do: "atom"
  defp shape(term, _) when is_integer(term), do: "integer"
  defp shape(term, _) when is_float(term), do: "float"
  defp shape(term, _) when is_binary(term), do: if(String.valid?(term), do: "string", else: "binary")
  defp shape(term, _) when is_bitstring(term), do: "bitstring"
  defp shape(term, _) when is_pid(term), do: "pid"
  defp shape(term, _) when is_port(term), do: "port"
  defp shape(term, _) when is_reference(term), do: "reference"
  defp shape(term, _) when is_function(term), do: "function"
  defp shape([], _), do: "[]"
  defp shape([first | _], 0) when is_list(first) or is_map(first), do: "[…]"
  defp shape([first | _], depth), do: "[#{shape(first, depth - 1)}]"
  defp shape(%{__struct__: struct}, 0) when is_atom(struct), do: "%#{inspect(struct)}{…}"

  defp shape(%{__struct__: struct} = term, depth) when is_atom(struct),
    do: "%#{inspect(struct)}{#{fields(Map.delete(term, :__struct__), depth)}}"

  defp shape(term, _) when term == %{}, do: "%{}"
  defp shape(term, 0) when is_map(term), do: "%{…}"
  defp shape(term, depth) when is_map(term), do: "%{#{fields(term, depth)}}"
  defp shape(term, 0) when is_tuple(term), do: "{…}"

  defp shape(term, depth) when is_tuple(term),
    do: "{#{term |> Tuple.to_list() |> some(&shape(&1, depth - 1))}}"

  # Only small maps are looked through: a state may be a map of millions.
  defp fields(map, depth) when map_size(map) > 64 do
    {key, value, _} = map |> :maps.iterator() |> :maps.next()
    "#{shape(key, 0)} => #{shape(value, depth - 1)}"
  end

  # Sorted: from OTP 26 on maps have an order of their own, another one in every VM, and what failed alike is told once.
  defp fields(map, depth) do
    case map |> Enum.sort() |> Enum.split_with(fn {key, _} -> is_atom(key) end) do
      {atoms, []} ->
        some(atoms, fn {key, value} -> "#{key_text(key)}: #{shape(value, depth - 1)}" end)

      {_, [{key, value} | _]} ->
        "#{shape(key, 0)} => #{shape(value, depth - 1)}"
    end
  end

  defp key_text(key), do: key |> inspect() |> String.trim_leading(":")

  defp some(items, fun) do
    text = items |> Enum.take(@keys) |> Enum.map_join(", ", fun)
    if length(items) > @keys, do: text <> ", …", else: text
  end

  defp clip(text), do: if(String.length(text) > @text, do: String.slice(text, 0, @text) <> "…", else: text)
end

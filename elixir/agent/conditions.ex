defmodule FlyDeployAgent.Conditions do
  @moduledoc """
  What a start does under a condition: for one of the values of an option, or of what it is given, that the running code tells apart. The new
  version may do then what the running one did only otherwise. Which of the conditions hold for those that run, their states tell, where they keep
  the option.
  """

  alias FlyDeployAgent.{CodeFacts, Messages, Once, Pair, Paths, Value}

  # An option with a value, with one that only the new version knows, or with none of those that code names; or a whole argument, or one of the
  # elements of a tuple of that many.
  @type condition ::
          {:option, atom, atom}
          | {:new, atom, atom}
          | {:other, atom, [atom]}
          | {:given, Messages.message()}
          | {:element, pos_integer, pos_integer, atom}
  # A call, or what follows a start, as people say it.
  @type done :: {mfa, [Value.t()]} | {:then, binary}

  @options [get: 2, get: 3, fetch: 2, fetch!: 2, pop: 2, pop: 3, has_key?: 2, get_value: 2, get_value: 3]
  @init {:init, 1}
  @continue {:handle_continue, 2}
  # Options, values and messages that are tried, and how often a start goes on.
  @tried 6
  @values 10
  @continued 3
  @calls [:call, :call_ext, :call_fun, :call_fun2, :apply]
  # How deep in states options are kept.
  @depth 3

  @doc """
  What the new version does when it starts so, and the running one does neither then nor when its code changes, as `{condition, what}`. `told` are
  calls that are new however it starts.
  """
  @spec new(Pair.t(), told :: [{mfa, [Value.t()]}]) :: [{condition, done}]
  def new(%{module: module} = pair, told) do
    if Pair.differs?(pair, [@init, @continue]) do
      roots = for {f, a} <- [@init, @continue], do: {module, f, a}
      [old, new] = for version <- [:old, :new], do: Paths.alone(module, Pair.code(pair, version), roots)
      known = Once.migrating(pair) ++ Once.tasks(pair) ++ told
      # What the running version lets follow some other start.
      follows = then(Paths.follow(old, hd(roots), [:any]).returns)

      for condition <- conditions(pair, old),
          {now, true} <- [does(new, module, condition, options(old, module))],
          now != {[], []},
          {before, true} <- [does(old, module, condition, :all)],
          what <- further(now, before, known, follows),
          elem(what, 0) == :then or elem(elem(what, 0), 0) != module,
          uniq: true,
          do: {condition, what}
    else
      []
    end
  end

  defp further({calls, then}, {before, followed}, known, follows) do
    case Enum.reject(calls, &Once.among?(&1, before ++ known)) do
      [] -> for text <- then -- followed, text in follows, do: {:then, text}
      calls -> calls
    end
  end

  @doc "Those of some calls which the new version makes when it starts only for a value of an option that the running one does not know."
  @spec unknown(Pair.t(), [{mfa, [Value.t()]}]) :: [{mfa, [Value.t()]}]
  def unknown(_pair, []), do: []

  def unknown(%{module: module} = pair, calls) do
    roots = for {f, a} <- [@init, @continue], do: {module, f, a}
    [old, new] = for version <- [:old, :new], do: Paths.alone(module, Pair.code(pair, version), roots)

    tried =
      for {kind, key, _} = condition when kind != :given <- conditions(pair, old),
          {{done, _}, true} <- [does(new, module, condition, options(old, module))],
          do: {key, kind, done}

    for call <- calls,
        {_key, kinds} <- Enum.group_by(tried, &elem(&1, 0), &{elem(&1, 1), Once.among?(call, elem(&1, 2))}),
        {:new, true} in kinds and {:option, true} not in kinds and {:other, true} not in kinds,
        uniq: true,
        do: call
  end

  @doc "What was started so, as people write it."
  @spec told(condition) :: binary
  def told({kind, key, value}) when kind in [:option, :new], do: "#{key}: #{inspect(value)}"
  def told({:other, key, _named}), do: "another #{key}"
  def told({:given, message}), do: Messages.told(message)

  def told({:element, arity, n, atom}) do
    elements = "_" |> List.duplicate(arity) |> List.replace_at(n, inspect(atom)) |> Enum.join(", ")
    "{#{elements}}"
  end

  @doc "Whether a process whose state has this shape may have been started so: true, false, or `:unknown` where it does not keep that."
  @spec holds?(condition, Value.t()) :: boolean | :unknown
  def holds?({:given, message}, state) do
    tag = if is_tuple(message), do: elem(message, 0), else: message
    if tag in Value.atoms(state), do: true, else: :unknown
  end

  def holds?({:element, _arity, _n, atom}, state),
    do: if(atom in Value.atoms(state), do: true, else: :unknown)

  def holds?({kind, key, value}, state) do
    case kept(state, key, @depth) do
      [] -> kind != :new and :unknown
      values -> Enum.any?(values, &held?(kind, &1, value))
    end
  end

  defp held?(:other, {:atom, atom}, named), do: atom not in named
  defp held?(:other, value, _named), do: Value.type(value) != :atom
  defp held?(_kind, value, term), do: Value.same(value, {:const, term}) != false

  defp kept(_value, _key, 0), do: []
  defp kept({:tuple, [{_, key}, value]}, key, _depth), do: [value]
  defp kept({:tuple, values}, key, depth), do: Enum.flat_map(values, &kept(&1, key, depth - 1))
  defp kept({:cons, head, tail}, key, depth), do: kept(head, key, depth) ++ kept(tail, key, depth)

  defp kept({:map, values, _}, key, depth) do
    case values do
      %{^key => value} -> [value]
      _ -> values |> Map.values() |> Enum.flat_map(&kept(&1, key, depth - 1))
    end
  end

  defp kept(_value, _key, _depth), do: []

  # -- what may be told apart

  defp conditions(%{module: module} = pair, old) do
    [before, now] =
      for version <- [:old, :new], do: CodeFacts.reached(Pair.code(pair, version), module, [@init, @continue])

    # What is given alone is no option's value, unless that is or is not.
    named =
      for function <- [@init, @continue],
          message <- given(before[function]),
          not is_boolean(message),
          do: message

    [known, others] = for code <- [before, now], do: Enum.take(values(code) -- named, @values)

    given = for message <- given(before[@init]), not is_binary(message), do: {:given, message}

    options =
      for key <- old |> options(module) |> Enum.take(@tried),
          {kind, value} <-
            for(v <- known, do: {:option, v}) ++
              for(v <- others -- known, do: {:new, v}) ++ [{:other, known ++ others}],
          do: {kind, key, value}

    options ++ Enum.take(given, @tried) ++ Enum.take(elements(before[@init]), @tried)
  end

  # What its clauses tell apart: behind a call, its first register is something else.
  defp given(nil), do: []
  defp given(body), do: body |> Enum.take_while(&(elem(&1, 0) not in @calls)) |> Messages.named({:x, 0})

  # The further elements of a tuple that its clauses tell apart.
  defp elements(nil), do: []

  defp elements(body) do
    head = Enum.take_while(body, &(elem(&1, 0) not in @calls))
    arities = for {:test_arity, _, {:x, 0}, {:u, n}} <- head, uniq: true, do: n

    for {:get_tuple_element, {:x, 0}, {:u, n}, to} when n > 0 <- head,
        op <- head,
        Enum.any?([1, 2], &(tuple_size(op) > &1 and elem(op, &1) == to)),
        atom <- compared(op),
        arity <- arities,
        n < arity,
        uniq: true,
        do: {:element, arity, n, atom}
  end

  # The atoms that its start compares something with; what is not false is true.
  defp values(code) do
    all = for {_, body} <- code, op <- body, atom <- compared(op), uniq: true, do: atom
    Enum.uniq(if(Enum.any?(all, &(&1 in [nil, false])), do: [true | all], else: all))
  end

  defp compared({name, _, _, {:atom, atom}}) when name in [:is_eq_exact, :is_ne_exact], do: [atom]
  defp compared({:select_val, _, _, {:list, cases}}), do: for({:atom, atom} <- cases, do: atom)

  defp compared({_bif, _, {:extfunc, :erlang, f, 2}, _, {:atom, atom}, _}) when f in [:"=:=", :"=/=", :==],
    do: [atom]

  defp compared(_op), do: []

  # The options that its start asks for, by functions and by patterns.
  defp options(program, module) do
    {f, a} = @init
    told = Paths.follow(program, {module, f, a}, [:any])

    Enum.uniq(for({mfa, arguments} <- told.calls, key = option(mfa, arguments), do: key) ++ keys(program))
  end

  defp option({module, f, a}, arguments) when module in [Keyword, Map, Access, :proplists, :maps] do
    if {f, a} in @options do
      Enum.find_value(arguments, fn
        {:const, key} when is_atom(key) and key not in [nil, true, false] -> key
        _argument -> nil
      end)
    end
  end

  defp option(_mfa, _arguments), do: nil

  defp keys(program) do
    for {{_, f, a}, {body, _}} <- program,
        {f, a} != @continue,
        {:get_map_elements, _, _, {:list, pairs}} <- body,
        {:atom, key} <- pairs,
        do: key
  end

  # -- what is done

  # What is done once, and whether all of it is known. Options that the running version does not know nobody was started with.
  defp does(program, module, condition, known) do
    {f, a} = @init
    read = fn mfa, arguments -> read(mfa, arguments, condition, known) end

    told =
      Paths.follow(program, {module, f, a}, [argument(condition, program, {module, f, a})], %{read: read})

    all = [told | continued(told, program, module, read, @continued)]
    {{Once.of(Enum.flat_map(all, & &1.calls)), then(told.returns)}, Enum.all?(all, & &1.whole)}
  end

  # A continue, a timeout, actions of a state machine.
  defp then(returns) do
    for {:tuple, [{:const, :ok} | rest]} <- Enum.map(returns, &Value.parts/1),
        text <- follows(rest),
        uniq: true,
        do: text
  end

  defp follows([_state, {:tuple, [{:const, :continue}, message]}]),
    do: ["goes on with #{Once.text(message) || "a continue"}"]

  defp follows([_state, {:const, n}]) when is_integer(n), do: ["gets a timeout"]

  defp follows([_name, _data, {:cons, _, _} = actions]),
    do: actions |> Value.elements() |> elem(0) |> Enum.flat_map(&action/1)

  defp follows([_name, _data, action]), do: action(action)
  defp follows(_rest), do: []

  defp action({:tuple, [{:const, :next_event}, _type, message]}),
    do: ["goes on with #{Once.text(message) || "an event"}"]

  defp action({:tuple, [{:const, kind} | _]}) when kind in [:state_timeout, :timeout], do: ["gets a timeout"]
  defp action({:tuple, [{:tuple, [{:const, :timeout}, _]} | _]}), do: ["gets a timeout"]
  defp action(_action), do: []

  defp argument({:given, message}, _program, _init), do: Messages.value(message)

  defp argument({:element, arity, n, atom}, _program, _init),
    do: {:made, :any |> List.duplicate(arity) |> List.replace_at(n, {:const, atom})}

  # Options are none of what is given alone.
  defp argument({_kind, key, _} = condition, program, init) do
    {body, _labels} = Map.get(program, init, {[], %{}})

    cond do
      key in keys(program) -> {:map, %{key => value(condition)}, false}
      given(body) == [] -> :any
      true -> {:composed, :list}
    end
  end

  defp value({:other, _key, _named}), do: {:tag, :"another value"}
  defp value({_kind, _key, value}), do: {:const, value}

  defp continued(_told, _program, _module, _read, 0), do: []

  defp continued(%{returns: returns}, program, module, read, left) do
    {f, a} = @continue

    for {:tuple, [{:const, _ok} | rest]} <- Enum.map(returns, &Value.parts/1),
        [state, {:tuple, [{:const, :continue}, message]}] <- [Enum.take(rest, -2)],
        is_map_key(program, {module, f, a}),
        uniq: true do
      told = Paths.follow(program, {module, f, a}, [message, state], %{read: read})
      [told | continued(told, program, module, read, left - 1)]
    end
    |> List.flatten()
  end

  defp read({module, f, a} = mfa, arguments, condition, known)
       when module in [Keyword, Map, Access, :proplists, :maps] do
    key = if {f, a} in @options, do: option(mfa, arguments)

    case condition do
      _ when key == nil -> nil
      {_kind, ^key, _} -> {:gives, given(f, value(condition))}
      _ -> if(known != :all and key not in known, do: absent(f, arguments))
    end
  end

  defp read(_mfa, _arguments, _condition, _known), do: nil

  defp given(:fetch, value), do: {:made, [{:const, :ok}, value]}
  defp given(:pop, value), do: {:made, [value, :any]}
  defp given(:has_key?, _value), do: {:const, true}
  defp given(_get, value), do: value

  defp absent(f, [_, _, default]) when f in [:get, :get_value], do: {:gives, default}

  defp absent(f, [_, _]) when f in [:get, :get_value],
    do: {:gives, {:const, if(f == :get, do: nil, else: :undefined)}}

  defp absent(:fetch, _arguments), do: {:gives, {:const, :error}}
  defp absent(:has_key?, _arguments), do: {:gives, {:const, false}}
  defp absent(_f, _arguments), do: nil
end

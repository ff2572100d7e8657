defmodule FlyDeployAgent.Attached do
  @moduledoc """
  Functions of a changed module that it, or another that changes, has attached to something, as handlers of events: what tables hold of them stays
  as the running code has put it there, while the new code attaches them otherwise, or others as well.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Shapes, Value}

  # Where a function is attached time and again, it will be with the new code.
  @callbacks [
    handle_call: 3,
    handle_cast: 2,
    handle_info: 2,
    handle_event: 2,
    handle_event: 3,
    handle_event: 4,
    handle_in: 3
  ]
  # How deep in rows names of functions stand, and among how many elements of a list.
  @depth 4
  @elements 20

  @doc "The findings about what changed modules attach."
  @spec findings([Pair.t()]) :: [map]
  def findings(pairs) do
    by_module = for %{module: module, old: %{}} = pair <- pairs, into: %{}, do: {module, pair}
    held = if by_module == %{}, do: %{}, else: held(by_module)

    for {module, names} <- held,
        old = attached(pairs, :old, module),
        # Those that are gone are told of by themselves.
        done = for({mfa, f, _} <- old, f in names and exported?(by_module[module].new, f), do: mfa),
        done != [],
        {mfa, f, given} = one <- attached(pairs, :new, module),
        exported?(by_module[module].new, f),
        mfa in done and not Enum.any?(old, &like?(&1, one)),
        uniq: true,
        do: %{
          name: "init_changed",
          severity: :warn,
          subject: inspect(module),
          detail:
            "now attaches #{f} by #{mfa(mfa)}#{events(given, module, f)}; what is attached was attached by the running code, and stays so"
        }
  end

  defp mfa({m, f, a}), do: Exception.format_mfa(m, f, a)

  defp events(given, module, f) do
    case for {:const, term} <- Enum.map(given, &whole/1),
             term not in [module, f],
             is_atom(term) or (is_list(term) and Enum.all?(term, &is_atom/1)),
             do: inspect(term) do
      [] -> ""
      terms -> " (#{Enum.join(terms, ", ")})"
    end
  end

  # -- what code attaches

  @doc "What a version of changed modules calls elsewhere with functions of a module, as `{what is called, the function's name, arguments}`."
  @spec attached([Pair.t()], :old | :new, module) :: [{mfa, atom, [Value.t()]}]
  def attached(pairs, version, module) do
    for pair <- pairs,
        version == :new or pair.old != nil,
        {mfa, arguments} <- calls(pair, Pair.code(pair, version), module),
        given = Enum.map(arguments, &Value.parts/1),
        f <- own(given, module),
        uniq: true,
        do: {mfa, f, given}
  end

  defp calls(%{module: caller}, code, module) do
    again = CodeFacts.reached(code, caller, @callbacks)

    roots =
      for {{f, a}, body} <- code,
          not is_map_key(again, {f, a}) and Enum.any?(body, &names?(&1, module)),
          do: {caller, f, a}

    program = Paths.alone(caller, code, roots)

    for {_, _, a} = root <- roots,
        {{m, _, _}, _} = call <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        m not in [caller, module, :erlang],
        do: call
  end

  defp exported?(%{exports: exports}, f), do: Enum.any?(exports, &match?({^f, _}, &1))

  # An instruction that has the module's name in it.
  defp names?(operation, module), do: operation |> Tuple.to_list() |> Enum.any?(&operand?(&1, module))

  defp operand?({:atom, module}, module), do: true
  defp operand?({:literal, term}, module), do: within?(term, module, @depth)
  defp operand?({:list, operands}, module), do: Enum.any?(operands, &operand?(&1, module))
  defp operand?(_operand, _module), do: false

  defp within?(module, module, _depth), do: true
  defp within?(_term, _module, 0), do: false
  defp within?(fun, module, _depth) when is_function(fun), do: Function.info(fun)[:module] == module

  defp within?(tuple, module, depth) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> Enum.any?(&within?(&1, module, depth - 1))

  defp within?([head | tail], module, depth), do: within?(head, module, depth) or within?(tail, module, depth)
  defp within?(_term, _module, _depth), do: false

  defp own([{:const, module}, {:const, f} | rest], module) when is_atom(f), do: [f | own(rest, module)]
  defp own([{:tuple, values} | rest], module), do: own(values, module) ++ own(rest, module)

  defp own([{:cons, _, _} = list | rest], module),
    do: own(elem(Value.elements(list), 0), module) ++ own(rest, module)

  defp own([{:fun, {module, f, _}, []} | rest], module), do: [f | own(rest, module)]
  defp own([_ | rest], module), do: own(rest, module)
  defp own([], _module), do: []

  # Another number is another priority, or an interval.
  defp like?({mfa, f, one}, {mfa, f, other}),
    do: one |> Enum.zip(other) |> Enum.all?(fn {a, b} -> Value.like?(numberless(a), numberless(b)) end)

  defp like?(_one, _other), do: false

  defp numberless({:const, n}) when is_number(n), do: :any
  defp numberless({:tuple, values}), do: {:tuple, Enum.map(values, &numberless/1)}
  defp numberless({:cons, head, tail}), do: {:cons, numberless(head), numberless(tail)}
  defp numberless(value), do: value

  defp whole({:cons, _, _} = list) do
    case Value.elements(list) do
      {elements, true} ->
        if Enum.all?(elements, &match?({:const, _}, &1)),
          do: {:const, for({:const, term} <- elements, do: term)},
          else: list

      _ ->
        list
    end
  end

  defp whole(value), do: value

  # -- what is attached

  # The names of functions of these modules that rows of tables hold, by module.
  defp held(modules) do
    for(
      table <- :ets.all(),
      row <- Shapes.rows(table),
      {module, f} <- functions(Tuple.to_list(row), modules, @depth),
      # Any atom may stand beside a module's name.
      exported?(modules[module].old, f),
      uniq: true,
      do: {module, f}
    )
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
  end

  # Its first elements, whatever its end is.
  defp some([head | tail], left) when left > 0, do: [head | some(tail, left - 1)]
  defp some(_rest, _left), do: []

  defp functions(_terms, _modules, 0), do: []

  defp functions([m, f | rest], modules, depth) when is_atom(m) and is_atom(f),
    do:
      if(is_map_key(modules, m),
        do: [{m, f} | functions(rest, modules, depth)],
        else: functions([f | rest], modules, depth)
      )

  defp functions([term | rest], modules, depth),
    do: of(term, modules, depth) ++ functions(rest, modules, depth)

  defp functions(_end, _modules, _depth), do: []

  defp of(tuple, modules, depth) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> functions(modules, depth - 1)

  defp of([_ | _] = list, modules, depth), do: list |> some(@elements) |> functions(modules, depth - 1)

  defp of(fun, modules, _depth) when is_function(fun) do
    info = Function.info(fun)

    if info[:type] == :external and is_map_key(modules, info[:module]),
      do: [{info[:module], info[:name]}],
      else: []
  end

  defp of(_term, _modules, _depth), do: []
end

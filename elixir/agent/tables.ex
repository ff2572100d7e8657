defmodule FlyDeployAgent.Tables do
  @moduledoc """
  What the new code does with tables that live: other options, rows of other shapes. Rows that are there stay as they are.
  """

  alias FlyDeployAgent.{CodeFacts, Findings, Pair, Paths, Value}

  @rows [{:ets, :insert, 2}, {:ets, :insert_new, 2}]
  @new {:ets, :new, 2}
  @defaults Enum.map([:set, :protected], &{:const, &1}) ++
              for(
                {key, value} <- [keypos: 1, heir: :none, read_concurrency: false, write_concurrency: false],
                do: {:tuple, [{:const, key}, {:const, value}]}
              )

  @doc "The findings about tables with a name that changed modules make or fill."
  @spec findings([Pair.t()]) :: [Findings.finding()]
  def findings(pairs) do
    for %{old: %{}} = pair <- pairs,
        uses?(pair.new) and uses?(pair.old),
        calls = calls(pair, :new),
        before = calls(pair, :old),
        calls != nil and before != nil,
        rewritten = rewritten(pair),
        found <-
          options(pair, calls, before) ++ rows(pair, calls, before, rewritten) ++ orders(pair, rewritten),
        do: found
  end

  defp uses?(%{imports: imports}), do: Enum.any?([@new | @rows], &(&1 in imports))

  # nil where there is too much to follow.
  defp calls(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    using =
      for {function, body} <- code,
          Enum.any?(CodeFacts.calls(body), &(&1 == @new or &1 in @rows)),
          do: function

    followed(module, code, outside(module, code, using, Map.get(pair, version).exports)) ||
      followed(module, code, using)
  end

  # What a function of its own is given is known from those that others call.
  defp outside(module, code, using, exports) do
    {called, own} = Enum.split_with(using, fn {_, a} = function -> a == 0 or function in exports end)

    callers =
      if own == [],
        do: [],
        else:
          for(
            function <- exports,
            reached = CodeFacts.reached(code, module, [function]),
            lead = Enum.filter(own, &is_map_key(reached, &1)),
            lead != [],
            do: {function, lead}
          )

    Enum.uniq(called ++ Enum.map(callers, &elem(&1, 0)) ++ (own -- Enum.flat_map(callers, &elem(&1, 1))))
  end

  defp followed(module, code, functions) do
    program = Paths.alone(module, code, for({f, a} <- functions, do: {module, f, a}))

    told = for {f, a} <- functions, do: Paths.follow(program, {module, f, a}, List.duplicate(:any, a))

    if Enum.all?(told, & &1.whole),
      do:
        for(
          %{calls: calls} <- told,
          {mfa, [{:const, name}, argument]} <- calls,
          mfa == @new or mfa in @rows,
          is_atom(name),
          uniq: true,
          do: {mfa, name, Value.parts(argument)}
        )
  end

  @doc "The tables that the new version's code_change writes to."
  @spec rewritten(Pair.t()) :: [atom]
  def rewritten(%{module: module} = pair) do
    reached = pair |> Pair.code(:new) |> CodeFacts.reached(module, code_change: 3, code_change: 4)

    for {mfa, name, _} <- followed(module, Pair.code(pair, :new), Map.keys(reached)) || [],
        mfa in @rows,
        do: name
  end

  defp options(%{module: module}, calls, before) do
    for {@new, name, options} <- calls,
        live?(name),
        old = for({@new, ^name, options} <- before, do: options),
        old != [] and not Enum.any?(old, &Value.like?(plain(&1), plain(options))),
        uniq: true,
        do: finding(module, "makes the table #{inspect(name)} with other options than it has")
  end

  # In whatever order, and without what is so anyway.
  defp plain(options) do
    {all, whole} = Value.elements(options)

    if whole,
      do:
        all
        |> Enum.map(&with_value/1)
        |> Enum.reject(&(&1 in @defaults))
        |> Enum.sort()
        |> List.foldr({:const, []}, &{:cons, &1, &2}),
      else: options
  end

  defp with_value({:tuple, [{:const, key}, {:const, true}]}), do: {:const, key}
  defp with_value(option), do: option

  # Further rows beside those of before do no harm.
  defp rows(%{module: module}, calls, before, rewritten) do
    for {mfa, name, row} <- calls,
        mfa in @rows,
        name not in rewritten and filled?(name),
        {:tuple, _} <- [row],
        old = for({mfa, ^name, row} <- before, mfa in @rows, do: row),
        now = for({mfa, ^name, row} <- calls, mfa in @rows, do: row),
        not Enum.any?(old, &alike?(&1, row)) and
          not Enum.all?(old, fn row -> Enum.any?(now, &alike?(row, &1)) end),
        uniq: true,
        do:
          finding(
            module,
            "puts rows of another shape into the table #{inspect(name)} than those that are there (#{count(name)})"
          )
  end

  # What a function is given it puts into a row: elements that have changed places do not do so in the rows that are there.
  defp orders(%{module: module} = pair, rewritten) do
    [old, new] = for version <- [:old, :new], do: placed(pair, version)

    for {place, now} <- new,
        {_, name} = place,
        name not in rewritten and filled?(name),
        %{^place => before} <- [old],
        before != now and Enum.sort(before) == Enum.sort(now),
        uniq: true,
        do:
          finding(
            module,
            "puts the elements of rows into the table #{inspect(name)} in another order than they are there (#{count(name)})"
          )
  end

  # Which of its arguments a function puts where in the rows of a table, `%{{function, table} => places}`, of those with one kind of row.
  defp placed(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    roots =
      for {f, a} = function <- Map.get(pair, version).exports,
          a > 1,
          body = code[function],
          Enum.any?(CodeFacts.calls(body), &(&1 in @rows)),
          do: {module, f, a}

    program = Paths.alone(module, code, roots)

    for {_, f, a} = root <- roots,
        {name, [row]} <- rows_of(Paths.follow(program, root, Enum.map(1..a, &{:argument, &1})).calls),
        places = for({:argument, n} <- row, do: n),
        length(places) > 1,
        into: %{},
        do: {{{f, a}, name}, places}
  end

  defp rows_of(calls) do
    for(
      {mfa, [{:const, name}, row]} <- calls,
      mfa in @rows and is_atom(name),
      {:tuple, row} <- [Value.parts(row)],
      uniq: true,
      do: {name, row}
    )
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
  end

  # The key, and how many elements: the others are what is stored.
  defp alike?({:tuple, [key | rest]}, {:tuple, [other | others]}),
    do: length(rest) == length(others) and kind(key, other)

  defp alike?(one, other), do: Value.like?(one, other)

  defp kind({:const, _}, {:const, _}), do: true
  # A key that is put together is another one than any that comes as it is.
  defp kind(:any, {:tuple, _}), do: false
  defp kind({:tuple, _}, :any), do: false
  defp kind(one, other), do: Value.like?(one, other)

  defp live?(name), do: :ets.whereis(name) != :undefined
  defp filled?(name), do: match?(n when is_integer(n) and n > 0, :ets.info(name, :size))

  defp count(name) do
    case :ets.info(name, :size) do
      1 -> "1 row"
      n -> "#{n} rows"
    end
  end

  defp finding(module, detail), do: Findings.finding("table_changed", :warn, module, detail)
end

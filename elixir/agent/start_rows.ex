defmodule FlyDeployAgent.StartRows do
  @moduledoc """
  Rows that the new version of a module puts into a table when it starts, under keys that the table lacks, as no running start has put
  them; and what reads them, by the table's name, or as a process' state holds it. Who does the same without such a row misses nothing.
  """

  alias FlyDeployAgent.{CodeFacts, CodeFindings, Contexts, Demands, Pair, Paths, Value}

  # A table without a name is what a state holds of it, or `:unnamed` where it is made.
  @type row :: {table :: atom | reference, key :: term, Value.t()}

  @puts [{:ets, :insert, 2}, {:ets, :insert_new, 2}]
  @reads [
    {:ets, :lookup, 2},
    {:ets, :take, 2},
    {:ets, :member, 2},
    {:ets, :lookup_element, 3},
    {:ets, :lookup_element, 4},
    {:ets, :update_counter, 3}
  ]
  @starting [:init, :start, :start_link, :handle_continue, :child_spec, :code_change]
  # What somebody is told in an answer that is none.
  @nothing [nil, false, :error, :undefined, :not_found, :none, []]
  # All functions together.
  @time_ms 2_000
  # Shapes of states that are followed.
  @shapes 6

  @doc "Such rows, as `{module, what is done with it, table, key}`."
  @spec missing([Pair.t()], CodeFindings.live()) :: [{module, binary, atom, term}]
  def missing(pairs, live) do
    codes = Demands.codes(live)
    changed = MapSet.new(pairs, & &1.module)
    by_module = for %{old: %{}} = pair <- pairs, into: %{}, do: {pair.module, pair}

    put =
      for {module, roots} <- starts(by_module, live, changed),
          {table, key, _} = row <- put(module, roots, codes, changed),
          lacks?(table, key),
          do: {module, row}

    until = System.monotonic_time(:millisecond) + @time_ms

    for {module, {table, key, _} = row} <- put,
        reader <- pairs,
        System.monotonic_time(:millisecond) < until,
        {m, f, a} = mfa <- readers(reader, key),
        program = Paths.program(&codes.(:new, &1), [mfa]),
        misses?(program, mfa, List.duplicate(:any, a), {{:const, table}, row}),
        uniq: true,
        do: {module, "#{inspect(m)}.#{f}/#{a} reads, once its start has put it,", table, key}
  end

  @doc "Such rows of tables that the states of a changed module's processes hold, as `{key, callback, number of those of the states}`."
  @spec held(Pair.t(), [{atom, Value.t()}], Demands.codes()) :: [{term, {atom, arity}, pos_integer}]
  def held(%{module: module} = pair, states, codes) do
    put = put(module, starting(pair), codes, MapSet.new([module]))

    shapes =
      if put == [],
        do: [],
        else: states |> Enum.frequencies() |> Enum.sort_by(&(-elem(&1, 1))) |> Enum.take(@shapes)

    for {_, key, _} = row <- put,
        found = for({{kind, state}, n} <- shapes, f = lacking({pair, kind, state}, row, codes), do: {f, n}),
        found != [] do
      {[{f, _} | _], counts} = {found, Enum.map(found, &elem(&1, 1))}
      {key, f, Enum.sum(counts)}
    end
  end

  # The first callback that misses it in a table of this state.
  defp lacking({%{module: module} = pair, kind, state}, {made, key, what}, codes) do
    contexts = Contexts.all(kind, pair, codes.(:new, module) || %{})
    program = Paths.program(&codes.(:new, &1), for(%{function: {f, a}} <- contexts, do: {module, f, a}))

    Enum.find_value(tables(state, made), fn {_, table} = held ->
      lacks?(table, key) and
        Enum.find_value(contexts, fn %{function: {f, a}} = context ->
          Enum.any?(Contexts.messages(context, module, codes), fn {message, _} ->
            misses?(
              program,
              {module, f, a},
              Contexts.arguments(context, message, state),
              {held, {table, key, what}}
            )
          end) and {f, a}
        end)
    end)
  end

  defp tables({:table, _} = table, :unnamed), do: [table]
  defp tables({:atom, name} = table, name), do: [table]
  defp tables({:tuple, values}, made), do: Enum.flat_map(values, &tables(&1, made))
  defp tables({:cons, head, tail}, made), do: tables(head, made) ++ tables(tail, made)
  defp tables({:map, values, _}, made), do: values |> Map.values() |> Enum.flat_map(&tables(&1, made))
  defp tables(_value, _made), do: []

  # By what has been started that runs.
  defp starts(by_module, live, changed) do
    for(module <- live.applications, CodeFacts.concerned?(module, changed), do: {module, [start: 2]}) ++
      for {module, pair} <- by_module,
          is_map_key(live.processes, module) or module in live.supervisors,
          do: {module, starting(pair)}
  end

  defp starting(%{new: %{exports: exports}}),
    do: for({f, a} <- exports, f in @starting, f != :code_change, do: {f, a})

  # What all starts of a module put, where it can be told of those that ran. They may do it by changed modules.
  defp put(module, roots, codes, changed) do
    follow = fn version, roots ->
      within = &if(&1 == module or &1 in changed, do: codes.(version, &1))
      program = Paths.program(within, for({f, a} <- roots, do: {module, f, a}))

      if puts?(program),
        do:
          for(
            {f, a} <- roots,
            is_map_key(program, {module, f, a}),
            do: Paths.follow(program, {module, f, a}, List.duplicate(:any, a))
          ),
        else: []
    end

    with [_ | _] = new <- rows(follow.(:new, roots)),
         old = follow.(:old, roots),
         true <- Enum.all?(old, & &1.whole) do
      known = rows(old) ++ rows(follow.(:new, code_change: 3, code_change: 4))

      for {table, key, _} = row <- new,
          not Enum.any?(known, &match?({^table, ^key, _}, &1)),
          uniq: true,
          do: row
    else
      _ -> []
    end
  end

  defp puts?(program),
    do: Enum.any?(program, fn {_, {body, _}} -> Enum.any?(CodeFacts.calls(body), &(&1 in @puts)) end)

  defp rows(told) do
    for %{calls: calls} <- told,
        {mfa, [into, what]} <- calls,
        mfa in @puts,
        table = table(into),
        {:tuple, [key | _]} = row <- one_by_one(Value.parts(what)),
        {:const, key} <- [whole(key)],
        uniq: true,
        do: {table, key, row}
  end

  defp table({kind, name}) when kind in [:const, :atom] and is_atom(name), do: name
  defp table({:table, table}), do: table
  defp table({:composed, :reference}), do: :unnamed
  defp table(_value), do: nil

  defp one_by_one({:cons, _, _} = list), do: list |> Value.elements() |> elem(0)
  defp one_by_one(row), do: [row]

  # A key that is a tuple of constants has been taken apart.
  defp whole({:tuple, values}) do
    parts = Enum.map(values, &whole/1)

    if Enum.all?(parts, &match?({:const, _}, &1)),
      do: {:const, List.to_tuple(for {_, v} <- parts, do: v)},
      else: :any
  end

  defp whole(value), do: value

  defp lacks?(table, key) do
    :ets.info(table, :protection) in [:public, :protected] and not :ets.member(table, key)
  rescue
    # It has gone meanwhile.
    ArgumentError -> false
  end

  # -- who reads them

  # The functions of a module, but for those that start it, that name the key.
  defp readers(%{module: module, new: %{exports: exports}} = pair, key) do
    code = Pair.code(pair, :new)

    for {f, a} = function <- exports,
        f not in @starting,
        code |> CodeFacts.reached(module, [function]) |> Enum.any?(fn {_, body} -> names?(body, key) end),
        do: {module, f, a}
  end

  # A tuple may be put together of what others give.
  defp names?(body, key) when is_tuple(key),
    do: Enum.any?(body, &operand?(&1, key)) or Enum.any?(Tuple.to_list(key), &names?(body, &1))

  defp names?(body, key), do: Enum.any?(body, &operand?(&1, key))

  defp operand?({:literal, term}, key), do: term == key or within?(term, key)
  defp operand?({_kind, key}, key), do: true
  defp operand?(operands, key) when is_tuple(operands), do: operands |> Tuple.to_list() |> operand?(key)
  defp operand?(operands, key) when is_list(operands), do: Enum.any?(operands, &operand?(&1, key))
  defp operand?(_operand, _key), do: false

  defp within?([head | tail], key), do: head == key or within?(tail, key)
  defp within?(_term, _key), do: false

  # Whether it does something else without the row than with it, and no more of its own accord. `held` is the table as it reads it.
  defp misses?(program, mfa, arguments, {held, {table, key, _} = row}) do
    [with_row, without] =
      for found <- [row, nil] do
        lives = %{read: fn read, arguments -> finds(read, arguments, {held, key}, found) end}
        Paths.follow(program, mfa, arguments, lives)
      end

    Enum.any?(without.calls, &reads?(&1, held, key)) and without.whole and with_row.whole and
      not Enum.any?(rows([without]), &match?({^table, ^key, _}, &1)) and
      otherwise?(does(with_row), does(without))
  end

  defp reads?({mfa, [held, given | _]}, held, key), do: mfa in @reads and key?(given, key)
  defp reads?(_call, _held, _key), do: false

  defp key?(given, key), do: given |> Value.parts() |> whole() == {:const, key}

  defp otherwise?(same, same), do: false
  defp otherwise?(_with, {[], _}), do: true

  # What it calls for want of it may well give the same.
  defp otherwise?({_, calls}, {returns, without}),
    do: without -- calls == [] or Enum.any?(returns, &nothing?/1)

  defp nothing?({:const, term}), do: term in @nothing or match?({:error, _}, term)
  defp nothing?({:tuple, [{:const, :error} | _]}), do: true
  defp nothing?(_value), do: false

  defp does(%{returns: returns} = told) do
    {returns |> Enum.map(&plain/1) |> Enum.sort() |> Enum.dedup(), Paths.called(told)}
  end

  defp plain(value), do: value |> Value.parts() |> known()

  defp known({:default, term}), do: Value.parts({:const, term})
  defp known({:tuple, values}), do: {:tuple, Enum.map(values, &known/1)}
  defp known({:cons, head, tail}), do: {:cons, known(head), known(tail)}
  defp known({:map, values, all}), do: {:map, Map.new(values, fn {k, v} -> {k, known(v)} end), all}
  defp known(value), do: value

  defp finds(read, [held, given | rest], {held, key}, row) when read in @reads,
    do: if(key?(given, key), do: found(read, rest, row))

  defp finds(_read, _arguments, _where, _row), do: nil

  defp found({:ets, :member, _}, _rest, row), do: {:gives, {:const, row != nil}}
  defp found({:ets, :lookup_element, _}, [_n, default], nil), do: {:gives, default}
  defp found({:ets, f, _}, _rest, nil) when f in [:lookup, :take], do: {:gives, {:const, []}}
  defp found(_read, _rest, nil), do: :raises

  defp found({:ets, :lookup_element, _}, [{:const, n} | _], {_, _, {:tuple, values}}) when is_integer(n),
    do: {:gives, Enum.at(values, n - 1, :any)}

  defp found({:ets, f, _}, _rest, {_, _, {:tuple, values}}) when f in [:lookup, :take],
    do: {:gives, {:list, {:made, values}, {:const, []}}}

  defp found(_read, _rest, _row), do: {:gives, :any}
end

defmodule FlyDeployAgent.Demands do
  @moduledoc """
  What the new code demands of states that live, and they do not offer, where the running code got on with them: keys of maps, elements of
  tuples, types. Both versions are followed (`FlyDeployAgent.Paths`) with the shapes of states, message by message; nothing is run.
  """

  alias FlyDeployAgent.{CodeFacts, Contexts, DemandFindings, Findings, Pair, Paths, Reads, Value}

  @type shapes :: %{
          module => %{
            optional(:kept) => %{atom => Value.t()},
            kind: atom,
            shapes: [{Value.t(), pos_integer}],
            count: pos_integer
          }
        }
  @type codes :: (:old | :new, module -> CodeFacts.code() | nil)

  # Shapes of states that are followed, of a module; others say no more.
  @shapes 12
  # All of them together.
  @time_ms 6_000
  @start [init: 1, handle_continue: 2, mount: 3, join: 3, code_change: 3, code_change: 4]
  @sets [
    {Map, :put, 3},
    {Map, :put_new, 3},
    {:maps, :put, 3},
    {Map, :merge, 2},
    {Phoenix.Component, :assign, 2},
    {Phoenix.Component, :assign, 3},
    {Phoenix.Component, :assign_new, 3},
    {Phoenix.Socket, :assign, 2},
    {Phoenix.Socket, :assign, 3}
  ]

  @doc "The code of versions of modules, of what lives (`FlyDeployAgent.CodeFindings`); nil where nobody has said."
  @spec codes(%{optional(:codes) => codes, optional(term) => term}) :: codes
  def codes(live), do: Map.get(live, :codes, fn _version, _module -> nil end)

  @doc """
  The findings about `shapes`. `wanted` are structs with fields that they lack, which are told of anyway. Modules for which the time does
  not suffice are counted in a finding.
  """
  @spec all([Pair.t()], shapes, codes, %{module => [atom]}, time_ms :: non_neg_integer) :: [
          Findings.finding()
        ]
  def all(pairs, shapes, codes, wanted, time_ms \\ @time_ms) do
    until = System.monotonic_time(:millisecond) + time_ms
    by_module = Map.new(pairs, &{&1.module, &1})
    timed = fn version, module -> in_time?(until) && codes.(version, module) end

    {late, told} =
      shapes
      # What others' code demands is looked at if there is time.
      |> Enum.sort_by(fn {module, _} -> not is_map_key(by_module, module) end)
      |> Enum.map(fn {module, %{shapes: all, count: count} = looked_at} ->
        pair = Map.get(by_module, module, :same)
        live = %{kind: looked_at.kind, shapes: few(all, count), kept: Map.get(looked_at, :kept, %{})}

        unless_late(fn ->
          if pair != :same or concerned?(module, live.shapes, timed, by_module),
            do: of_module(pair, module, live, {timed, by_module}, wanted, until),
            else: []
        end)
      end)
      |> Enum.split_with(&(&1 == :late))

    {partly, told} = told |> Enum.concat() |> Enum.split_with(&match?({:partly, _}, &1))
    told ++ late(length(late)) ++ partly(for {:partly, module} <- partly, do: module)
  end

  defp partly([]), do: []

  defp partly(modules) do
    [
      %{
        name: "not_compared",
        severity: :info,
        subject: Findings.some(modules, &inspect/1),
        detail: "what runs was not compared with all of the new code: there are too many ways through it"
      }
    ]
  end

  defp unless_late(fun) do
    Findings.safely(fn ->
      try do
        fun.()
      catch
        :late -> :late
      end
    end)
  end

  # What was found so far of a module does not count: what else its code does could excuse it.
  defp in_time?(until), do: System.monotonic_time(:millisecond) < until || throw(:late)

  defp late(0), do: []
  defp late(1), do: [Findings.not_compared("there was no time to follow the code of 1 module")]
  defp late(count), do: [Findings.not_compared("there was no time to follow the code of #{count} modules")]

  # Few that differ, by their atoms, or else without them; where only some of the processes were looked at, they stand for all.
  defp few(shapes, count) do
    looked_at = shapes |> Enum.map(&elem(&1, 1)) |> Enum.sum()
    shapes = if length(shapes) <= @shapes, do: shapes, else: general(shapes)
    for {shape, n} <- shapes, do: {shape, div(n * max(count, looked_at), looked_at)}
  end

  defp general(shapes) do
    shapes
    |> Enum.group_by(fn {shape, _} -> Value.general(shape) end, &elem(&1, 1))
    |> Enum.map(fn {shape, counts} -> {shape, Enum.sum(counts)} end)
    |> Enum.sort_by(&(-elem(&1, 1)))
    |> Enum.take(@shapes)
  end

  # One that stays as it is: whether it holds the name of what changes, or calls it.
  defp concerned?(module, shapes, codes, by_module) do
    named(shapes, module, by_module) != [] or
      Enum.any?(codes.(:new, module) || %{}, fn {_, body} ->
        Enum.any?(CodeFacts.calls(body), fn {m, _, _} -> is_map_key(by_module, m) end)
      end)
  end

  defp of_module(pair, module, %{kind: kind, shapes: shapes} = live, {codes, by_module}, wanted, until) do
    contexts = Contexts.all(kind, pair, codes.(:new, module) || %{})
    roots = for(%{function: {f, a}} <- contexts, do: {module, f, a}) ++ named(shapes, module, by_module)
    migrating = if pair != :same, do: migrating(pair, kind)
    wanted = if migrating, do: %{}, else: wanted

    programs =
      for version <- [:old, :new],
          into: %{exports: &exports?(by_module, &1, &2), read: &Reads.held(&1, &2, live.kept)},
          do: {version, Paths.program(&codes.(version, &1), roots ++ List.wrap(migrating))}

    told =
      for {shape, count} <- shapes,
          # A module of functions that are gone may be called.
          pair != :same or programs.old != programs.new or named(shapes, module, by_module) != [],
          state = migrated(migrating, asked(pair), shape, programs),
          state != :unknown,
          context <- contexts,
          {message, named} <- Contexts.messages(context, module, codes),
          in_time?(until),
          do: {context, count, compared(context, message, named, module, {shape, state}, programs)}

    set =
      for {_, _, %{calls: calls}} <- told,
          {mfa, arguments} <- calls,
          mfa in @sets,
          {:const, key} <- arguments,
          into: keys_put(codes.(:new, module) || %{}),
          do: key

    told
    |> Enum.flat_map(fn {context, count, %{misses: misses, known: known}} ->
      for %{demand: demand} = miss <- misses,
          not wanted?(demand, wanted),
          known or not (miss.passing or set?(demand, set)),
          do: {{demand, context.of}, {known, count, miss.in}}
    end)
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> DemandFindings.all(module)
    |> Enum.concat(if(Enum.all?(told, &elem(&1, 2).whole), do: [], else: [{:partly, module}]))
  end

  # The functions of changed modules that states name: somebody else's server calls them.
  defp named(shapes, module, by_module) do
    for {shape, _} <- shapes,
        name <- Value.atoms(shape),
        name != module,
        %{old: %{exports: exports}} <- [by_module[name]],
        {f, a} <- exports,
        f not in [:module_info, :__info__, :__struct__],
        uniq: true,
        do: {name, f, a}
  end

  # -- comparing

  defp compared(%{function: {f, a}} = context, message, named, module, {before, now}, programs) do
    mfa = {module, f, a}
    follow = fn version, state -> follow(version, mfa, context, message, state, programs) end
    new = follow.(:new, now)
    skipped = if new.misses == [] and skips?(new), do: skipped(new, follow.(:old, before), mfa), else: []

    cond do
      new.misses != [] ->
        old = follow.(:old, before)
        demands = for %{demand: demand} <- old.misses, do: demand
        misses = if old.whole, do: Enum.reject(new.misses, &(&1.demand in demands)), else: []

        %{
          misses: misses,
          known: named and old.returns != [],
          calls: new.calls,
          whole: new.whole and old.whole
        }

      skipped != [] ->
        %{misses: skipped, known: false, calls: new.calls, whole: new.whole}

      named and new.unmet != [] and Contexts.other(message) != message ->
        %{
          misses: passed_on(new, mfa, context, message, {before, now}, programs),
          known: true,
          calls: new.calls,
          whole: new.whole
        }

      true ->
        %{misses: [], known: false, calls: new.calls, whole: new.whole}
    end
  end

  defp skips?(%{loops: loops}), do: Enum.any?(loops, &match?({_, {:skipped, _}}, &1))

  # Elements that the running code goes through, and the new code passes over.
  defp skipped(new, old, mfa) do
    for {element, {:skipped, demand}} <- new.loops,
        {element, :taken} in old.loops and {element, :taken} not in new.loops,
        do: %{demand: demand, passing: false, in: mfa}
  end

  defp follow(version, mfa, context, message, state, programs) do
    lives = %{agent: state, exports: &programs.exports.(version, &1), read: programs.read}
    Paths.follow(programs[version], mfa, Contexts.arguments(context, message, state), lives)
  end

  # Of others than Elixir's not all can be asked.
  defp exports?(by_module, version, {m, f, a}) do
    case by_module do
      %{^m => %{old: nil}} when version == :old -> true
      %{^m => pair} -> {f, a} in Map.get(pair, version).exports
      _ -> not :erlang.module_loaded(m) or not match?("Elixir." <> _, "#{m}") or function_exported?(m, f, a)
    end
  end

  # A message that the running code handles, and whose clause does not fit the state any more, so that it comes to the one for
  # every message.
  defp passed_on(new, mfa, context, message, {before, now}, programs) do
    other = Contexts.other(message)

    follow = fn version, message, state -> follow(version, mfa, context, message, state, programs) end
    old = follow.(:old, message, before)

    with [demand | _] <- new.unmet -- old.unmet,
         true <- new.whole and old.whole and old.returns != [],
         true <- does(new) == does(follow.(:new, other, now)),
         false <- does(old) == does(follow.(:old, other, before)),
         do: [%{demand: demand, passing: false, in: mfa}],
         else: (_ -> [])
  end

  defp does(%{returns: returns, calls: calls}),
    do:
      {returns |> Enum.map(&untagged/1) |> Enum.sort(),
       calls |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort()}

  defp untagged({:tag, _}), do: :any
  defp untagged({kind, values}) when kind in [:tuple, :made], do: {kind, Enum.map(values, &untagged/1)}
  defp untagged(value), do: value

  # Fields that structs lack are told of, and so are those of a state that a code_change leaves so.
  defp wanted?({:key, key, struct}, wanted) when struct != nil, do: key in Map.get(wanted, struct, [])
  defp wanted?(_demand, _wanted), do: false

  defp set?({:key, key, _}, set), do: key in set
  defp set?(_demand, _set), do: false

  # Keys that are put into maps in the course of time.
  defp keys_put(code) do
    for {function, body} <- code,
        function not in @start,
        {:put_map_assoc, _, _, _, _, {:list, pairs}} <- body,
        {kind, key} <- pairs,
        kind in [:atom, :literal],
        into: MapSet.new(),
        do: key
  end

  # -- migrations

  defp migrating(pair, kind) do
    arity = if kind == :gen_statem, do: 4, else: 3
    if kind != :agent and Pair.migrates?(pair, arity), do: {pair.module, :code_change, arity}
  end

  # Which code is asked, and what it is told of the other version.
  defp asked(%{down: true, new: %{vsn: vsn}}), do: {:old, {:tuple, [{:const, :down}, {:const, vsn}]}}
  defp asked(_pair), do: {:new, :any}

  # What a code_change makes of a state, where its shape can be told.
  defp migrated(nil, _asked, state, _programs), do: state

  defp migrated({_, _, arity} = mfa, {version, vsn}, state, programs) do
    given =
      case {arity, state} do
        {4, {:tuple, [name, data]}} -> [vsn, name, data, :any]
        {4, _} -> nil
        {3, state} -> [vsn, state, :any]
      end

    with true <- given != nil,
         %{returns: [answer], whole: true} <- Paths.follow(programs[version], mfa, given) do
      case answer do
        {:made, [{:const, :ok}, state]} when state != :any -> Value.live(state)
        {:made, [{:const, :ok}, name, data]} when data != :any -> {:tuple, [name, Value.live(data)]}
        _ -> :unknown
      end
    else
      _ -> :unknown
    end
  end
end

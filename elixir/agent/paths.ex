defmodule FlyDeployAgent.Paths do
  @moduledoc """
  Follows all ways through a function, and those of its module that it calls, with arguments of which only the shape is known
  (`FlyDeployAgent.Value`). Nothing is run. It tells what the function demands of a living value that this one has not: a key, an
  element, a type, a clause. Where something is not known, both ways are followed; what the code does not show never counts as
  missing.

  Told are `returns`, what it may give back; `misses`, what is demanded in vain, see below; `unmet`, demands in vain that led on to another
  clause; `refused`, those and what may be otherwise at another time; `calls`, `{mfa, arguments}` of what it calls
  elsewhere; `exposed`, those of them where nothing that is raised would be caught; `loops`, `{element, :taken or {:skipped, demand}}` of elements that comprehensions go through; and `whole`, false where there were too many ways. A miss is `%{demand, passing, in}`: `{:key, key, struct or nil}`,
  `{:arity, n, m}`, `{:type, type}`, `{:value, term}`, `{:counters, n, size}`, `{:function, mfa}`, `{:callable, n, m}`; `passing` where what was found may be something else at another time; `in` the function.
  """

  alias FlyDeployAgent.{CodeFacts, Given, Known, Registers, Steps, Value}

  import FlyDeployAgent.Way, only: [arguments: 2, entry: 3, frame: 2, go_on: 4, only_y: 1, returned: 3]

  @type demand ::
          {:key, term, module | nil}
          | {:arity, pos_integer, non_neg_integer}
          | {:type, atom}
          | {:value, term}
          | {:counters, pos_integer, non_neg_integer}
          | {:function, mfa}
          | {:callable, arity, arity}
  @type miss :: %{demand: demand, passing: boolean, in: mfa}
  @type told :: %{
          returns: [Value.t()],
          misses: [miss],
          unmet: [demand],
          refused: [demand],
          calls: [{mfa, [Value.t()]}],
          exposed: [{mfa, [Value.t()]}],
          loops: [{Value.t(), :taken | {:skipped, demand}}],
          whole: boolean
        }
  @type program :: %{mfa => {[tuple], %{non_neg_integer => [tuple]}}}
  @type codes :: (module -> CodeFacts.code() | nil)
  @type read :: (mfa, [Value.t()] -> {:gives, Value.t()} | {:misses, {demand, boolean}} | nil)
  @type lives :: %{
          optional(:agent) => Value.t(),
          optional(:read) => read,
          optional(:exports) => (mfa -> boolean)
        }

  @steps 3_000
  @frames 12
  @functions 400
  @logs [Logger, :logger, IO]
  # What a comprehension has put together before an element.
  @so_far {:so_far}

  @doc "The functions that `roots` lead to, in the modules of which `codes` gives the code, ready to be followed."
  @spec program(codes, [mfa]) :: program
  def program(codes, roots), do: program(roots, codes, %{})

  @doc "As `program/2`, in one module alone."
  @spec alone(module, CodeFacts.code(), [mfa]) :: program
  def alone(module, code, roots), do: program(&if(&1 == module, do: code), roots)

  defp program([], _codes, found), do: found
  defp program(_mfas, _codes, found) when map_size(found) == @functions, do: found

  defp program([{m, f, a} = mfa | rest], codes, found) do
    with false <- is_map_key(found, mfa) or Known.assigns?(mfa),
         %{{^f, ^a} => body} <- codes.(m) do
      body
      |> CodeFacts.calls()
      |> Enum.concat(rest)
      |> program(codes, Map.put(found, mfa, {body, Steps.labels(body)}))
    else
      _ -> program(rest, codes, found)
    end
  end

  @doc """
  Follows a function of a program. `lives`: `agent`, the state of the Agents that it asks, by functions that it gives them; and `read`,
  which gives what calls find that read tables and terms, `{:gives, value}` or `{:misses, miss}`, or nil; `exports`, whether there is a function
  of a module that something living names.
  """
  @spec follow(program, mfa, [Value.t()], lives) :: told
  def follow(program, function, arguments, lives \\ %{}) do
    all = %{
      program: program,
      agent: Map.get(lives, :agent, :any),
      read: Map.get(lives, :read, fn _mfa, _arguments -> nil end),
      exports: Map.get(lives, :exports, fn _mfa -> true end),
      asks: is_map_key(lives, :exports),
      left: @steps,
      seen: MapSet.new(),
      returns: MapSet.new(),
      misses: MapSet.new(),
      unmet: MapSet.new(),
      refused: MapSet.new(),
      calls: MapSet.new(),
      exposed: MapSet.new(),
      loops: %{}
    }

    all = program |> entry(function, arguments) |> List.wrap() |> ways(all)

    %{
      returns: MapSet.to_list(all.returns),
      misses: all.misses |> MapSet.to_list() |> Enum.sort(),
      unmet: all.unmet |> MapSet.to_list() |> Enum.sort(),
      refused: MapSet.to_list(all.refused),
      calls: MapSet.to_list(all.calls),
      exposed: MapSet.to_list(all.exposed),
      loops: all.loops |> Map.values() |> Enum.reject(&is_nil/1) |> Enum.uniq(),
      whole: all.left > 0
    }
  end

  @doc "What was called elsewhere, whatever with, but for what changes nothing but logs."
  @spec called(told) :: [mfa]
  def called(%{calls: calls}),
    do: Enum.sort(for {{m, _, _} = mfa, _} <- calls, m not in @logs, uniq: true, do: mfa)

  defp ways([], all), do: all
  defp ways(_ways, %{left: 0} = all), do: all
  defp ways([%{at: []} | ways], all), do: ways(ways, all)

  defp ways([%{at: [op | rest]} = way | ways], all) do
    all = %{all | left: all.left - 1}

    case Steps.step(op, way.regs) do
      :pass ->
        ways([%{way | at: rest} | ways], all)

      {:next, regs} ->
        ways([%{way | at: rest, regs: regs} | ways], all)

      {:goto, label, miss} ->
        decided(label, miss, way, ways, all)

      {:either, label} ->
        go(label, %{way | miss: nil}, [%{way | at: rest, miss: nil} | ways], all)

      {:either_with, label, regs} ->
        go(label, %{way | miss: nil}, [%{way | at: rest, regs: regs, miss: nil} | ways], all)

      {:any_of, labels} ->
        some(labels, %{way | miss: nil}, ways, all)

      other ->
        flow(other, way, rest, ways, all)
    end
  end

  # A test in vain of what lives leads on to where nothing else fits, or to another clause.
  defp decided(label, nil, way, ways, all), do: go(label, way, ways, all)

  defp decided(label, {demand, passing} = miss, way, ways, all) do
    all = %{all | refused: MapSet.put(all.refused, demand)}
    all = if passing, do: all, else: %{all | unmet: MapSet.put(all.unmet, demand)}
    go(label, %{way | miss: worse(way.miss, miss)}, ways, all)
  end

  defp worse({_, false} = before, {_, true}), do: before
  defp worse(_before, miss), do: miss

  defp branch(label, way, {ways, all}) do
    case target(label, way, all) do
      {nil, all} -> {ways, all}
      {way, all} -> {[way | ways], all}
    end
  end

  defp some(labels, way, ways, all) do
    {ways, all} = labels |> Enum.uniq() |> Enum.reduce({ways, all}, &branch(&1, way, &2))
    ways(ways, all)
  end

  defp go(label, way, ways, all) do
    {ways, all} = branch(label, way, {ways, all})
    ways(ways, all)
  end

  # The first label stands before func_info: there is no such clause.
  defp target({:f, 0}, way, all), do: {nil, failed(way, way.miss, all)}

  defp target({:f, n}, way, all) do
    {_body, labels} = all.program[way.in]
    key = {way.in, n, way.regs, way.frames, way.miss}

    if MapSet.member?(all.seen, key),
      do: {nil, all},
      else: {%{way | at: Map.fetch!(labels, n)}, %{all | seen: MapSet.put(all.seen, key)}}
  end

  defp failed(_way, nil, all), do: all
  defp failed(%{tries: tries}, _miss, all) when tries > 0, do: all

  defp failed(way, {demand, passing}, all),
    do: %{all | misses: MapSet.put(all.misses, %{demand: demand, passing: passing, in: way.in})}

  # -- calls, returns and errors

  defp flow({:error, miss}, way, _rest, ways, all), do: ways(ways, failed(way, miss || way.miss, all))
  defp flow(:stop, _way, _rest, ways, all), do: ways(ways, all)

  defp flow({:trying, label, regs}, way, rest, ways, all) do
    handler = %{way | regs: only_y(way.regs), miss: nil}
    {ways, all} = branch(label, handler, {ways, all})
    ways([%{way | at: rest, regs: regs, tries: way.tries + 1} | ways], all)
  end

  defp flow(:tried, way, rest, ways, all),
    do: ways([%{way | at: rest, tries: max(way.tries - 1, 0)} | ways], all)

  defp flow({:fun, name, free, to}, way, rest, ways, all) do
    free = Enum.map(free, &Registers.value(&1, way.regs))

    regs =
      if to,
        do: Map.put(way.regs, to, {:fun, name, free}),
        else: Map.put(way.regs, {:x, 0}, {:fun, name, free})

    {entered, all} = called({:fun, name, free}, [], way, all)
    ways([%{way | at: rest, regs: regs, miss: nil} | entered] ++ ways, all)
  end

  defp flow(:return, way, _rest, ways, all) do
    given = Map.get(way.regs, {:x, 0}, :any)

    case way.frames do
      [] -> ways(ways, %{all | returns: MapSet.put(all.returns, given)})
      [back | frames] -> ways([returned(back, given, frames) | ways], all)
    end
  end

  defp flow({:call, mfa, arity, kind}, way, rest, ways, all),
    do: call(mfa, arguments(arity, way.regs), kind, way, rest, ways, all)

  # nil.key
  defp flow({:apply, {none, _, _}, _arity, _kind}, way, _rest, ways, all) when none in [nil, true, false],
    do: ways(ways, failed(way, way.miss, all))

  # A module that something living names.
  defp flow({:apply, mfa, arity, kind}, way, rest, ways, all) do
    if is_map_key(all.program, mfa) or all.exports.(mfa),
      do: call(mfa, arguments(arity, way.regs), kind, way, rest, ways, all),
      else: ways(ways, failed(way, {{:function, mfa}, false}, all))
  end

  defp flow({:call_fun, arity, kind, fun}, way, rest, ways, all) do
    case Registers.value(fun, way.regs) do
      {:fun, mfa, free} -> call(mfa, arguments(arity, way.regs) ++ free, kind, way, rest, ways, all)
      {:callable, n} when n != arity -> ways(ways, failed(way, {{:callable, arity, n}, false}, all))
      _ -> ways(go_on(way, rest, kind, :any) ++ ways, all)
    end
  end

  defp call(mfa, arguments, kind, way, rest, ways, all) do
    if is_map_key(all.program, mfa),
      do: enter(mfa, arguments, kind, way, rest, ways, all),
      else: ask(mfa, arguments, kind, way, rest, ways, all)
  end

  defp enter(mfa, arguments, kind, way, rest, ways, all) do
    frames = if kind == :last, do: way.frames, else: [frame(way, rest) | way.frames]
    entered = entry(all.program, mfa, arguments)
    key = {mfa, :entry, entered.regs, frames, way.tries}

    cond do
      length(frames) > @frames or way.in == mfa or Enum.any?(frames, &(&1.in == mfa)) ->
        ways(go_on(way, rest, kind, :any) ++ ways, all)

      MapSet.member?(all.seen, key) ->
        ways(ways, all)

      true ->
        ways([%{entered | frames: frames, tries: way.tries} | ways], %{all | seen: MapSet.put(all.seen, key)})
    end
  end

  # Whether a module has a function, as it will be.
  defp ask(
         {:erlang, :function_exported, 3},
         [{one, m}, {_, f}, {_, a}],
         kind,
         way,
         rest,
         ways,
         %{asks: true} = all
       )
       when one in [:atom, :const, :name] and is_atom(m) and is_atom(f) and is_integer(a),
       do: ways(go_on(way, rest, kind, {:const, all.exports.({m, f, a})}) ++ ways, all)

  defp ask(mfa, arguments, kind, way, rest, ways, all) do
    all = %{all | calls: MapSet.put(all.calls, {mfa, arguments})}
    all = if way.tries == 0, do: %{all | exposed: MapSet.put(all.exposed, {mfa, arguments})}, else: all

    case all.read.(mfa, arguments) || Known.call(mfa, arguments) do
      {:gives, value} ->
        {entered, all} = given_to(mfa, arguments, way, all)
        ways(go_on(way, rest, kind, value) ++ entered ++ ways, all)

      {:either, values} ->
        ways(Enum.flat_map(values, &go_on(way, rest, kind, &1)) ++ ways, all)

      {:misses, miss} ->
        ways(ways, failed(way, miss, all))

      :raises ->
        ways(ways, failed(way, way.miss, all))

      :ends ->
        ways(ways, all)
    end
  end

  # Functions that are given to others to be called.
  defp given_to(mfa, arguments, way, all) do
    all = looped(mfa, arguments, all)

    Enum.reduce(Given.calls(mfa, arguments, all), {[], all}, fn {fun, given}, {ways, all} ->
      {entered, all} = called(fun, given, way, all)
      {entered ++ ways, all}
    end)
  end

  # A comprehension gives back what it has, where an element is none of those that it is for.
  defp looped({Enum, :reduce, 3} = mfa, [_, _, {:fun, {_, _, a} = function, free} = fun] = arguments, all)
       when length(free) == a - 2 do
    with [{^fun, [element]}] <- Given.calls(mfa, arguments, all),
         true <- Value.lives?(element) and is_map_key(all.program, function),
         false <- is_map_key(all.loops, {function, element}) do
      # It may go through others within.
      all = %{all | loops: Map.put(all.loops, {function, element}, nil)}
      lives = %{agent: all.agent, read: all.read, exports: all.exports}
      told = follow(all.program, function, [element, @so_far | free], lives)
      %{all | loops: Map.put(all.loops, {function, element}, {element, taken(told)})}
    else
      _ -> all
    end
  end

  defp looped(_mfa, _arguments, all), do: all

  defp taken(%{returns: [@so_far], calls: [], whole: true, refused: refused}) do
    case Enum.filter(refused, &(elem(&1, 0) in [:arity, :type])) do
      [demand | _] -> {:skipped, demand}
      [] -> :taken
    end
  end

  defp taken(_told), do: :taken

  # As a way of its own, whenever it is called.
  defp called({:fun, {_, _, a} = mfa, free}, known, way, all) do
    unknown = a - length(free) - length(known)
    arguments = known ++ List.duplicate(:any, max(unknown, 0)) ++ free

    cond do
      length(arguments) != a -> {[], all}
      is_map_key(all.program, mfa) -> {[%{entry(all.program, mfa, arguments) | tries: way.tries}], all}
      known == [] -> {[], all}
      true -> {[], tried(Known.call(mfa, arguments), way, all)}
    end
  end

  defp tried({:misses, miss}, way, all), do: failed(way, miss, all)
  defp tried(_known, _way, all), do: all
end

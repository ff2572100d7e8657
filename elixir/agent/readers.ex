defmodule FlyDeployAgent.Readers do
  @moduledoc """
  Whether the new code can read what tables, registries and persistent terms hold, and the running code could: both versions are
  followed with what is there, see `FlyDeployAgent.Reads`.
  """

  alias FlyDeployAgent.{CodeFacts, DemandFindings, Pair, Paths, Reads}

  @writes [
    {:ets, :insert, 2},
    {:ets, :insert_new, 2},
    {:persistent_term, :put, 2},
    {:ets, :delete_all_objects, 1}
  ]

  @doc "The findings about what changed modules read."
  @spec findings([Pair.t()], FlyDeployAgent.Demands.codes()) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, codes) do
    reading =
      for %{old: %{}} = pair <- pairs, reads?(pair.new) and (reads?(pair.old) or writes?(pair.old)), do: pair

    rewritten = if reading == [], do: [], else: Enum.flat_map(pairs, &rewritten/1)
    added = Pair.fields_added(pairs)
    for pair <- reading, found <- of_module(pair, codes, rewritten, added), do: found
  end

  defp reads?(%{imports: imports}), do: Enum.any?(imports, &Reads.reads?/1)

  # Where it has only written so far, it takes what it wrote.
  defp writes?(%{imports: imports}), do: Enum.any?(@writes, &(&1 in imports))

  defp of_module(%{module: module} = pair, codes, rewritten, added) do
    [old, new] = for version <- [:old, :new], do: {version, roots(pair, version)}

    [before, now] =
      for {version, roots} <- [old, new], do: {Paths.program(&codes.(version, &1), roots), roots}

    for {source, name} <- sources(now),
        source not in rewritten,
        shapes = Reads.live(source),
        missed = for(shape <- shapes, demand = missed(source, shape, before, now), do: demand),
        # Of others, the rest may well be.
        shapes != [] and length(missed) == length(shapes),
        # Fields that structs lack are told of by themselves.
        not Enum.any?(missed, &added?(&1, added)),
        uniq: true,
        do: finding(module, source, name, hd(missed))
  end

  defp added?({:key, key, struct}, added), do: key in Map.get(added, struct, [])
  defp added?(_demand, _added), do: false

  # What others call, and reads.
  defp roots(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    for {f, a} = function <- Map.get(pair, version).exports,
        {_, body} <- CodeFacts.reached(code, module, [function]),
        Enum.any?(CodeFacts.calls(body), &Reads.reads?/1),
        uniq: true,
        do: {module, f, a}
  end

  defp sources({program, roots}) do
    for {_, _, a} = root <- roots,
        {mfa, arguments} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        source = Reads.source(mfa, arguments),
        uniq: true,
        do: {source, told(source)}
  end

  # A demand that the running code, wherever it reads this, has not.
  defp missed(source, shape, before, now) do
    with {[_ | _] = demands, _whole} <- demands(source, shape, now),
         {known, true} <- demands(source, shape, before),
         do: List.first(demands -- known),
         else: (_ -> nil)
  end

  defp demands(source, shape, {program, roots}) do
    lives = %{read: fn mfa, arguments -> Reads.found(source, shape, mfa, arguments) end}
    told = for {_, _, a} = root <- roots, do: Paths.follow(program, root, List.duplicate(:any, a), lives)
    {for(%{misses: misses} <- told, miss <- misses, uniq: true, do: miss.demand), Enum.all?(told, & &1.whole)}
  end

  # What a code_change writes.
  defp rewritten(%{module: module} = pair) do
    for {_, a} = function <- [code_change: 3, code_change: 4],
        Pair.migrates?(pair, a),
        program = Paths.alone(module, Pair.code(pair, :new), [{module, :code_change, a}]),
        is_map_key(program, {module, elem(function, 0), a}),
        {mfa, [{:const, name} | _]} <-
          Paths.follow(program, {module, :code_change, a}, List.duplicate(:any, a)).calls,
        mfa in @writes,
        source <- [table: name, term: name],
        do: source
  end

  defp told({:table, name}), do: "the rows of the table #{inspect(name)}"
  defp told({:registry, name}), do: "the values in the registry #{inspect(name)}"
  defp told({:term, key}) when is_atom(key), do: "the persistent term #{inspect(key)}"
  defp told({_, [{:const, module} | _]}), do: "persistent terms with #{inspect(module)} in their keys"
  defp told({:term, _key}), do: "a persistent term"

  # There may be other rows than those that were looked at.
  defp finding(module, source, name, demand) do
    %{
      name: "stale_shape",
      severity: if(elem(source, 0) in [:term, :terms], do: :block, else: :warn),
      subject: "#{inspect(module)} and #{name}",
      detail:
        "what is there is not what the new code takes, and the running code did: #{DemandFindings.wants(demand)}"
    }
  end
end

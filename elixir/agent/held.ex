defmodule FlyDeployAgent.Held do
  @moduledoc """
  What processes, tables and terms hold, and the new code cannot take: see `FlyDeployAgent.Shapes` and `FlyDeployAgent.Demands`.
  """

  alias FlyDeployAgent.{
    Beam,
    CodeFacts,
    Demands,
    Findings,
    Grown,
    Optional,
    Pair,
    Places,
    Release,
    Shapes,
    StartFindings,
    Starts,
    StateNames,
    Value,
    Watched
  }

  # Processes of a module whose states' shapes are looked at.
  @shaped 40
  @pages [Phoenix.LiveView, Phoenix.LiveComponent, Phoenix.Channel]
  # Holders that a finding names.
  @told 3

  @type codes :: Demands.codes()

  @doc "The findings about what is held, and what of it the new code cannot take."
  @spec findings(
          [Pair.t()],
          MapSet.t(mfa),
          removed :: [{module, atom}],
          targets :: [FlyDeployAgent.Target.t()],
          own :: [pid],
          codes
        ) :: [Findings.finding()]
  def findings([], _gone, [], _targets, _own, _codes), do: []

  def findings(pairs, gone, removed, targets, own, codes) do
    by_module = Map.new(pairs, &{&1.module, &1})

    servers = Shapes.servers(targets, own)
    # A state is also read by what changes beside the module of its process.
    users = users(servers, by_module, MapSet.size(gone) > 0 or Enum.any?(pairs, &named?/1))

    sought = %{
      structs: Pair.fields_added(pairs),
      gone: gone,
      names: names(gone, by_module),
      purged: purged(pairs),
      impls: impls(removed),
      shapes: Map.merge(shapes(targets, by_module), users),
      settings: settings(targets, by_module),
      handlers:
        for(%{module: module, old: %{}} <- pairs, Enum.any?(targets, &(&1.kind == :gen_event)), do: module)
    }

    if Enum.all?(Map.values(sought), &Enum.empty?/1) do
      []
    else
      {held, unasked, silent} = Shapes.holders(sought, targets, servers)
      kinds = Map.new(targets, &{&1.pid, &1.kind})
      {shapes, held} = Enum.split_with(held, &(elem(&1.found, 0) in [:shape, :dictionary]))
      counts = Enum.frequencies(for(%{module: m} <- targets, do: m) ++ for({_, m} <- servers, do: m))

      demanded = Demands.all(pairs, by_holder(shapes, counts), codes, sought.structs)

      held
      |> Enum.reject(&known?(&1, by_module[&1.holder], kinds[&1.pid]))
      |> Enum.group_by(& &1.found, & &1.holder)
      |> Enum.map(fn {found, holders} -> found |> held(holders) |> Map.merge(whose(holders)) end)
      |> Enum.concat(demanded)
      |> Enum.concat(Findings.safely(fn -> StartFindings.all(shapes, by_module, codes, demanded) end))
      |> Enum.concat(Optional.findings(pairs, states(shapes, by_module), codes))
      |> Enum.concat(of_states(shapes, by_module, demanded))
      |> Enum.concat(unasked(unasked) ++ silent(silent))
    end
  end

  defp of_states(shapes, by_module, demanded) do
    states =
      for(%{holder: m, found: {:shape, _, shape}} <- shapes, is_map_key(by_module, m), do: {m, shape})
      |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))

    StateNames.findings(states, by_module) ++
      Watched.findings(states, by_module) ++ Grown.findings(states, by_module, demanded)
  end

  # Of modules that stay as they are.
  defp states(shapes, by_module) do
    for(%{holder: m, found: {:shape, _, shape}} <- shapes, not is_map_key(by_module, m), do: {m, shape})
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
  end

  # Those of whose name no function is left.
  defp names(gone, by_module) do
    for {m, f, a} <- gone,
        %{new: %{exports: exports}} <- [by_module[m]],
        not Enum.any?(exports, &match?({^f, _}, &1)),
        into: %{},
        do: {{m, f}, a}
  end

  # The structs that implementations of protocols were for that are removed, where nothing else takes their place.
  defp impls(removed) do
    for {module, _app} <- removed,
        function_exported?(module, :__impl__, 1),
        {protocol, struct} = {module.__impl__(:protocol), module.__impl__(:for)},
        function_exported?(protocol, :impl_for, 1) and protocol.impl_for(%{__struct__: __MODULE__}) == nil,
        into: %{},
        do: {struct, protocol}
  end

  # Of at most this many processes of a module.
  defp shapes(targets, by_module) do
    targets
    |> Enum.filter(&is_map_key(by_module, &1.module))
    |> Enum.group_by(& &1.module)
    |> Enum.flat_map(fn {module, all} ->
      %{new: %{behaviours: behaviours}} = by_module[module]
      for t <- Enum.take(all, @shaped), t.kind != :gen_event, do: {t.pid, kind(behaviours, t.kind)}
    end)
    |> Map.new()
  end

  # Of those that are looked at.
  defp settings(targets, by_module) do
    running = Map.new(targets, &{&1.module, true})

    kept =
      for {module, %{old: %{}} = pair} <- by_module,
          is_map_key(running, module),
          not Pair.migrates?(pair, 3) and not Pair.migrates?(pair, 4),
          settings = Starts.settings(pair),
          settings != [],
          into: %{},
          do: {module, settings}

    modules = for %{module: m, pid: pid} <- targets, is_map_key(kept, m), into: %{}, do: {pid, m}

    for {pid, _} <- shapes(targets, by_module),
        module = modules[pid],
        into: %{},
        do: {pid, kept[module]}
  end

  # A module that other servers may hold by its name, to call it: not one that is new, nor a page or a channel.
  defp named?(%{old: nil}), do: false
  defp named?(%{old: %{behaviours: behaviours}}), do: not Enum.any?(behaviours, &(&1 in @pages))

  # Servers of modules that stay as they are, and call what changes; where modules that they hold by name may matter, also those that
  # call such.
  defp users(servers, by_module, named?) do
    for {module, pids} <- Enum.group_by(servers, &elem(&1, 1), &elem(&1, 0)),
        is_atom(module) and not is_map_key(by_module, module),
        uses?(module, by_module, named?),
        pid <- Enum.take(pids, @shaped),
        into: %{},
        do: {pid, kind(Beam.behaviours(module), :gen_server)}
  end

  # Elixir's own servers call nothing of what changes, and of their code nothing is asked.
  defp uses?(module, by_module, named?) do
    with [_ | _] = file <- :code.which(module),
         file = List.to_string(file),
         true <- Release.library?(file),
         {:ok, beam} <- File.read(file) do
      calls?(beam, by_module) or (named? and applies?(beam))
    else
      _ -> false
    end
  end

  defp calls?(beam, by_module) do
    case :beam_lib.chunks(beam, [:imports]) do
      {:ok, {_, [imports: imports]}} ->
        Enum.any?(imports, fn {m, _, _} -> match?(%{old: %{}}, by_module[m]) end)

      {:error, :beam_lib, _} ->
        false
    end
  end

  defp applies?(beam) do
    with {:ok, code} <- CodeFacts.functions(beam),
         do: Enum.any?(code, fn {_, body} -> Enum.any?(body, &(elem(&1, 0) in [:apply, :apply_last])) end),
         else: (:error -> false)
  end

  defp kind(behaviours, kind) do
    cond do
      Phoenix.LiveView in behaviours -> :view
      Phoenix.Channel in behaviours -> :channel
      :gen_statem in behaviours -> :gen_statem
      true -> kind
    end
  end

  defp by_holder(shapes, counts) do
    for {module, all} <- Enum.group_by(shapes, & &1.holder, & &1.found),
        {[{:shape, kind, _} | _] = states, kept} <- [Enum.split_with(all, &match?({:shape, _, _}, &1))],
        into: %{} do
      frequencies = states |> Enum.frequencies_by(&elem(&1, 2)) |> Map.to_list()
      count = Map.get(counts, module, length(states))
      {module, %{kind: kind, shapes: frequencies, count: count, kept: alike(for({_, map} <- kept, do: map))}}
    end
  end

  # What all of them that have it keep in the same shape.
  defp alike(dictionaries) do
    pairs = for {:map, values, _} <- dictionaries, pair <- values, do: pair

    for {key, [value | others]} <- Enum.group_by(pairs, &elem(&1, 0), &elem(&1, 1)),
        Enum.all?(others, &(Value.general(&1) == Value.general(value))),
        into: %{},
        do: {key, value}
  end

  # The start functions of supervisors' children have a finding of their own.
  defp known?(%{found: {:gone, _}, holder: {:supervisor, _}}, _pair, _kind), do: true
  defp known?(%{found: {:struct, _, _}}, pair, kind), do: migrates?(pair, kind)
  defp known?(_held, _pair, _kind), do: false

  # A commit purges the version before the one that runs.
  defp purged(pairs) do
    for %{module: module} <- pairs,
        :erlang.check_old_code(module),
        md5 = Beam.loaded_md5(module),
        into: %{},
        do: {module, md5}
  end

  defp migrates?(%{old: %{}} = pair, kind) when kind not in [nil, :agent],
    do: Pair.migrates?(pair, if(kind == :gen_statem, do: 4, else: 3))

  defp migrates?(_pair, _kind), do: false

  defp held({:struct, struct, fields}, holders) do
    %{
      name: "stale_struct",
      severity: :block,
      subject: "%#{inspect(struct)}{} without #{Enum.map_join(fields, ", ", &inspect/1)}",
      detail: "is held by #{counted(holders)}, and no code_change migrates it"
    }
  end

  defp held({:gone, {m, f, a}}, holders) do
    %{
      name: "mfa_gone",
      severity: :block,
      subject: Exception.format_mfa(m, f, a),
      detail: "is no longer exported, and is held, to be called, by #{counted(holders)}"
    }
  end

  defp held({:impl, protocol, struct}, holders) do
    %{
      name: "impl_gone",
      severity: :block,
      subject: "#{inspect(protocol)} for #{inspect(struct)}",
      detail: "is no longer implemented, and such values are held by #{counted(holders)}"
    }
  end

  defp held({:set, paths}, [module | _] = holders) do
    %{
      name: "init_changed",
      severity: :warn,
      subject: inspect(module),
      detail:
        "now sets #{Enum.map_join(paths, ", ", &Places.told/1)} otherwise when it starts; #{counted(holders)} keep what was set before"
    }
  end

  # A supervisor and a table of handlers go on calling them; others may have done with them.
  defp held({:purged, module}, holders) do
    %{
      name: "lost_functions",
      severity: if(Enum.any?(holders, &is_tuple/1), do: :block, else: :warn),
      subject: inspect(module),
      detail:
        "functions of a version that is purged are held by #{counted(holders)}: calling them will raise BadFunctionError"
    }
  end

  # Processes are held by their callback modules' names. What a table or a supervisor holds stays where these end.
  defp whose(holders) do
    {modules, others} = Enum.split_with(holders, &is_atom/1)
    whose = %{processes: length(modules)}
    if others == [], do: Map.put(whose, :modules, Enum.uniq(modules)), else: whose
  end

  defp unasked(0), do: []

  defp unasked(count),
    do: [Findings.not_compared("there was no time to ask #{count} processes for what they hold")]

  defp silent([]), do: []

  defp silent(holders) do
    [
      %{
        name: "not_compared",
        severity: :info,
        subject: Findings.number(length(holders)),
        detail: "did not answer, and what they hold was not compared with the new code: #{counted(holders)}"
      }
    ]
  end

  defp counted(holders) do
    counts = holders |> Enum.frequencies() |> Enum.sort_by(&(-elem(&1, 1)))
    shown = counts |> Enum.take(@told) |> Enum.map_join(", ", &holder/1)
    if length(counts) > @told, do: "#{shown} and #{length(counts) - @told} more kinds", else: shown
  end

  defp holder({{:table, name}, _count}), do: "the table #{inspect(name)}"
  defp holder({{:term, key}, _count}), do: "the persistent term #{key}"
  defp holder({{:supervisor, pid}, _count}), do: "the supervisor #{Findings.who(pid)}"
  defp holder({module, 1}), do: "1 process of #{inspect(module)}"
  defp holder({module, count}), do: "#{count} processes of #{inspect(module)}"
end

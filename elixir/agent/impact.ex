defmodule FlyDeployAgent.Impact do
  @moduledoc """
  What an upgrade does to what runs, found out before it: from the code of both versions and from what lives. Everything is done in a
  process of low priority, with bounds in time and memory, so that the application keeps its pace.
  """

  alias FlyDeployAgent.{Beam, Children, CodeFacts, CodeFindings, Findings, Pair, Release, Shapes, StateKeys}

  @time_ms 20_000
  # 256 MB on 64 bits. What is read of the modules is a few kilobytes for each.
  @heap_words 32 * 1024 * 1024
  # Modules whose code is kept in memory.
  @kept 16
  # Findings of one name that are told one by one, and subjects that a further one names.
  @told 3
  @named 10

  @doc "The findings about what was staged. Where it takes too long or fails, the finding says so."
  @spec findings(map, map) :: [map]
  def findings(staged, order) do
    bounded(fn -> staged |> look(order) |> summed_up() end)
  end

  defp bounded(fun) do
    ref = make_ref()
    caller = self()

    {pid, monitor} =
      :erlang.spawn_opt(fn -> send(caller, {ref, safely(fun)}) end, [
        :monitor,
        priority: :low,
        max_heap_size: %{size: @heap_words, kill: true, error_logger: false}
      ])

    receive do
      {^ref, findings} ->
        Process.demonitor(monitor, [:flush])
        findings

      {:DOWN, ^monitor, :process, _, _} ->
        [not_compared("it took too much memory")]
    after
      @time_ms ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        [not_compared("it took more than #{div(@time_ms, 1_000)} s")]
    end
  end

  defp safely(fun) do
    fun.()
  catch
    _kind, _reason ->
      [not_compared("the agent failed#{where(__STACKTRACE__)}")]
  end

  defp where([{m, f, a, _} | _]) when is_list(a), do: where([{m, f, length(a), []}])
  defp where([{m, f, a, _} | _]), do: " in #{Exception.format_mfa(m, f, a)}"
  defp where(_), do: ""

  defp not_compared(why),
    do: %{
      name: "not_compared",
      severity: :warn,
      subject: "what runs",
      detail: "was not compared with the new code: #{why}"
    }

  defp look(staged, order) do
    pairs = for change <- staged.diff.changes, pair = pair(change), do: pair
    supervisors = for %{kind: :supervisor, module: m} <- staged.others, uniq: true, do: m

    live = %{
      processes:
        Enum.frequencies(for %{module: m} <- staged.targets ++ staged.others, m not in supervisors, do: m),
      children: if(pairs == [], do: [], else: Children.running()),
      supervisors: supervisors,
      applications: applications()
    }

    gone = for %{old: %{}} = pair <- pairs, mfa <- gone(pair), into: MapSet.new(), do: mfa

    CodeFindings.all(pairs, live) ++
      undefined(pairs, gone, staged.diff.removed) ++ held(pairs, gone, staged.targets, order.own)
  end

  # -- both versions of a module

  defp pair(%{source: source, old_file: old_file}) do
    with {:ok, new} <- facts(source) do
      old = if old_file, do: facts(old_file), else: :error

      %Pair{
        module: new.module,
        old: if(old == :error, do: nil, else: elem(old, 1)),
        new: new,
        old_code: fn -> code(old_file) end,
        new_code: fn -> code(source) end
      }
    else
      :error -> nil
    end
  end

  defp facts(file) do
    with {:ok, beam} <- File.read(file),
         {:ok, facts} <- CodeFacts.read(beam),
         do: {:ok, facts},
         else: (_ -> :error)
  end

  # Only of modules that somebody asks about; of the last few it is kept, since one is asked about several times.
  defp code(file) do
    kept = Process.get(:code, [])

    with nil <- List.keyfind(kept, file, 0) do
      code =
        with {:ok, beam} <- File.read(file),
             {:ok, code} <- CodeFacts.functions(beam),
             do: code,
             else: (_ -> %{})

      Process.put(:code, Enum.take([{file, code} | kept], @kept))
      {file, code}
    end
    |> elem(1)
  end

  defp applications do
    for {app, _, _} <- :application.which_applications(),
        Release.origin(app) == :library,
        {:ok, {module, _args}} <- [:application.get_key(app, :mod)],
        do: module
  end

  # -- calls of what is no longer there

  # Callbacks, and what only compilers call.
  @never_called [:code_change, :__info__, :module_info, :behaviour_info, :__struct__, :child_spec]

  defp undefined(pairs, gone, removed) do
    removed = MapSet.new(removed, &elem(&1, 0))

    if MapSet.size(gone) + MapSet.size(removed) == 0,
      do: [],
      else: pairs |> callers(removed) |> Enum.flat_map(&undefined_calls(&1, gone, removed))
  end

  defp gone(%{module: module, old: old, new: new}) do
    for {f, a} <- MapSet.difference(old.exports, new.exports),
        f not in @never_called and not String.starts_with?("#{f}", "MACRO-"),
        do: {module, f, a}
  end

  # Changed modules by their new code, all others by the code that stays.
  defp callers(pairs, removed) do
    changed = MapSet.new(pairs, & &1.module)
    of_pairs = Stream.map(pairs, &{&1.module, &1.new.imports})

    unchanged =
      for {module, [_ | _] = file} <- :code.all_loaded(),
          module not in changed and module not in removed,
          library?(List.to_string(file)),
          do: {module, file}

    Stream.concat(of_pairs, Stream.flat_map(unchanged, &imports/1))
  end

  defp library?(file) do
    {app, _vsn} = file |> Path.dirname() |> Path.dirname() |> Release.split()
    Release.origin(app) == :library
  end

  defp imports({module, file}) do
    case :beam_lib.chunks(file, [:imports]) do
      {:ok, {_, [imports: imports]}} -> [{module, imports}]
      _ -> []
    end
  end

  defp undefined_calls({caller, imports}, gone, removed) do
    for {m, f, a} = mfa <- imports, mfa in gone or m in removed do
      {severity, what} =
        if mfa in gone,
          do: {:block, "is not exported any more"},
          else: {:warn, "goes with its module at the next restart"}

      %{
        name: "undefined_function",
        severity: severity,
        subject: Exception.format_mfa(m, f, a),
        detail: "#{what}, and #{inspect(caller)} still calls it"
      }
    end
  end

  # -- what is held

  defp held(pairs, gone, targets, own) do
    sought = %{structs: wanted(pairs), gone: gone, purged: purged(pairs), keys: keys(pairs, targets)}

    if Enum.all?(Map.values(sought), &Enum.empty?/1) do
      []
    else
      {held, unasked} = Shapes.holders(sought, targets, own)
      {by_module, kinds} = {Map.new(pairs, &{&1.module, &1}), Map.new(targets, &{&1.pid, &1.kind})}

      held
      |> Enum.reject(&known?(&1, by_module[&1.holder], kinds[&1.pid]))
      |> Enum.group_by(& &1.found, & &1.holder)
      |> Enum.map(fn {found, holders} -> held(found, holders) end)
      |> Enum.concat(unasked(unasked))
    end
  end

  # The start functions of supervisors' children have a finding of their own.
  defp known?(%{found: {:gone, _}, holder: {:supervisor, _}}, _pair, _kind), do: true
  defp known?(%{found: {shape, _, _}}, pair, kind) when shape in [:struct, :keys], do: migrates?(pair, kind)
  defp known?(_held, _pair, _kind), do: false

  defp wanted(pairs) do
    for %{module: module, old: %{struct: [_ | _] = old}, new: %{struct: [_ | _] = new}} <- pairs,
        new -- old != [],
        into: %{},
        do: {module, new -- old}
  end

  defp keys(pairs, targets) do
    running =
      MapSet.new(for %{kind: kind, module: module} <- targets, kind in [:gen_server, :gen_statem], do: module)

    for %{module: module, old: %{}} = pair <- pairs,
        module in running,
        [_ | _] = keys <- [StateKeys.new(pair)],
        into: %{},
        do: {module, keys}
  end

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

  defp held({:keys, module, keys}, holders) do
    %{
      name: "stale_shape",
      severity: :block,
      subject: "#{inspect(module)}'s state without #{Enum.map_join(keys, ", ", &inspect/1)}",
      detail: "is held by #{counted(holders)}; the new code takes it, and no code_change brings it"
    }
  end

  defp held({:gone, {m, f, a}}, holders) do
    %{
      name: "mfa_gone",
      severity: :block,
      subject: Exception.format_mfa(m, f, a),
      detail: "is not exported any more, and is held, to be called, by #{counted(holders)}"
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

  defp unasked(0), do: []
  defp unasked(count), do: [not_compared("there was no time to ask #{count} processes for what they hold")]

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

  # -- the status has little room

  defp summed_up(findings) do
    findings
    |> Enum.uniq()
    |> Enum.group_by(&{&1.name, &1.severity})
    |> Enum.flat_map(fn {{name, severity}, all} ->
      case Enum.split(all, @told) do
        {_all, []} -> all
        {told, rest} -> told ++ [further(name, severity, rest)]
      end
    end)
  end

  defp further(name, severity, rest) do
    subjects = rest |> Enum.map(& &1.subject) |> Enum.uniq()
    more = if length(subjects) > @named, do: " and #{length(subjects) - @named} others", else: ""

    %{
      name: name,
      severity: severity,
      subject: "#{length(rest)} more",
      detail: "are like these: #{subjects |> Enum.take(@named) |> Enum.join(", ")}#{more}"
    }
  end
end

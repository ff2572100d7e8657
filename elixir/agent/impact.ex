defmodule FlyDeployAgent.Impact do
  @moduledoc """
  What an upgrade does to what runs, found out before it: from the code of both versions and from what lives. Everything is done in a
  process of low priority, with bounds in time and memory, so that the application keeps its pace.
  """

  alias FlyDeployAgent.{
    Asked,
    Attached,
    Children,
    CodeFacts,
    CodeFindings,
    Elsewhere,
    Findings,
    FunctionChanges,
    Handlers,
    Held,
    Keys,
    KeyShapes,
    Later,
    Loops,
    Measured,
    Pair,
    Patterns,
    Protocols,
    Readers,
    Release
  }

  alias FlyDeployAgent.{Signals, Surroundings, TableOwners, Tables, Timers, Undefined, UnderWay, Watch}

  @time_ms 25_000
  # 256 MB on 64 bits. What is read of the modules is a few kilobytes for each.
  @heap_words 32 * 1024 * 1024
  # Bytes of the .beams whose code is kept in memory, where it takes some ten times as much.
  @kept_bytes 4 * 1_048_576
  # Findings of one name that are told one by one, and subjects that a further one names.
  @told 3
  @named 10

  @doc """
  The findings about what was staged, and the functions of changed modules, see `FlyDeployAgent.FunctionChanges`. Where it takes too long or
  fails, a finding says so, beside what was found until then.
  """
  @spec all(FlyDeployAgent.Staged.t(), FlyDeployAgent.Order.t()) ::
          {[Findings.finding()], %{module => FunctionChanges.t()}}
  def all(staged, order) do
    found =
      bounded(
        fn tell ->
          tell.(Findings.safely(fn -> functions(staged.diff.changes, tell) end))
          look(staged, order, tell)
        end,
        @time_ms
      )

    {functions, findings} = Enum.split_with(found, &is_tuple/1)
    {summed_up(findings), Map.new(functions, fn {:functions, module, of} -> {module, of} end)}
  end

  defp functions(changes, tell) do
    FunctionChanges.each(changes, &code/1, &tell.([{:functions, &1, &2}]))
    []
  end

  @doc "What `fun` tells of findings, list by list, within that many milliseconds. What it has told stays told, however it ends."
  @spec bounded((([found] -> any) -> any), time_ms :: non_neg_integer) :: [Findings.finding() | found]
        when found: Findings.finding() | {:functions, module, FunctionChanges.t()}
  def bounded(fun, time_ms) do
    ref = make_ref()
    caller = self()
    tell = &send(caller, {ref, &1})

    {pid, monitor} =
      :erlang.spawn_opt(
        fn ->
          tell.(Findings.safely(fn -> with _ <- fun.(tell), do: [] end))
          tell.(:done)
        end,
        [
          :monitor,
          priority: :low,
          max_heap_size: %{size: @heap_words, kill: true, error_logger: false}
        ]
      )

    found = collect(ref, monitor, System.monotonic_time(:millisecond) + time_ms, time_ms)
    Process.demonitor(monitor, [:flush])
    Process.exit(pid, :kill)
    found ++ left(ref)
  end

  defp collect(ref, monitor, until, time_ms) do
    receive do
      {^ref, :done} -> []
      {^ref, findings} -> findings ++ collect(ref, monitor, until, time_ms)
      {:DOWN, ^monitor, :process, _, _} -> [Findings.not_compared("it took too much memory")]
    after
      max(until - System.monotonic_time(:millisecond), 0) ->
        [Findings.not_compared("it took more than #{div(time_ms, 1_000)} s")]
    end
  end

  # What came while it was ended.
  defp left(ref) do
    receive do
      {^ref, :done} -> left(ref)
      {^ref, findings} -> findings ++ left(ref)
    after
      0 -> []
    end
  end

  defp look(staged, order, tell) do
    pairs = for change <- staged.diff.changes, pair = Pair.of(change, &code/1), do: pair
    supervisors = for %{kind: :supervisor, module: m} <- staged.others, uniq: true, do: m

    live = %{
      processes:
        Enum.frequencies(for %{module: m} <- staged.targets ++ staged.others, m not in supervisors, do: m),
      children: if(pairs == [], do: [], else: Children.running(staged.known.pids)),
      supervisors: supervisors,
      arguments:
        Children.arguments(for %{kind: :supervisor, pid: pid, module: m} <- staged.others, do: {pid, m}),
      applications: applications(),
      apply_children: order.apply_children,
      codes: codes(pairs),
      waiting: waiting(staged.targets)
    }

    {gone, removed} = {Undefined.gone(pairs), staged.diff.removed}

    # What fails, or finds nothing, keeps no other from telling.
    [
      fn -> CodeFindings.all(pairs, live) end,
      fn ->
        tables = Tables.findings(pairs)
        tables ++ KeyShapes.findings(pairs, &callers(pairs, &1), codes(pairs), tables)
      end,
      fn -> Keys.findings(pairs, live) end,
      fn -> TableOwners.findings(pairs, owners(staged.targets), codes(pairs)) end,
      fn -> Patterns.findings(pairs) end,
      fn -> Readers.findings(pairs, codes(pairs)) end,
      fn -> Elsewhere.findings(pairs, removed, codes(pairs)) end,
      fn -> Surroundings.findings(pairs, staged.config) end,
      fn -> Later.findings(pairs, gone) end,
      fn -> UnderWay.findings(pairs, kinds(staged.targets)) end,
      fn -> Timers.findings(pairs, kinds(staged.targets)) end,
      fn -> Signals.findings(pairs, staged.targets) end,
      fn -> Attached.findings(pairs) end,
      fn -> Handlers.findings(pairs, codes(pairs)) end,
      fn -> Measured.findings(pairs) end,
      fn -> Asked.findings(pairs, codes(pairs)) end,
      fn -> Protocols.findings(pairs) end,
      fn -> Loops.findings(pairs, staged.holders) end,
      fn -> Undefined.findings(pairs, gone, removed) end,
      fn -> Undefined.names(pairs, gone) end,
      fn -> Watch.findings() end,
      fn -> Held.findings(pairs, gone, removed, staged.targets, order.own, codes(pairs)) end
    ]
    |> Enum.each(&tell.(Findings.safely(&1)))
  end

  defp waiting(targets) do
    for %{pid: pid, module: module} <- targets,
        match?({:message_queue_len, n} when n > 0, Process.info(pid, :message_queue_len)),
        uniq: true,
        do: module
  end

  defp owners(targets), do: for(%{pid: pid, module: module} <- targets, into: %{}, do: {pid, module})

  # Modules that stay as they are, and read tables by what changed ones give them.
  defp callers(pairs, changed) do
    for {module, imports} <- Undefined.unchanged(pairs),
        Enum.any?(imports, &(elem(&1, 0) in changed)) and Enum.any?(imports, &match?({:ets, _, _}, &1)),
        do: module
  end

  defp kinds(targets), do: for(%{module: module, kind: kind} <- targets, into: %{}, do: {module, kind})

  # -- both versions of a module

  # Only of modules that somebody asks about; of the last ones it is kept, since one is asked about several times.
  defp code(file) do
    case Process.get({:code, file}) do
      nil ->
        {code, bytes} = read(file)
        Process.put({:code, file}, code)
        keep([{file, bytes} | Process.get(:kept, [])])
        code

      code ->
        code
    end
  end

  defp read(file) do
    with {:ok, beam} <- File.read(file),
         {:ok, code} <- CodeFacts.functions(beam),
         do: {code, byte_size(beam)},
         else: (_ -> {%{}, 0})
  end

  # The newest first.
  defp keep(files) do
    {kept, _} =
      Enum.flat_map_reduce(files, 0, fn {file, bytes}, taken ->
        if taken + bytes <= @kept_bytes or taken == 0 do
          {[{file, bytes}], taken + bytes}
        else
          Process.delete({:code, file})
          {[], taken}
        end
      end)

    Process.put(:kept, kept)
  end

  # The code of a version, of changed modules; of others, which stay as they are, that of their file.
  defp codes(pairs) do
    by_module = Map.new(pairs, &{&1.module, &1})

    fn version, module ->
      if is_map_key(by_module, module),
        do: Pair.code_of(by_module, version, module),
        else: unchanged(module)
    end
  end

  defp unchanged(module) do
    with [_ | _] = file <- :code.which(module),
         file = List.to_string(file),
         true <- Release.library?(file),
         do: code(file),
         else: (_ -> nil)
  end

  defp applications do
    for {app, _, _} <- :application.which_applications(),
        Release.origin(app) == :library,
        {:ok, {module, _args}} <- [:application.get_key(app, :mod)],
        do: module
  end

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
    |> Findings.whose(rest)
    |> Map.put(:trees, Enum.flat_map(rest, &Map.get(&1, :trees, [])))
  end
end

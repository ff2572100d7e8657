defmodule FlyDeployAgent.Status do
  @moduledoc """
  Writes what the console reads: `DIR/status`, at most 8 KB of JSON, and after it `DIR/seq`. Both are written aside and
  renamed, so that a reader finds them whole.
  """

  alias FlyDeployAgent.{Cell, Json, OnTrial, Queues, Report, Watch}

  @max_bytes 8_000
  @failures 20
  # Of so many kinds of crashes the stack is told.
  @crashes 5
  # Bytes of one text, and where nothing else is left to cut.
  @text 500
  @short_text 200

  @doc "Writes the agent's state `s` as the next status."
  @spec write(FlyDeployAgent.State.t()) :: :ok
  def write(s) do
    seq = Cell.next_seq(s.cell)
    replace(Path.join(s.dir, "status"), encode(s, seq))
    replace(Path.join(s.dir, "seq"), "#{seq}\n")
  end

  @doc "Puts room aside in `dir`, so that a disk that fills up later can be told of."
  @spec reserve(Path.t()) :: :ok | {:error, File.posix()}
  def reserve(dir), do: File.write(Path.join(dir, "reserve"), :binary.copy(<<0>>, 4 * @max_bytes))

  # A folder that is gone means that the console has finished with it.
  defp replace(path, text) do
    with {:error, :enospc} <- put(path, text) do
      path |> Path.dirname() |> Path.join("reserve") |> File.rm()
      put(path, text)
    end

    :ok
  end

  defp put(path, text) do
    with :ok <- File.write(path <> ".new", text, [:raw]), do: File.rename(path <> ".new", path)
  end

  @doc "The JSON of `s`: lists are cut, with their totals beside them, until it fits: first those of functions. So are long texts."
  @spec encode(FlyDeployAgent.State.t(), pos_integer) :: binary
  def encode(s, seq), do: fit(s, whole(s), seq, 200, 40)

  # What takes a look at every process, failure or crash, and is cut afterwards: it is worked out once, whatever fits.
  defp whole(s) do
    %{
      processes: groups(s.staged),
      failures: if(s.result, do: group(s.result.failures), else: []),
      watch: told(s)
    }
  end

  defp groups(nil), do: []

  defp groups(staged) do
    counts = Enum.frequencies_by(staged.targets, &{&1.module, &1.kind})

    for({{module, kind}, count} <- counts, do: %{module: inspect(module), kind: kind, count: count})
    |> Enum.sort_by(&(-&1.count))
  end

  defp told(%{result: %{outcome: :committed}, watch: watch, staged: %{diff: diff}} = s) do
    modules = Enum.map(diff.changes, & &1.module) ++ Enum.map(diff.removed, &elem(&1, 0))
    watch |> Watch.told(MapSet.new(modules)) |> Map.put(:queues, Queues.told(s.queues, s.result.targets))
  end

  defp told(_s), do: nil

  defp fit(s, whole, seq, limit, functions) do
    json = s |> fields(whole, seq, limit, functions) |> Json.encode()

    cond do
      byte_size(json) <= @max_bytes or limit == 0 -> json
      functions > 0 -> fit(s, whole, seq, limit, div(functions, 2))
      true -> fit(s, whole, seq, div(limit, 2), 0)
    end
  end

  defp fields(s, whole, seq, limit, functions) do
    %{
      v: 1,
      id: s.order.id,
      owner: s.order.owner,
      boot: s.boot,
      seq: seq,
      state: s.state,
      expires_in_ms: max(s.deadline - System.monotonic_time(:millisecond), 0),
      phases: s.phases ++ window_phases(s),
      download: %{done: s.downloaded, total: s.order.size}
    }
    |> Map.merge(staged(s.staged, whole.processes, limit, functions))
    |> Map.merge(result(s.result, whole.failures, s, limit))
    |> Map.merge(watch(whole.watch, limit))
    |> Map.merge(
      for {name, told} <- [vitals: s.vitals.told, vitals_before: s.vitals.before],
          told,
          into: %{},
          do: {name, told}
    )
    |> Map.merge(if s.error, do: %{error: %{s.error | what: clip(s.error.what, limit)}}, else: %{})
    |> Map.merge(if s.report, do: %{report: clip(s.report, limit)}, else: %{})
    |> Map.merge(with(%{} = trial <- OnTrial.told(), do: %{trial: trial}) || %{})
  end

  # In bytes, as the bound is: half a character at the end becomes `?` in JSON.
  defp clip(text, limit) do
    most = if limit == 0, do: @short_text, else: @text
    if byte_size(text) > most, do: binary_part(text, 0, most) <> "…", else: text
  end

  defp window_phases(%{result: nil}), do: []
  defp window_phases(%{result: result, cell: cell}), do: Cell.phases(cell, result.outcome)

  defp staged(nil, _processes, _limit, _functions), do: %{}

  defp staged(staged, processes, limit, functions) do
    changes = staged.diff.changes

    removed =
      for {module, app} <- staged.diff.removed, do: %{module: inspect(module), app: app, change: :removed}

    modules = for(c <- changes, do: module(c, staged.functions[c.module], functions)) ++ removed

    %{
      up_to_date: staged.up_to_date,
      running_version: staged.version,
      ran: staged.ran,
      rollback_us: staged.rollback_us,
      counts: %{
        modules_changed: Enum.count(changes, &(&1.change == :changed)),
        modules_added: Enum.count(changes, &(&1.change == :added)),
        modules_removed: length(removed),
        files: length(staged.diff.files),
        processes: length(staged.targets),
        migrating: staged.migrating
      },
      modules: Enum.take(modules, limit),
      modules_total: length(modules),
      processes: Enum.take(processes, limit),
      processes_total: length(processes),
      findings:
        staged.findings |> Enum.sort_by(&rank/1) |> Enum.take(max(limit, 5)) |> Enum.map(&finding(&1, limit)),
      findings_total: length(staged.findings)
    }
  end

  defp module(change, nil, _most),
    do: Map.take(change, [:app, :change]) |> Map.put(:module, inspect(change.module))

  defp module(change, functions, most) do
    {shown, more} =
      Enum.reduce([:added, :changed, :removed], {%{}, 0}, fn how, {shown, more} ->
        {some, rest} = Enum.split(functions[how], most)
        {if(some == [], do: shown, else: Map.put(shown, how, some)), more + length(rest)}
      end)

    change |> module(nil, most) |> Map.put(:functions, Map.put(shown, :more, more))
  end

  defp finding(finding, limit),
    do:
      finding
      |> Map.drop([:modules, :keys, :pids, :trees])
      |> Map.merge(%{subject: clip(finding.subject, limit), detail: clip(finding.detail, limit)})

  defp rank(%{severity: severity}), do: Enum.find_index([:refuse, :block, :warn, :info], &(&1 == severity))

  defp result(nil, _failures, _s, _limit), do: %{}

  defp result(result, failures, s, limit) do
    %{
      suspended_at_us: Cell.at(s.cell, :suspending),
      resumed_at_us: Cell.at(s.cell, :done),
      suspended_us: Cell.longest_us(s.cell),
      suspended: length(result.targets),
      migrated: if(result.outcome == :committed, do: result.migrated, else: 0),
      died: length(result.died),
      skipped: length(result.skipped),
      crashed: s.crashed,
      deferred: result.deferred,
      views: result.views,
      killed: result.killed |> Enum.take(@failures) |> Enum.map(&inspect/1),
      killed_total: length(result.killed),
      fresh: length(result.fresh),
      unplaced: result.unplaced |> Enum.take(3) |> Enum.map(&clip(&1, limit)),
      failures: failures |> Enum.take(min(@failures, max(limit, 1))) |> Enum.map(&failure(&1, limit)),
      failures_total: length(result.failures)
    }
  end

  defp watch(nil, _limit), do: %{}

  defp watch(told, limit) do
    frames = if limit > 20, do: 8, else: 3

    crashes =
      for {crash, at} <- told.crashes |> Enum.take(max(limit, 1)) |> Enum.with_index(),
          do: %{
            crash
            | stack: Enum.take(crash.stack, if(at < @crashes and crash.count > 0, do: frames, else: 0))
          }

    %{watch: %{told | crashes: crashes}}
  end

  # The first of each module, reason and kind of exception, with their number; the most frequent come first.
  defp group(failures) do
    failures
    |> Enum.group_by(&{&1[:module], &1.reason, &1.exception |> String.split(")") |> hd()})
    |> Enum.map(fn {_, [first | _] = all} -> Map.put(first, :count, length(all)) end)
    |> Enum.sort_by(&(-&1.count))
  end

  defp failure(f, limit) do
    frames = if limit > 20, do: 8, else: 3
    f |> Report.failure() |> Map.update!(:stack, &Enum.take(&1, frames)) |> Map.put(:count, f.count)
  end
end

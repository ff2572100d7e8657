defmodule FlyDeployAgent.Staging do
  @moduledoc """
  Everything before the confirmation: download, extract, compare, look at the processes. Changes nothing that runs; some processes
  that hibernate, or hide their callback module, are woken for a moment to tell it.

  Runs in a worker of the agent and tells it of progress by `tell`: `{:phase, name, status, at_us, us}` and
  `{:download, bytes}`.
  """

  alias FlyDeployAgent.{
    AppChildren,
    AppConfig,
    Archive,
    Back,
    Beam,
    Births,
    CodeFacts,
    Diff,
    Files,
    Findings,
    Fresh,
    Http,
    Impact,
    Inventory,
    LiveView,
    Loader,
    Manifest,
    Migrating,
    OldCode,
    OwnCode,
    Package,
    Processes,
    Recompiled,
    Rehearsal,
    Release,
    ReleaseFindings,
    Staged
  }

  # Giving a process its state back, in a VM with other work to do.
  @restore_us 10

  @doc "Gives `{:ok, staged}` or `{:error, name, text}`."
  @spec run(FlyDeployAgent.Order.t(), Path.t(), (term -> any)) :: {:ok, Staged.t()} | {:error, binary, binary}
  def run(order, dir, tell) do
    tarball = Path.join(dir, "upgrade.tar.gz")
    new = Path.join(dir, "new")

    with :ok <- in_a_release(),
         :ok <- phase("reload", tell, fn -> download(order, tarball, tell) end),
         :ok <- phase("extract", tell, fn -> extract(tarball, new) end) do
      phase("detection", tell, fn -> detect(order, new) end)
    end
  end

  @doc "Runs `fun` as a phase, telling when it began and how it ended."
  @spec phase(binary, (term -> any), (() -> result)) :: result when result: var
  def phase(name, tell, fun) do
    at = System.os_time(:microsecond)
    from = System.monotonic_time(:microsecond)
    tell.({:phase, name, "running", at, 0})
    result = fun.()
    status = if is_tuple(result) and elem(result, 0) == :error, do: "failed", else: "done"
    tell.({:phase, name, status, at, System.monotonic_time(:microsecond) - from})
    result
  end

  defp in_a_release do
    cond do
      Release.root() == nil ->
        {:error, "no_release", "RELEASE_ROOT is not set: this VM runs no mix release"}

      not Code.ensure_loaded?(:crypto) ->
        {:error, "no_crypto", "the release lacks :crypto: add it to extra_applications"}

      true ->
        :ok
    end
  end

  defp download(order, path, tell) do
    {:ok, file} = :file.open(path, [:write, :raw, :binary, :exclusive])
    start = {0, :crypto.hash_init(:sha256)}

    result =
      Http.get(order.url, [cacerts: order.cacerts], start, fn data, {size, hash} ->
        size = size + byte_size(data)

        with :ok <- if(size > order.size, do: {:error, :efbig}, else: :file.write(file, data)) do
          {:cont, {told(size, tell), :crypto.hash_update(hash, data)}}
        else
          {:error, :efbig} -> {:halt, "the tarball is larger than announced (#{order.size} bytes)"}
          {:error, reason} -> {:halt, "the tarball cannot be written: #{:file.format_error(reason)}"}
        end
      end)

    :file.close(file)
    verify(result, order)
  end

  defp told(size, tell) do
    tell.({:download, size})
    size
  end

  defp verify({:ok, {size, hash}}, order) do
    sha256 = hash |> :crypto.hash_final() |> Base.encode16(case: :lower)

    cond do
      size != order.size -> {:error, "truncated", "the tarball has #{size} bytes instead of #{order.size}"}
      sha256 != order.sha256 -> {:error, "sha256_differs", "the tarball's sha256 is not the expected one"}
      true -> :ok
    end
  end

  defp verify({:error, text}, order),
    do: {:error, "download_failed", "the download from #{URI.parse(order.url).host} failed: #{text}"}

  defp extract(tarball, dir) do
    File.mkdir!(dir)

    # What tells of the release is read where it is as before, too.
    inventory = Inventory.new(:release)
    needed = &(Manifest.manifest?(&1) or not Inventory.has?(inventory, &1, &2))

    case Archive.extract(tarball, dir, &Release.takes_part?/1, needed) do
      {:ok, _entries} ->
        File.rm(tarball)
        :ok

      {:error, text} ->
        {:error, "bad_tarball", text}
    end
  end

  defp detect(order, dir) do
    diff = Diff.run(dir, order.otp_app)

    case facts(diff.changes) do
      {:ok, facts, loadable} ->
        {:ok, order |> survey(dir, diff, facts, loadable) |> rehearse(order, dir) |> settle(order)}

      {:error, module} ->
        {:error, "bad_beam", "#{inspect(module)} in the tarball is not a .beam file"}
    end
  end

  # Every new module is prepared once and dropped: it tells whether this VM can load it at all, and it finds on_load.
  defp facts(changes) do
    modules = Map.new(changes, &{&1.module, true})

    Enum.reduce_while(changes, {:ok, %{}, []}, fn %{module: module, source: source}, {:ok, facts, bad} ->
      beam = File.read!(source)

      case Beam.facts(beam, modules) do
        {:ok, found} -> {:cont, {:ok, Map.put(facts, module, found), unloadable(module, source, beam) ++ bad}}
        :error -> {:halt, {:error, module}}
      end
    end)
  end

  defp unloadable(module, file, beam) do
    case Loader.prepare([{module, file, beam}]) do
      {:ok, _} -> []
      {:error, reasons} -> reasons
    end
  end

  defp survey(order, dir, diff, facts, unloadable) do
    %Staged{} = staged = look(%Staged{diff: diff, facts: facts, config: config(order, dir, diff)}, order)
    %Staged{} = staged = if order.back, do: staged |> Back.decide(order.fresh) |> look(order), else: staged
    diff = staged.diff
    purge_us = Loader.purge_us(length(diff.changes))
    staged = %Staged{staged | purge_us: purge_us, rollback_us: rollback_us(staged, purge_us)}

    would_kill =
      for {pid, modules} <- staged.holders,
          m = Enum.filter(modules, &(&1 in staged.closure)),
          m != [],
          do: {pid, m}

    {impact, functions} = Impact.all(staged, order)

    findings =
      Recompiled.dismissed(diff) ++
        Findings.modules(diff, facts, unloadable) ++
        Findings.processes(staged, would_kill) ++
        impact ++
        Findings.window(if(order.back, do: [], else: staged.targets), order.skip_busy) ++
        pages(facts, diff.files, staged.known.pids) ++
        ReleaseFindings.all(dir, diff.changes, diff.files, staged.config) ++
        Findings.release(Files.unwritable(diff.files, order.id)) ++
        Package.findings(order.signed_by) ++
        Package.applied_findings(order) ++
        Findings.rollback_cost(staged.rollback_us) ++
        AppChildren.unstarted(order.apply_children)

    findings = AppChildren.judged(findings, order.apply_children)

    %Staged{
      staged
      | findings: findings,
        up_to_date:
          up_to_date?(diff, findings) and not AppConfig.changes?(staged.config) and
            not AppChildren.tries_again?(findings, order.apply_children),
        migrating: Migrating.count(staged.targets, diff.changes),
        version: Diff.version(order.otp_app),
        ran: Package.ran(order.otp_app),
        functions: functions
    }
  end

  defp config(%{apply_config: false}, _dir, _diff), do: nil

  defp config(order, dir, diff),
    do: AppConfig.find(dir, Enum.map(diff.changes, & &1.module), fn -> OwnCode.get(order) end)

  # What the code tells already is not told twice.
  defp rehearse(staged, %{rehearse: false}, _dir), do: staged

  defp rehearse(%Staged{} = staged, order, dir) do
    known = MapSet.new(staged.findings, &{&1.name, &1.subject})
    found = Rehearsal.findings(staged, order, dir, fn -> OwnCode.get(order) end)
    %Staged{staged | findings: staged.findings ++ Enum.reject(found, &({&1.name, &1.subject} in known))}
  end

  defp pages(facts, files, pids) do
    if LiveView.visible?(Map.values(facts), files), do: Findings.pages(LiveView.pages(pids)), else: []
  end

  defp settle(staged, %{back: true} = order), do: Back.settle(staged, &look(&1, order))
  defp settle(staged, _order), do: staged

  # Another manifest alone is nothing to apply; nor is it up to date if what it tells of cannot be applied.
  defp up_to_date?(diff, findings) do
    diff.changes == [] and Enum.all?(diff.files, fn {_, to} -> Manifest.manifest?(to) end) and
      not Enum.any?(findings, &(&1.name == "nothing_hot"))
  end

  @doc """
  Looks at the live processes. Adds targets, others, holders (sampled twice, so that a passing request does not count), the
  pids that were looked at, and the closure: changed modules that the migration may call. Where an upgrade is taken back, these are none: the
  code that runs is asked; and those are added that start afresh.
  """
  @spec look(Staged.t(), FlyDeployAgent.Order.t()) :: Staged.t()
  def look(%Staged{diff: diff, facts: facts} = staged, order) do
    changed = if order.back, do: Back.changed(staged), else: changed(diff, facts)
    %{pids: pids} = known = Births.list()
    {targets, others} = Processes.scan(pids, changed, order.own)
    except = MapSet.new(order.own ++ Enum.map(targets, & &1.pid))
    first = OldCode.holders(pids, changed, except)
    Process.sleep(if first == [], do: 0, else: 20)
    holders = first |> Enum.map(&elem(&1, 0)) |> OldCode.holders(changed, except)

    staged = %Staged{
      staged
      | changed: changed,
        known: known,
        targets: targets,
        others: others,
        holders: holders,
        closure: if(order.back, do: MapSet.new(), else: closure(changed, facts))
    }

    if order.back, do: with_ended(staged, Fresh.all(staged, order.own)), else: staged
  end

  # A lingering one may be a target, too, and is ended when all have migrated; those that only end along with others need not.
  defp with_ended(%Staged{} = staged, ended) do
    alone = MapSet.new(for %{pid: pid, end: :along} <- ended, do: pid)
    %Staged{staged | ended: ended, targets: Enum.reject(staged.targets, &(&1.pid in alone))}
  end

  # Only modules that run already can have processes. After the swap nothing tells their old version any more. Where both have the
  # same `@vsn`, written by hand, so is the state: nothing is migrated.
  defp changed(diff, facts) do
    for %{module: m, change: :changed} <- diff.changes,
        :erlang.module_loaded(m),
        into: %{} do
      old = Beam.vsn(m)
      same = facts[m].vsn == old and CodeFacts.written?(old)
      {m, %{facts[m] | vsn: old, code_change: if(same, do: [], else: facts[m].code_change)}}
    end
  end

  # The changed modules with a code_change, and those that they name, directly or not: what a migration may call. Also where none of a module's
  # processes is seen: one may be born before the window, and would be asked by its old code. A protocol calls its implementations by
  # names that it makes up at run time.
  defp closure(changed, facts) do
    modules = for {module, %{code_change: [_ | _]}} <- changed, do: module
    close(modules, facts, MapSet.new())
  end

  defp close([], _facts, found), do: found

  defp close([module | rest], facts, found) do
    next = implementations(module, facts) ++ rest

    if module in found or not is_map_key(facts, module),
      do: close(Enum.reject(next, &(&1 in found)), facts, found),
      else: close(facts[module].names ++ next, facts, MapSet.put(found, module))
  end

  # An implementation has its protocol as a behaviour.
  defp implementations(module, facts) do
    if not :erlang.module_loaded(module) or function_exported?(module, :__protocol__, 1),
      do: for({other, %{behaviours: behaviours}} <- facts, module in behaviours, do: other),
      else: []
  end

  # A rollback has to free the old slots of what the migrations need, with all processes suspended, and to restore states.
  defp rollback_us(staged, purge_us) do
    needed = Enum.count(staged.closure, &is_map_key(staged.changed, &1))
    needed * purge_us + length(staged.targets) * @restore_us
  end
end

defmodule FlyDeployAgent.Arming do
  @moduledoc """
  After the confirmation: everything slow is done here, so that the window only swaps. Captures the old code before any
  file is written, prepares both directions, and writes the new files beside their targets.

  It changes nothing that runs: the old slots, with the functions of the version before that somebody may keep, are freed when the
  commit comes, right before the window.
  """

  alias FlyDeployAgent.{
    Armed,
    Beam,
    CallbackMode,
    ConfigChange,
    Files,
    Findings,
    Fresh,
    LiveView,
    Loader,
    OldCode,
    Processes,
    Snapshot,
    Staging,
    Window
  }

  # Purging stops every scheduler's reuse of old code for a moment: a few modules at a time.
  @batch 8

  @doc "Gives `{:ok, armed}`, `{:stale, text}` or `{:error, name, text}`."
  @spec run(FlyDeployAgent.Staged.t(), FlyDeployAgent.Order.t()) ::
          {:ok, Armed.t()} | {:stale, binary} | {:error, binary, binary}
  def run(staged, order) do
    changes = staged.diff.changes

    with :ok <- unchanged(changes),
         {:ok, old} <- old_beams(changes),
         :ok <- if(order.back, do: :ok, else: nobody_lingers(changes)),
         {:ok, forward} <- prepare(for c <- changes, do: {c.module, c.target, File.read!(c.source)}),
         {:ok, back} <- prepare(old),
         :ok <- stage(staged.diff.files, order.id) do
      {:ok,
       %Armed{
         staged: staged,
         forward: forward,
         back: back,
         stand_ins: CallbackMode.prepare(changes),
         absent: Files.absent(staged.diff.files)
       }}
    end
  end

  @doc "Checks that what runs is still what was compared with at staging."
  @spec unchanged([FlyDeployAgent.Diff.change()]) :: :ok | {:stale, binary}
  def unchanged(changes) do
    case for(c <- changes, Beam.loaded_md5(c.module) != c.old_md5, do: c.module) do
      [] -> :ok
      [module | _] -> {:stale, "#{inspect(module)} was loaded by somebody else after staging"}
    end
  end

  defp old_beams(changes) do
    Enum.reduce_while(changes, {:ok, []}, fn
      %{change: :added}, acc ->
        {:cont, acc}

      %{module: module, old_file: file, file_md5: md5}, {:ok, beams} ->
        with {:ok, beam} <- File.read(file), ^md5 <- Beam.md5(beam) do
          {:cont, {:ok, [{module, file, beam} | beams]}}
        else
          _ -> {:halt, {:error, "drift", "#{file} no longer holds the code of #{inspect(module)}"}}
        end
    end)
  end

  defp nobody_lingers(changes) do
    case changes |> Enum.map(& &1.module) |> OldCode.lingering() do
      [] -> :ok
      [lingering | _] -> lingering(lingering)
    end
  end

  defp lingering({module, pids}) do
    {:error, "lingering",
     "#{inspect(module)} is still run, in an old version, by #{Findings.some(pids, &Findings.who/1)}"}
  end

  @doc "Whether slots must be freed before these changes can be loaded: it takes time, and it cannot be undone."
  @spec old_code?([FlyDeployAgent.Diff.change()]) :: boolean
  def old_code?(changes), do: Enum.any?(changes, &:erlang.check_old_code(&1.module))

  @doc "Frees the old slots. From then on functions that were made by the version before the one that runs stop working."
  @spec free_slots([FlyDeployAgent.Diff.change()], FlyDeployAgent.Order.t()) ::
          {:ok, :freed} | {:error, binary, binary}
  # Who lingers is ended in the window, and what only they hold is freed there.
  def free_slots(changes, %{back: true}) do
    purge(for %{module: module} <- changes, :erlang.check_old_code(module), do: module)
    Loader.await_collected()
    {:ok, :freed}
  end

  def free_slots(changes, _order) do
    with :ok <- nobody_lingers(changes),
         [] <- purge(for %{module: module} <- changes, :erlang.check_old_code(module), do: module) do
      Loader.await_collected()
      {:ok, :freed}
    else
      # They went into it after they had been looked for.
      [module | _] ->
        lingering({module, for({_, pids} <- OldCode.lingering([module]), pid <- pids, do: pid)})

      error ->
        error
    end
  end

  defp purge(modules) do
    modules
    |> Enum.chunk_every(@batch)
    |> Enum.flat_map(fn modules ->
      Process.sleep(1)
      Loader.soft_purge(modules)
    end)
  end

  defp prepare(beams) do
    case Loader.prepare(beams) do
      {:ok, prepared} ->
        {:ok, prepared}

      {:error, [{module, :on_load_not_allowed} | _]} ->
        {:error, "native_code", "#{inspect(module)} has on_load: cold deploy"}

      {:error, [{module, reason} | _]} ->
        {:error, "not_loadable", "#{inspect(module)} cannot be loaded: #{reason}"}
    end
  end

  defp stage(files, id) do
    with {:error, text} <- Files.stage(files, id) do
      Files.clean(files, id)
      {:error, "not_writable", text}
    end
  end

  # While nothing else is suspended a busy process may take so much longer, up to this, unless the order allows more.
  @patient 20
  @patient_ms 5_000

  @doc """
  The window of an armed upgrade: looks at the processes once more. Only what their migrations need is loaded before they have
  succeeded: until then nobody else runs new code, and a rollback has little to free.
  """
  @spec window(Armed.t(), FlyDeployAgent.Order.t(), FlyDeployAgent.Cell.t(), guardian :: pid) :: Window.t()
  def window(armed, order, cell, guardian) do
    staged = Staging.look(armed.staged, order)
    changes = staged.diff.changes
    visible = LiveView.visible?(Map.values(staged.facts), staged.diff.files) and LiveView.supported?()
    restarting = Fresh.supervisors(staged.ended)
    ended = for %{pid: pid} <- staged.ended, do: pid
    {needed, deferred} = changes |> Enum.map(& &1.module) |> Enum.split_with(&(&1 in staged.closure))

    %Window{
      cell: cell,
      dead: spawn(fn -> :ok end),
      guardian: guardian,
      known: staged.known,
      targets: staged.targets,
      supervisors: Enum.uniq(Processes.supervisors(for %{pid: pid} <- staged.targets, do: pid) ++ restarting),
      restarting: restarting,
      fresh: staged.ended,
      back?: order.back,
      visible: visible,
      views:
        if(visible, do: LiveView.views(staged.known.pids) -- (Window.pids(staged.targets) ++ ended), else: []),
      changed: staged.changed,
      own: order.own,
      needed: needed,
      deferred: deferred,
      added: for(%{change: :added, module: m} <- changes, do: m),
      forward: armed.forward,
      back: armed.back,
      md5: Map.new(changes, &{&1.module, {&1.old_md5, &1.md5}}),
      stand_ins: armed.stand_ins,
      restore: Snapshot.restoring(),
      suspend_ms: order.suspend_ms,
      patient_ms: order.suspend_ms |> Kernel.*(@patient) |> min(@patient_ms) |> max(order.suspend_ms),
      migration_ms: order.migration_ms,
      max_suspend_ms: order.max_suspend_ms,
      rollback_us: staged.rollback_us,
      purge_us: staged.purge_us,
      config: ConfigChange.both(staged.config),
      skip_busy: order.skip_busy
    }
  end
end

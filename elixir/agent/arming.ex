defmodule FlyDeployAgent.Arming do
  @moduledoc """
  After the confirmation: everything slow is done here, so that the window only swaps. Captures the old code before any
  file is written, frees the old slots, prepares both directions, and writes the new files beside their targets.
  """

  alias FlyDeployAgent.{Beam, CallbackMode, Files, Loader, Processes, Staging, Window}

  # Purging stops every scheduler's reuse of old code for a moment: a few modules at a time.
  @batch 8

  @doc "Gives `{:ok, armed}`, `{:stale, text}` or `{:error, name, text}`."
  @spec run(map, map) :: {:ok, map} | {:stale, binary} | {:error, binary, binary}
  def run(staged, order) do
    changes = staged.diff.changes

    with :ok <- unchanged(changes),
         {:ok, old} <- old_beams(changes),
         :ok <- free_slots(changes),
         {:ok, forward} <- prepare(for c <- changes, do: {c.module, c.target, File.read!(c.source)}),
         {:ok, back} <- prepare(old),
         :ok <- stage(staged.diff.files, order.id),
         :ok <- Loader.await_collected() do
      {:ok, Map.merge(staged, %{forward: forward, back: back, stand_ins: CallbackMode.prepare(changes)})}
    end
  end

  @doc "Checks that what runs is still what was compared with at staging."
  @spec unchanged([map]) :: :ok | {:stale, binary}
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

      %{module: module, old_file: file, old_md5: md5}, {:ok, beams} ->
        with {:ok, beam} <- File.read(file), ^md5 <- Beam.md5(beam) do
          {:cont, {:ok, [{module, file, beam} | beams]}}
        else
          _ -> {:halt, {:error, "drift", "#{file} does not hold the code of #{inspect(module)} that runs"}}
        end
    end)
  end

  defp free_slots(changes) do
    held =
      changes
      |> Enum.map(& &1.module)
      |> Enum.chunk_every(@batch)
      |> Enum.flat_map(fn modules ->
        Process.sleep(1)
        Loader.soft_purge(modules)
      end)

    case held do
      [] ->
        :ok

      [module | _] ->
        pids = for {_module, pids} <- Processes.lingering([module]), pid <- pids, do: pid

        {:error, "lingering",
         "#{inspect(module)} is still run, in an old version, by #{Enum.map_join(pids, ", ", &inspect/1)}"}
    end
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

  @doc """
  The window of an armed upgrade: looks at the processes once more and decides which modules are left for last, as long as no
  migration may call them: those that a process which is not suspended holds; and all, where a rollback would take long.
  """
  @spec window(map, map, map) :: map
  def window(armed, order, shared) do
    armed = Staging.look(armed, order)
    changes = armed.diff.changes
    held = armed.holders |> Enum.flat_map(&elem(&1, 1)) |> MapSet.new()
    last? = fn change -> change.module not in armed.closure and (armed.late or change.module in held) end
    {deferred, swap} = Enum.split_with(changes, last?)

    %{
      dead: spawn(fn -> :ok end),
      known: armed.known,
      targets: armed.targets,
      changed: armed.changed,
      own: order.own,
      supervisors: Processes.supervisors(for %{pid: pid} <- armed.targets, do: pid),
      born: [],
      rollback_us: armed.rollback_us,
      swap: Enum.map(swap, & &1.module),
      deferred: Enum.map(deferred, & &1.module),
      added: for(%{change: :added, module: m} <- changes, do: m),
      forward: armed.forward,
      back: armed.back,
      stand_ins: armed.stand_ins,
      restore: Window.restoring(),
      md5: Map.new(changes, &{&1.module, {&1.old_md5, &1.md5}}),
      suspend_ms: order.suspend_ms
    }
    |> Map.merge(shared)
  end
end

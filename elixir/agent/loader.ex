defmodule FlyDeployAgent.Loader do
  @moduledoc """
  Prepares, swaps and purges code. All knowledge about the shape of prepared code lies here.

  Preparing decodes and compiles, outside of the window; finishing only swaps, all or nothing. A prepared term must never be
  finished a second time after a success: that crashes the VM.
  """

  alias FlyDeployAgent.OldCode

  # Small batches with pauses keep the application's latency down.
  @batch 8
  @pause_ms 1
  # Looks at heaps for literals of purged code. It works in steps; this long without one, it has nothing to do.
  @collector {:initial_call, {:erts_literal_area_collector, :start, 0}}
  @quiet_ms 20
  # Longer than this it is not waited for: a VM that purges code all the time would never be armed.
  @collected_ms 10_000
  # How long processes may take to leave a module that goes away.
  @patience_ms 500
  # What is purged within it is no matter for a rollback.
  @soon_us 50_000
  # An empty module, compiled with this one: compiling it in the VM would take longer than what is measured with it.
  @sample Module.concat(__MODULE__, Sample)
  {:ok, _, beam} = :compile.forms([{:attribute, 1, :module, @sample}], [:deterministic])
  @sample_beam beam

  @type prepared :: term

  @doc "Prepares `{module, file, beam}` one by one. Gives `%{module => prepared}`."
  @spec prepare([{module, binary, binary}]) :: {:ok, %{module => prepared}} | {:error, [{module, atom}]}
  def prepare(modules) do
    modules
    |> Enum.chunk_every(@batch)
    |> Enum.reduce_while({:ok, %{}}, fn batch, {:ok, done} ->
      Process.sleep(@pause_ms)
      results = for {module, file, beam} <- batch, do: {module, prepare_one(module, file, beam)}

      case for {module, {:error, reason}} <- results, do: {module, reason} do
        [] -> {:cont, {:ok, for({module, {:ok, term}} <- results, into: done, do: {module, term})}}
        errors -> {:halt, {:error, errors}}
      end
    end)
  end

  defp prepare_one(module, file, beam) do
    case :code.prepare_loading([{module, String.to_charlist(file), beam}]) do
      {:ok, {:"$prepared$", list}} when is_list(list) -> {:ok, list}
      {:ok, _} -> {:error, :unknown_prepared_shape}
      {:error, [{^module, reason} | _]} -> {:error, reason}
    end
  end

  @doc "Swaps the code of all `modules` at once, out of what `prepare/1` gave."
  @spec finish([module], %{module => prepared}) :: :ok | {:error, [{module, atom}]}
  def finish([], _prepared), do: :ok

  def finish(modules, prepared) do
    :code.finish_loading({:"$prepared$", Enum.flat_map(modules, &Map.fetch!(prepared, &1))})
  end

  @doc "Waits until the code server has done everything that it was asked before, also by a process that has died."
  @spec sync() :: any
  def sync, do: :code.get_path()

  @doc "Does the code server answer within `ms`? One that waits for a disk, or for a purge, would be waited for without end."
  @spec answers?(pos_integer) :: boolean
  def answers?(ms) do
    {asks, ref} = spawn_monitor(&sync/0)

    receive do
      {:DOWN, ^ref, :process, _, _} -> true
    after
      ms ->
        Process.demonitor(ref, [:flush])
        Process.exit(asks, :kill)
        false
    end
  end

  @doc "Frees the old slots of `modules` where no process runs in them. Gives the modules that could not be freed."
  @spec soft_purge([module]) :: [module]
  def soft_purge(modules), do: Enum.reject(modules, &:code.soft_purge/1)

  @doc """
  Waits until the VM has nothing left to do for what was purged: after a purge has returned it looks for the module's literals in
  every heap, which a window right then would have to share the schedulers with. It waits #{@collected_ms} ms at most.
  """
  @spec await_collected() :: :ok
  def await_collected do
    collector = Enum.find(Process.list(), &(Process.info(&1, :initial_call) == @collector))
    if collector, do: await_quiet(collector, work(collector), div(@collected_ms, @quiet_ms)), else: :ok
  end

  defp await_quiet(_collector, _before, 0), do: :ok

  defp await_quiet(collector, before, looks) do
    Process.sleep(@quiet_ms)
    now = work(collector)
    if now == before, do: :ok, else: await_quiet(collector, now, looks - 1)
  end

  defp work(pid), do: Process.info(pid, [:reductions, :message_queue_len])

  @doc """
  Frees the old slots of `modules`, patiently, then by force: `{ms, hopeless?}` is for how long, and for whom there is nothing to wait
  for. Gives the processes that this killed.
  """
  @spec purge([module], {pos_integer, (pid -> boolean)}) :: [pid]
  def purge(modules, {ms, hopeless?}),
    do: modules |> soft_purge() |> free(System.monotonic_time(:millisecond) + ms, hopeless?)

  defp free([], _deadline, _hopeless?), do: []

  defp free(held, deadline, hopeless?) do
    lingering = held |> OldCode.lingering() |> Map.new()
    over? = System.monotonic_time(:millisecond) >= deadline
    doomed? = &(over? or (is_map_key(lingering, &1) and Enum.all?(lingering[&1], hopeless?)))
    {doomed, held} = Enum.split_with(held, doomed?)
    killed = Enum.flat_map(doomed, &kill_and_purge(&1, Map.get(lingering, &1, [])))
    if held != [], do: Process.sleep(5)
    killed ++ (held |> soft_purge() |> free(deadline, hopeless?))
  end

  defp kill_and_purge(module, holders) do
    :code.purge(module)
    Enum.reject(holders, &Process.alive?/1)
  end

  @doc """
  What it costs to free one old slot in this VM, in microseconds: each of its processes is looked at. Measured with a module
  of our own; where it matters, as `count` of them take long, it is the slowest of three: a VM that is busy now may be so then.
  """
  @spec purge_us(count :: non_neg_integer) :: non_neg_integer
  def purge_us(count) do
    us = sample_us()
    if us * count < @soon_us, do: us, else: Enum.max([us, sample_us(), sample_us()])
  end

  # Whatever is loaded or deleted, the VM goes through the names of all functions that it has: nothing is that need not be.
  defp sample_us do
    {:module, @sample} = :code.load_binary(@sample, ~c"sample", @sample_beam)
    :code.delete(@sample)
    {us, true} = :timer.tc(fn -> :code.soft_purge(@sample) end)
    us
  end

  @doc "Unloads modules that did not exist before. Gives the processes that this killed."
  @spec unload([module]) :: [pid]
  def unload(modules) do
    Enum.each(modules, &:code.delete/1)
    purge(modules, {@patience_ms, fn _pid -> false end})
  end
end

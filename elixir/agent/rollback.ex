defmodule FlyDeployAgent.Rollback do
  @moduledoc """
  Takes a window back: the old code is loaded again, every process takes the state that it had, and all are resumed.

  Only what has been swapped is taken back: before the migrations have succeeded these are the modules that they need. Nobody else has run
  the new code until then, but whoever calls a function of those modules. What a `code_change` does outside of its state (ETS,
  messages) cannot be undone.
  """

  alias FlyDeployAgent.{
    Beam,
    CallbackMode,
    Cell,
    ConfigChange,
    Loader,
    Result,
    Rounds,
    Snapshot,
    Suspension,
    Window
  }

  # At most this many failed processes are asked for their state's shape.
  @asked 100
  @attempts 3
  # Migrations that are late and compute may take this long, when everything runs.
  @late_ms 60_000
  @nothing %{failures: [], asked: [], explain: &__MODULE__.nothing/0, hung: [], late: [], died: []}

  @typedoc "Why a window is taken back; what is left out is none."
  @type failed :: %{
          optional(:failures) => [FlyDeployAgent.Failure.t()],
          optional(:explain) => (() -> [FlyDeployAgent.Failure.t()]),
          optional(:asked) => [pid],
          optional(:hung) => [pid],
          optional(:late) => [pid],
          optional(:died) => [pid]
        }

  @doc """
  Rolls back. `failed` has the `failures`; `explain`, a function that gives more of them when everything runs, and whose pids, `asked`, these
  will have; whose migrations did not answer, `hung` or `late`; and who `died`. Those that hang are ended when their old code is
  back, so that their supervisors start them in it. Those that are late were only slower than the budget allows: they are waited
  for outside of the window, and ended if they hang then.
  """
  @spec run(Window.t(), failed) :: Result.t()
  def run(window, failed) do
    %{hung: hung, late: late, died: died} = failed = Map.merge(@nothing, failed)
    Cell.enter(window.cell, :rolling_back)
    answering = Window.without(window.targets, hung ++ late)
    killed = CallbackMode.restore(%{window | targets: answering}, Window.patience(window, hung))
    {more, refused} = load_back(window, hung, @attempts)
    config = window.config |> ConfigChange.take_back() |> ConfigChange.not_back()
    newborn = end_newborn(window)
    tag = make_ref()

    # An agent that died in the swap had not asked for any migration.
    if Cell.at(window.cell, :migrating) > 0, do: Snapshot.restore(window, tag, asked(failed))
    Enum.each(hung, &Process.exit(&1, :kill))
    round = Suspension.resume(window)
    failures = failed.failures ++ failed.explain.()
    killed = killed ++ more ++ newborn ++ hung ++ end_stuck(window, round) ++ drop_added(window)
    {shapes, lost} = Snapshot.told(tag)
    failures = refused ++ config ++ Enum.map(failures, &Map.put(&1, :state_before, shapes[&1[:pid]]))
    losses = Enum.uniq(killed ++ (lost -- died))

    %Result{
      outcome: if(losses == [] and refused == [], do: :rolled_back, else: :rolled_back_with_losses),
      targets: window.targets,
      skipped: window.skipped,
      failures: failures,
      killed: losses,
      died: died
    }
  end

  @doc false
  def nothing, do: []

  defp asked(%{failures: failures, asked: pids}),
    do: (Enum.map(failures, & &1[:pid]) ++ pids) |> Enum.take(@asked) |> MapSet.new()

  @doc "Resumes all, and ends those whose migrations hang, also when their agent has died meanwhile. Gives these."
  @spec resume(Window.t()) :: [pid]
  def resume(window), do: end_stuck(window, Suspension.resume(window))

  @doc "For how long a rollback waits at most for migrations, after all have been resumed, in milliseconds."
  @spec late_ms() :: pos_integer
  def late_ms, do: @late_ms

  defp end_stuck(window, round) do
    until = System.monotonic_time(:millisecond) + @late_ms

    missing =
      round |> Rounds.collect_working(window.migration_ms, until) |> Map.fetch!(:missing) |> MapSet.new()

    migrating = Cell.at(window.cell, :migrating) > 0

    for %{pid: pid, units: [_ | _]} <- window.targets, migrating and pid in missing do
      Process.exit(pid, :kill)
      pid
    end
  end

  @doc "Unloads what did not exist before. Nothing of the old code knows it, so it need not go before the resume."
  @spec drop_added(Window.t()) :: [pid]
  def drop_added(window), do: window.added |> Enum.filter(&:erlang.module_loaded/1) |> Loader.unload()

  # They were born when the new code had been loaded, or may have been: there is no old state to which they could go back.
  defp end_newborn(window) do
    swapped =
      if Cell.at(window.cell, :finishing) > 0, do: window.needed ++ window.deferred, else: window.needed

    unknown = Suspension.unknown(window)
    known = window.targets |> Window.without(Window.pids(window.born)) |> Window.pids() |> MapSet.new()

    for %{pid: pid, module: module} <- window.born ++ unknown, module in swapped and pid not in known do
      Process.exit(pid, :kill)
      pid
    end
  end

  defp load_back(window, hung, attempts) do
    changed =
      for module <- window.needed ++ window.deferred,
          module not in window.added,
          not old?(module, window),
          do: module

    killed = Loader.purge(changed, Window.patience(window, hung))

    case Loader.finish(changed, window.back) do
      :ok ->
        {killed, []}

      {:error, _} when attempts > 1 ->
        with {more, left} <- load_back(window, hung, attempts - 1), do: {killed ++ more, left}

      {:error, reasons} ->
        {killed, Enum.map(reasons, &refused/1)}
    end
  end

  defp old?(module, window) do
    {old, _new} = Map.fetch!(window.md5, module)
    Beam.loaded_md5(module) == old
  end

  @doc "What is told of a module that the code server did not take."
  @spec refused({module, atom}) :: FlyDeployAgent.Failure.t()
  def refused({module, reason}),
    do: %{module: module, reason: "not_loaded", exception: "the code server refused: #{reason}"}
end

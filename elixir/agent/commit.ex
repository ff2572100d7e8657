defmodule FlyDeployAgent.Commit do
  @moduledoc """
  The window: suspend, load what the migrations need, migrate, load everything else, resume, or back. From the first suspend to the
  last resume there is no log, no file, no call but to the code server.

  Until the migrations have succeeded, only they and callers of their own modules run new code.
  """

  alias FlyDeployAgent.{
    Beam,
    Births,
    Cell,
    ConfigChange,
    Fresh,
    LiveView,
    Loader,
    MigrationFailures,
    OldCode,
    Result,
    Rollback,
    Rounds,
    Snapshot,
    Suspension,
    Window
  }

  # Processes that were born during the swap may take this long to migrate.
  @born_ms 20
  # How many code_change calls are sent at first, the others as these succeed: bounds what failing ones, whose answers may hold a state,
  # can copy.
  @outstanding 512
  # Who lingers in code that must be freed has been ended, or came into it a moment ago.
  @at_once {1, &__MODULE__.hopeless?/1}
  # Of those that did not answer, at most this many are told with their stacks.
  @told 100
  # The code server was asked right before the first suspend. After this it is asked once more.
  @just_asked_us 20_000
  @loader_busy %{
    reason: "code_server_busy",
    exception: "the code server did not answer when all had been suspended"
  }

  @doc """
  Runs the window. `pause` is called between two attempts to suspend, while everything runs.
  """
  @spec run(Window.t(), (() -> any)) :: Result.t()
  def run(window, pause \\ fn -> :ok end) do
    window = %{window | targets: Snapshot.with_requests(window.targets, window.dead)}
    Cell.enter(window.cell, :suspending)

    case Suspension.suspend(window, pause) do
      {:ok, window} -> swap(window)
      {:busy, window, failures} -> not_swapped(window, failures)
    end
  end

  defp not_swapped(window, failures) do
    config = if Cell.at(window.cell, :swapping) > 0, do: ConfigChange.take_back(window.config), else: :ok
    window |> Suspension.resume() |> Suspension.await_resumed()
    # Nobody is left out of an upgrade that there is not.
    %Result{
      outcome: :failed,
      targets: window.skipped ++ window.targets,
      failures: failures ++ ConfigChange.not_back(config)
    }
  end

  # -- load what the migrations need

  # While the last were suspended the code server may have become busy: everything would wait for it.
  defp swap(window) do
    if Cell.spent_us(window.cell) < @just_asked_us or Loader.answers?(window.loader_ms),
      do: swap_needed(window),
      else: not_swapped(window, [@loader_busy])
  end

  defp swap_needed(window) do
    Cell.enter(window.cell, :swapping)

    # New code finds new settings, in its migrations as well.
    case ConfigChange.apply_all(window.config) do
      :ok -> load_needed(window)
      {:error, text} -> not_swapped(window, [%{reason: "config_not_applied", exception: text}])
    end
  end

  defp load_needed(window) do
    case load(window) do
      {:ok, migrations} -> migrate(window, migrations)
      {:error, reasons} -> not_swapped(window, Enum.map(reasons, &Rollback.refused/1))
      :guardian_died -> settle(window, [%{reason: "guardian_died", exception: "the guardian died"}])
    end
  end

  # The guardian has the code swapped, which takes one scheduler; meanwhile the migrations are put together.
  defp load(%{guardian: guardian} = window) do
    ref = Process.monitor(guardian)
    send(guardian, {:swap, self(), ref})
    migrations = migrations(window.targets)

    receive do
      {^ref, result} ->
        Process.demonitor(ref, [:flush])
        if result == :ok, do: {:ok, migrations}, else: result

      {:DOWN, ^ref, :process, _, _} ->
        :guardian_died
    end
  end

  # -- migrate

  defp migrate(window, migrations) do
    Cell.enter(window.cell, :migrating)
    asked = Rounds.ask(migrations, @outstanding)
    window = Suspension.include_born_in_the_swap(window)

    case Rounds.collect_working(asked, window.migration_ms, Window.migrated_until(window)) do
      %{others: [], missing: []} = all -> finish(window, all)
      failed -> roll_back(window, failed)
    end
  end

  defp migrations(targets), do: for(%{migrate: requests} <- targets, request <- requests, do: request)

  # Whether its state is old or new already cannot be known. A new one most likely has no clause for it in code_change, and then
  # stays as it is: so a failure is none. Nothing can be taken back any more, so it is the last thing before the resume.
  defp migrate_born(%{born: born, cell: cell}) do
    if Cell.asked?(cell, :born) do
      0
    else
      round = born |> migrations() |> Rounds.ask()
      Cell.asked(cell, :born)
      Rounds.collect(round, @born_ms, System.monotonic_time(:millisecond) + @born_ms).ok
    end
  end

  # Those that were skipped come to this when they are idle, before anything else. How it went comes to this process as
  # `{{:skipped, pid, module}, answer}`, see `FlyDeployAgent.MigrationFailures.skipped/3`.
  defp migrate_skipped(%{skipped: skipped, cell: cell}) do
    for {{pid, module}, request} <- migrations(skipped),
        not Cell.asked?(cell, :skipped),
        do: send(pid, {:system, {self(), {:skipped, pid, module}}, request})

    Cell.asked(cell, :skipped)
  end

  # Within the window only those are looked at that wait, which takes no time: some of them are ended. Whoever computes tells when it gives up
  # its scheduler.
  defp roll_back(window, %{others: others, missing: missing, quiet: quiet} = failed) do
    missing_pids = missing |> Enum.map(&elem(&1, 0)) |> Enum.uniq()
    {hung, late} = if quiet, do: {missing_pids, []}, else: {[], missing_pids}
    {looked_at, further} = Enum.split(missing, @told)
    {waiting, computing} = Enum.split_with(looked_at, &Rounds.waits?/1)
    told = Enum.map(waiting, &MigrationFailures.unanswered(&1, quiet, window))

    Rollback.run(window, %{
      explain: fn ->
        Enum.map(others, &MigrationFailures.answered/1) ++
          told ++
          Enum.map(computing, &MigrationFailures.unanswered(&1, quiet, window)) ++
          Enum.map(further, &MigrationFailures.unlooked(&1, quiet, window))
      end,
      asked: Enum.map(others, fn {{pid, _module}, _answer} -> pid end) ++ missing_pids,
      hung: hung,
      late: late,
      died: dead(failed)
    })
  end

  defp dead(%{dead: keys}), do: keys |> Enum.map(&elem(&1, 0)) |> Enum.uniq()

  # -- load everything else

  defp finish(%{back?: true} = window, migrated) do
    Cell.enter(window.cell, :finishing)
    # They were born in the code that takes states back, which is about to go.
    migrated = %{migrated | ok: migrated.ok + migrate_born(window)}
    ended = Fresh.finish(window.fresh, window.restarting, window.dead)
    killed = window.deferred |> Enum.filter(&:erlang.check_old_code/1) |> Loader.purge(@at_once)
    window |> load_deferred(migrated) |> with_ended(ended ++ killed)
  end

  defp finish(window, migrated) do
    Cell.enter(window.cell, :finishing)
    load_deferred(window, migrated)
  end

  defp load_deferred(window, migrated) do
    case Loader.finish(window.deferred, window.forward) do
      :ok -> render(window, migrated)
      {:error, reasons} -> Rollback.run(window, %{failures: Enum.map(reasons, &Rollback.refused/1)})
    end
  end

  defp with_ended(%Result{outcome: :committed} = result, pids), do: %{result | fresh: Enum.uniq(pids)}
  defp with_ended(%Result{} = result, []), do: result

  defp with_ended(%Result{} = result, pids),
    do: %{result | outcome: :rolled_back_with_losses, killed: Enum.uniq(result.killed ++ pids)}

  @doc false
  def hopeless?(_pid), do: true

  # -- open pages

  # All new code is loaded, all states are migrated, nothing is resumed.
  defp render(%{visible: false} = window, migrated), do: committed(window, migrated, LiveView.none())

  defp render(window, migrated) do
    Cell.enter(window.cell, :rendering)
    # Those that were born during the swap migrate last, and render when they have.
    views = window.held ++ (LiveView.changed(window.targets, window.changed) -- Window.pids(window.born))

    case LiveView.render(views, window.dead, Window.migrated_until(window)) do
      %{failures: []} = rendered ->
        committed(window, migrated, rendered)

      %{failures: failures} = rendered ->
        if Window.all_can_go_back?(window) and OldCode.lingering(window.needed ++ window.deferred) == [] do
          LiveView.drop(views, window.dead)
          Rollback.run(window, %{failures: failures})
        else
          committed(window, migrated, rendered)
        end
    end
  end

  # Everything runs: the views that were busy, or waited for somebody who was suspended, and those that were born meanwhile.
  defp render_late(%{visible: false}, rendered), do: rendered

  defp render_late(window, rendered) do
    {born, _known} = Births.born(window.known)
    others = LiveView.changed(window.skipped ++ window.born, window.changed)

    running =
      (window.views -- window.held) ++
        others ++ (LiveView.views(window.newborn ++ born) -- Window.pids(window.targets))

    LiveView.render_late(rendered, running, window.dead)
  end

  # -- the end

  defp committed(window, migrated, rendered) do
    born = migrate_born(window)
    LiveView.show(rendered, window.dead)

    migrate_skipped(window)
    round = Suspension.resume(window)
    skipped = for busy <- Suspension.busy(window.skipped, window), do: %{busy | reason: "skipped"}
    Suspension.await_resumed(round)
    rendered = render_late(window, rendered)

    %Result{
      outcome: :committed,
      targets: window.targets,
      skipped: window.skipped,
      failures: skipped ++ rendered.failures,
      migrated: migrated.ok + born,
      died: dead(migrated),
      views: length(rendered.done)
    }
  end

  # -- the guardian's part

  @doc """
  Ends the window of an agent that died in it: nothing swapped, or all swapped and migrated, is finished; anything between is
  taken back. Gives what `run/2` gives.
  """
  @spec settle(Window.t()) :: Result.t()
  def settle(window),
    do: settle(window, [%{reason: "agent_died", exception: "the agent died inside the window"}])

  defp settle(window, died) do
    # The code server may still be carrying out a dead process' request.
    Loader.sync()

    case Cell.step(window.cell) do
      step when step in [:finishing, :rendering] ->
        left = Enum.reject(window.deferred, &swapped?(&1, window))
        skipped = Snapshot.with_requests(window.skipped, window.dead)
        born = Snapshot.with_requests(window.born, window.dead)
        window = Suspension.hold_views(%{window | deferred: left, skipped: skipped, born: born})
        finish(window, %{ok: 0, dead: []})

      step when step in [:resuming, :done] ->
        resumed(window, outcome_so_far(window.cell))

      step ->
        if step in [:migrating, :rolling_back] or Enum.any?(window.needed, &swapped?(&1, window)),
          do: Rollback.run(window, %{failures: died}),
          else: not_swapped(window, died)
    end
  end

  defp resumed(window, :rolled_back) do
    killed = Rollback.resume(window) ++ Rollback.drop_added(window)
    outcome = if killed == [], do: :rolled_back, else: :rolled_back_with_losses
    %Result{outcome: outcome, targets: window.targets, skipped: window.skipped, killed: killed}
  end

  defp resumed(window, outcome) do
    window |> Suspension.resume() |> Suspension.await_resumed()
    rendered = if outcome == :committed, do: render_again(window), else: LiveView.none()

    %Result{
      outcome: outcome,
      targets: window.targets,
      skipped: window.skipped,
      failures: rendered.failures,
      views: length(rendered.done)
    }
  end

  # Nobody has written down who had rendered, and who could not.
  defp render_again(window), do: render_late(%{window | born: window.targets, held: []}, LiveView.none())

  defp outcome_so_far(cell) do
    cond do
      Cell.at(cell, :rolling_back) > 0 -> :rolled_back
      Cell.at(cell, :migrating) > 0 -> :committed
      true -> :failed
    end
  end

  defp swapped?(module, window) do
    {_old, new} = Map.fetch!(window.md5, module)
    Beam.loaded_md5(module) == new
  end
end

defmodule FlyDeployAgent.Suspension do
  @moduledoc """
  Suspends the processes of a window, and resumes them.

  Every suspend that was sent is matched by a resume that does not wait for the suspend's answer: a busy process
  finds both in its mailbox.
  """

  alias FlyDeployAgent.{
    Births,
    Cell,
    Failure,
    Findings,
    LiveView,
    Origin,
    Processes,
    Rounds,
    Skipping,
    Snapshot,
    Window
  }

  @attempts 3
  # A supervisor may take this long to suspend.
  @births_ms 50
  # Between two attempts everything runs, so that blocked calls can end.
  @pause_ms 100
  # Processes that were born during the swap may take this long to suspend.
  @born_ms 20
  # So often those are looked for that were born meanwhile. Where more are born all the time, the look after the swap finds them.
  @looks 3
  # Resuming is a matter of microseconds; one that is stuck finds its resume in the mailbox.
  @resume_ms 1_000
  @resumed_ms 5_000
  # Why a busy process is not left out where it was allowed.
  @kept ", and cannot be left out: the new code might handle something else with its state before it is migrated"
  # Of those that did not suspend, at most this many are told with their stacks.
  @told 100

  @doc """
  Suspends all targets, and those that are born meanwhile. Where some do not suspend, all are resumed; those are suspended first in
  the next attempt, and then they may take longer. `pause` is called between two attempts, when everything runs. The window that comes
  back knows whom it holds; where some stayed busy to the end, nothing is suspended.
  """
  @spec suspend(Window.t(), (() -> any)) :: {:ok, Window.t()} | {:busy, Window.t(), [Failure.t()]}
  def suspend(window, pause), do: attempt(window, [], 1, pause)

  defp attempt(window, callers, attempt, pause) do
    Cell.open(window.cell)
    {first, rest} = split(window.targets, callers)

    # A caller may wait for a supervisor as well.
    with {:ok, window} <- suspend_callers(window, first, attempt),
         window = window |> hold_views() |> hold_births(),
         {:ok, window} <- suspend_round(window, rest, attempt),
         {:ok, window} <- include_newborn(window, attempt, @looks) do
      {:ok, window}
    else
      {:busy, window, missing} ->
        try_again(window, callers, missing, attempt, pause)

      {:kept, window, pids} ->
        {:busy, window, failures} = try_again(window, callers, pids, attempt, pause)
        {:busy, window, for(failure <- failures, do: %{failure | exception: failure.exception <> @kept})}
    end
  end

  defp split(targets, []), do: {[], targets}

  defp split(targets, callers) do
    callers = MapSet.new(callers)
    Enum.split_with(targets, &(&1.pid in callers))
  end

  # A process that will not suspend may be blocked in a call to one that is: resume all, then suspend the callers first.
  defp try_again(window, callers, missing, attempt, pause) when attempt < @attempts do
    release(window)
    pause.()
    Process.sleep(@pause_ms)
    Rounds.drop_late()
    attempt(window, Enum.uniq(missing ++ callers), attempt + 1, pause)
  end

  # To look at those that are busy takes its time: when everything runs.
  defp try_again(window, _callers, missing, _attempt, _pause) do
    release(window)
    {:busy, window, window.targets |> only(missing) |> busy(window)}
  end

  defp suspend_callers(window, [], _attempt), do: {:ok, window}

  # Nothing else is suspended: until the first of them is, this costs nobody anything.
  defp suspend_callers(window, callers, attempt) do
    collected =
      callers |> requests() |> Rounds.ask() |> Rounds.collect_patiently(window.patient_ms, part_ms(window))

    Cell.open(window.cell, collected.since || System.monotonic_time(:microsecond))
    # They have had their time, whoever of them answered last.
    suspended(window, %{collected | quiet: true}, attempt)
  end

  defp suspend_round(window, [], _attempt), do: {:ok, window}

  defp suspend_round(window, targets, attempt) do
    part = part_ms(window)

    collected =
      targets
      |> requests()
      |> Rounds.ask()
      |> Rounds.collect(min(window.suspend_ms, part), System.monotonic_time(:millisecond) + part)

    suspended(window, collected, attempt)
  end

  # One round never takes more than half of the budget, so that something is left for the next attempt.
  defp part_ms(window), do: div(Window.left_ms(window), 2)

  defp requests(targets), do: for(%{suspend: request} <- targets, do: request)

  defp suspended(window, %{dead: dead} = collected, attempt) do
    window = %{window | targets: Window.without(window.targets, dead)}

    case collected do
      %{missing: []} -> {:ok, window}
      # Those that are only slow are not busy.
      %{quiet: true} when window.skip_busy and attempt == @attempts -> skip(window, collected.missing)
      %{missing: missing} -> {:busy, window, missing}
    end
  end

  # Their suspend stays in their mailboxes: when they come to it, they run the old code no further. Where one cannot be left out, none is.
  defp skip(window, pids) do
    case window.targets |> only(pids) |> Skipping.impossible() do
      [] ->
        send(window.guardian, {:skipped, pids})
        {:ok, skip_from(window, pids)}

      kept ->
        {:kept, window, kept}
    end
  end

  @doc "The window without those targets, which it goes on to know as skipped."
  @spec skip_from(Window.t(), [pid]) :: Window.t()
  def skip_from(%{targets: targets, skipped: skipped} = window, pids),
    do: %{window | targets: Window.without(targets, pids), skipped: only(targets, pids) ++ skipped}

  defp only(targets, pids) do
    pids = MapSet.new(pids)
    Enum.filter(targets, &(&1.pid in pids))
  end

  @doc "What is told of targets that would not suspend."
  @spec busy([FlyDeployAgent.Target.t()], Window.t()) :: [Failure.t()]
  def busy(targets, window) do
    for {%{pid: pid, module: module}, n} <- Enum.with_index(targets) do
      %{
        pid: pid,
        name: Findings.name(pid),
        module: module,
        reason: "busy",
        exception: "did not suspend within #{window.suspend_ms} ms",
        stack: if(n < @told, do: Failure.stack_of(pid), else: [])
      }
    end
  end

  # -- views

  @doc "Suspends the views that are no targets. Those that are busy are let go."
  @spec hold_views(Window.t()) :: Window.t()
  def hold_views(window) do
    ms = window.suspend_ms |> min(part_ms(window)) |> max(1)
    %{window | held: LiveView.hold(window.views, window.dead, ms)}
  end

  # Also those that are not held: a guardian does not know who is.
  defp let_views(window), do: Rounds.tell(window.views, window.dead, :resume)

  # -- births

  # A supervisor that waits gives birth to nothing. One that does not wait soon is busy with a birth: it is let go.
  defp hold_births(%{supervisors: pids} = window) do
    until = System.monotonic_time(:millisecond) + @births_ms

    %{dead: dead, missing: busy} =
      pids |> Window.all(:suspend) |> Rounds.ask() |> Rounds.collect(@births_ms, until)

    Rounds.tell(busy, window.dead, :resume)
    %{window | supervisors: pids -- (dead ++ busy)}
  end

  defp let_births(window), do: Rounds.tell(window.supervisors, window.dead, :resume)

  # Processes of the changed modules that were born since they were last looked for.
  defp include_newborn(window, _attempt, 0), do: {:ok, window}

  defp include_newborn(window, attempt, looks) do
    case newborn(window, :born) do
      {[], window} ->
        {:ok, window}

      {targets, window} ->
        with {:ok, window} <- suspend_round(window, targets, attempt),
             do: include_newborn(window, attempt, looks - 1)
    end
  end

  @doc """
  Suspends nobody's children (no supervisor waits) that were born while the code was being swapped. One that is still in its init finds
  the messages when it gets there.
  """
  @spec include_born_in_the_swap(Window.t()) :: Window.t()
  def include_born_in_the_swap(window) do
    {targets, window} = newborn(window, :born_in_the_swap)
    until = System.monotonic_time(:millisecond) + @born_ms
    if targets != [], do: targets |> requests() |> Rounds.ask() |> Rounds.collect(@born_ms, until)
    %{window | born: targets}
  end

  @doc "The processes of changed modules that have not been looked at."
  @spec unknown(Window.t()) :: [FlyDeployAgent.Target.t()]
  def unknown(window) do
    {born, _known} = Births.born(window.known)
    changed(born, window)
  end

  defp changed(born, window) do
    {targets, _others} = Processes.scan(born, window.changed, window.own)
    targets
  end

  defp newborn(window, word) do
    {born, known} = Births.born(window.known)
    unrecorded = Enum.filter(born, &Origin.unrecorded?/1)

    case changed(born, window) do
      [] ->
        {[], window}

      targets ->
        # The guardian must know of them before they are suspended.
        send(window.guardian, {word, targets})
        Enum.each(targets, &Process.monitor(&1.pid))
        targets = Snapshot.with_requests(targets, window.dead)
        # Whoever had not run yet may still come into the old code: it is looked at again.
        late = unrecorded -- Window.pids(targets)
        known = Births.forget(known, late)

        {targets,
         %{
           window
           | known: known,
             newborn: (born -- late) ++ window.newborn,
             targets: targets ++ window.targets
         }}
    end
  end

  # -- resume

  # All of an attempt, without waiting for answers.
  defp release(window) do
    window.targets |> Window.pids() |> Rounds.tell(window.dead, :resume)
    window.skipped |> Window.pids() |> Rounds.tell(window.dead, :resume)
    let_views(window)
    let_births(window)
    Cell.close(window.cell)
  end

  @doc "Resumes all. The window ends with the last resume that is sent. Gives the round of their answers."
  @spec resume(Window.t()) :: Rounds.asked()
  def resume(window) do
    Cell.enter(window.cell, :resuming)
    round = window.targets |> Window.pids() |> Window.all(:resume) |> Rounds.ask()
    window.skipped |> Window.pids() |> Rounds.tell(window.dead, :resume)
    let_views(window)
    let_births(window)
    Cell.enter(window.cell, :done)
    Cell.close(window.cell)
    round
  end

  @doc "Waits until all that were resumed have answered, but not long for those that do not."
  @spec await_resumed(Rounds.asked()) :: Rounds.collected()
  def await_resumed(round),
    do: Rounds.collect(round, @resume_ms, System.monotonic_time(:millisecond) + @resumed_ms)
end

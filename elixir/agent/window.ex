defmodule FlyDeployAgent.Window do
  @moduledoc """
  The window: suspend, swap, migrate, resume, or back. From the first suspend to the last resume there is no log, no
  file, no call but to the code server.

  A window is a map:

    * `cell` – see `FlyDeployAgent.Cell`; `dead` – an ended process
    * `guardian` – its pid; `known` – the processes that have been looked at, see `FlyDeployAgent.Processes.known/1`
    * `supervisors` – those of the targets, so that nothing is born meanwhile
    * `born` – those of the targets that were born during the swap
    * `targets` – see `FlyDeployAgent.Processes`; `changed` – facts of the changed modules, `own` – pids of the agent
    * `swap` – modules to load before the migration, `deferred` – those to load after it, `added` – which of `swap` are new
    * `forward`, `back` – prepared code by module; `md5` – `%{module => {old, new}}`
    * `stand_ins` – see `FlyDeployAgent.CallbackMode`; `restore` – see `restoring/0`
    * `suspend_ms` – how long a process may take to suspend

  Every suspend that was sent is matched by a resume that does not wait for the suspend's answer: a busy process
  finds both in its mailbox.

  Processes that are not suspended run new code between the swap and a rollback; and what a `code_change` does outside of
  its state (ETS, messages) cannot be undone.
  """

  alias FlyDeployAgent.{Beam, CallbackMode, Cell, Failure, Loader, Processes, Rounds}

  @attempts 3
  # A supervisor may take so long to suspend.
  @births_ms 50
  # Between two attempts everything runs, so that blocked calls can end.
  @pause_ms 100
  # Processes that were born during the swap may take so long to suspend, and to migrate.
  @born_ms 20
  # A migration without any answer for this long is given up.
  @migration_ms 5_000
  # Resuming is a matter of microseconds; one that is stuck finds its resume in the mailbox.
  @resume_ms 1_000
  # So many failed processes are asked for their state's shape.
  @asked 100
  # So many code_change are sent at first, the others as these succeed: bounds what failing ones, whose answers may hold a state,
  # can copy.
  @outstanding 512
  # Under which a suspended process keeps the state that it had.
  @aside :"$flydeploy_state"

  @doc """
  Runs the window. Gives `%{outcome, failures, migrated, died, killed, targets}`, outcome committed, rolled_back,
  rolled_back_with_losses or failed (nothing was swapped).
  """
  @spec run(map) :: map
  def run(window) do
    window = %{window | targets: with_requests(window.targets, window.dead)}
    Cell.enter(window.cell, :suspending)

    case suspend(window, [], 1) do
      {:ok, window} -> swap(window)
      {:busy, window, failures} -> resume(window, %{outcome: :failed, failures: failures})
    end
  end

  # -- suspend

  defp suspend(window, callers, attempt) do
    {first, rest} = split(window.targets, callers)

    # A caller may wait for a supervisor as well.
    with {:ok, dead_first} <- suspend_round(window, first),
         window = hold_births(window),
         {:ok, dead_rest} <- suspend_round(window, rest) do
      include_newborn(%{window | targets: without(window.targets, dead_first ++ dead_rest)})
    else
      {:busy, pids} -> try_again(window, callers, pids, attempt)
    end
  end

  # A supervisor that waits gives birth to nothing. One that does not wait soon is busy with a birth: it is let go.
  defp hold_births(%{supervisors: pids} = window) do
    %{dead: dead, missing: busy} = pids |> all(:suspend) |> Rounds.ask() |> Rounds.collect(@births_ms)
    Rounds.tell(busy, window.dead, :resume)
    %{window | supervisors: pids -- (dead ++ busy)}
  end

  defp split(targets, []), do: {[], targets}

  defp split(targets, callers) do
    callers = MapSet.new(callers)
    Enum.split_with(targets, &(&1.pid in callers))
  end

  defp without(targets, []), do: targets

  defp without(targets, dead) do
    dead = MapSet.new(dead)
    Enum.reject(targets, &(&1.pid in dead))
  end

  defp suspend_round(_window, []), do: {:ok, []}

  defp suspend_round(window, targets) do
    case targets |> Enum.map(& &1.suspend) |> Rounds.ask() |> Rounds.collect(window.suspend_ms) do
      %{dead: dead, missing: []} -> {:ok, dead}
      %{missing: missing} -> {:busy, missing}
    end
  end

  # The targets with what the window asks of each: `suspend`, one request, and `migrate`, those for its units. To make those of 50,000
  # processes took 10 to 45 ms, so it is done before the first suspend.
  defp with_requests(targets, dead) do
    # Functions that are sent by name are smaller than closures, and 10,000 processes have to collect less garbage.
    state = Rounds.silent(dead, {:replace_state, &__MODULE__.put_state_aside/1})
    handler = Rounds.silent(dead, {:replace_state, &__MODULE__.put_handler_aside/1})

    for %{pid: pid, module: module, kind: kind, units: units} = target <- targets do
      suspend = suspend_request(pid, either(target, state, handler))
      migrate = for {module, vsn} <- units, do: {{pid, module}, {:change_code, module, vsn, []}}
      %{pid: pid, module: module, kind: kind, units: units, suspend: suspend, migrate: migrate}
    end
  end

  # As soon as a process is suspended, it puts its state aside.
  defp suspend_request(pid, nil), do: {pid, :suspend}
  defp suspend_request(pid, put_aside), do: {pid, :suspend, put_aside}

  defp all(pids, request), do: for(pid <- pids, do: {pid, request})
  defp pids(targets), do: for(%{pid: pid} <- targets, do: pid)

  # A process that will not suspend may be blocked in a call to one that is: resume all, then suspend the callers first.
  defp try_again(window, callers, missing, attempt) do
    failures = busy(missing, window)
    release(window)

    if attempt < @attempts do
      Process.sleep(@pause_ms)
      Rounds.drop_late()
      suspend(window, Enum.uniq(missing ++ callers), attempt + 1)
    else
      {:busy, window, failures}
    end
  end

  defp busy(pids, window) do
    modules = Map.new(window.targets, &{&1.pid, &1.module})

    for pid <- pids do
      %{
        pid: pid,
        module: modules[pid],
        reason: "busy",
        exception: "did not suspend within #{window.suspend_ms} ms",
        stack: stack(pid)
      }
    end
  end

  defp release(window) do
    window.targets |> pids() |> Rounds.tell(window.dead, :resume)
    let_births(window)
  end

  defp let_births(window), do: Rounds.tell(window.supervisors, window.dead, :resume)

  # Processes of the changed modules that were born since they were last looked for.
  defp include_newborn(window) do
    case newborn(window) do
      {[], window} ->
        {:ok, window}

      {targets, window} ->
        case suspend_round(window, targets) do
          {:ok, _dead} -> include_newborn(window)
          {:busy, pids} -> {:busy, window, busy(pids, window)}
        end
    end
  end

  defp newborn(window) do
    {born, known} = Processes.born(window.known)

    case Processes.scan(born, window.changed, window.own) do
      {[], _others} ->
        {[], window}

      {targets, _others} ->
        # The guardian must know of them before they are suspended.
        send(window.guardian, {:born, targets})
        targets = with_requests(targets, window.dead)
        {targets, %{window | known: known, targets: targets ++ window.targets}}
    end
  end

  # -- swap

  defp swap(window) do
    Cell.enter(window.cell, :swapping)

    case load(window) do
      {:ok, migrations} -> migrate(window, migrations)
      {:error, reasons} -> resume(window, %{outcome: :failed, failures: Enum.map(reasons, &refused/1)})
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

  defp refused({module, reason}),
    do: %{module: module, reason: "not_loaded", exception: "the code server refused: #{reason}"}

  # -- migrate

  defp migrate(window, migrations) do
    Cell.enter(window.cell, :migrating)
    asked = Rounds.ask(migrations, @outstanding)
    window = include_born_in_the_swap(window)

    case Rounds.collect(asked, @migration_ms) do
      %{others: [], missing: []} = all -> finish(window, %{migrated: all.ok, died: length(all.dead)})
      failed -> roll_back(window, Enum.map(failed.others, &failure/1) ++ Enum.map(failed.missing, &stuck/1))
    end
  end

  defp migrations(targets), do: for(%{migrate: requests} <- targets, request <- requests, do: request)

  # Nobody's child (no supervisor waits) may be born while the code is being swapped. One that is still in its init finds these
  # messages when it gets there.
  defp include_born_in_the_swap(window) do
    {targets, window} = newborn(window)
    _ = suspend_round(%{window | suspend_ms: @born_ms}, targets)
    Map.put(window, :born, targets)
  end

  # Whether its state is old or new already cannot be known. A new one most likely has no clause for it in code_change, and then
  # stays as it is: so a failure is none. Nothing can be taken back any more, so it is the last thing before the resume.
  defp migrate_born(%{born: born}) do
    %{ok: ok} = born |> migrations() |> Rounds.ask() |> Rounds.collect(@born_ms)
    ok
  end

  # Two different things are remembered of a failure: what is shown, and, by pid, which state's shape to ask for.
  defp failure({{pid, module}, answer}),
    do: answer |> Failure.explain() |> Map.merge(%{pid: pid, module: module})

  defp stuck({pid, module}),
    do: %{
      pid: pid,
      module: module,
      reason: "timeout",
      exception: "code_change did not return",
      stack: stack(pid)
    }

  defp stack(pid) do
    case Process.info(pid, :current_stacktrace) do
      {:current_stacktrace, stack} -> Failure.stack(stack)
      nil -> []
    end
  end

  # -- the modules that were left for last, because a rollback could not have freed them

  defp finish(%{deferred: []} = window, result), do: committed(window, result)

  defp finish(window, result) do
    Cell.enter(window.cell, :finishing)

    case Loader.finish(window.deferred, window.forward) do
      :ok -> committed(window, result)
      {:error, reasons} -> roll_back(window, Enum.map(reasons, &refused/1))
    end
  end

  defp committed(window, result) do
    born = migrate_born(window)
    resume(window, result |> Map.put(:outcome, :committed) |> Map.update(:migrated, born, &(&1 + born)))
  end

  # -- back

  @doc "Loads the old code again, gives every process the state that it had, and resumes all."
  @spec roll_back(map, [map]) :: map
  def roll_back(window, failures) do
    Cell.enter(window.cell, :rolling_back)
    killed = CallbackMode.restore(window)
    {more, loaded} = load_back(window, 3)
    killed = killed ++ more
    tag = make_ref()
    asked = failures |> Enum.take(@asked) |> MapSet.new(& &1[:pid])

    # An agent that died in the swap had not asked for any migration.
    if Cell.at(window.cell, :migrating) > 0 do
      {state, handler} = window.restore.(self(), tag)
      tell_states(window.targets, window.dead, state, handler)
      told = for %{pid: pid, units: [_ | _]} <- window.targets, pid in asked, do: pid
      Rounds.tell(told, window.dead, {:replace_state, telling_shape(self(), tag)})
    end

    result = resume(window, %{killed: killed})
    killed = killed ++ drop_added(window)
    {shapes, lost} = told(tag, %{}, [])
    failures = loaded ++ Enum.map(failures, &Map.put(&1, :state_before, shapes[&1[:pid]]))

    outcome =
      if killed == [] and lost == [] and loaded == [], do: :rolled_back, else: :rolled_back_with_losses

    %{result | outcome: outcome, failures: failures, killed: killed ++ lost}
  end

  # Nothing of the old code knows them, so they need not go before the resume.
  defp drop_added(window), do: window.added |> Enum.filter(&:erlang.module_loaded/1) |> Loader.unload()

  defp load_back(window, attempts) do
    changed = for module <- window.swap, module not in window.added, not old?(module, window), do: module
    killed = Loader.purge(changed)

    case Loader.finish(changed, window.back) do
      :ok ->
        {killed, []}

      {:error, _} when attempts > 1 ->
        with {more, left} <- load_back(window, attempts - 1), do: {killed ++ more, left}

      {:error, reasons} ->
        {killed, Enum.map(reasons, &refused/1)}
    end
  end

  defp told(tag, shapes, lost) do
    receive do
      {^tag, pid, :lost} -> told(tag, shapes, [pid | lost])
      {^tag, pid, shape} -> told(tag, Map.put(shapes, pid, shape), lost)
    after
      0 -> {Map.drop(shapes, lost), Enum.uniq(lost)}
    end
  end

  # -- resume

  defp resume(window, result) do
    Cell.enter(window.cell, :resuming)
    round = window.targets |> pids() |> all(:resume) |> Rounds.ask()
    let_births(window)
    Rounds.collect(round, @resume_ms)
    Cell.enter(window.cell, :done)

    %{outcome: :failed, failures: [], migrated: 0, died: 0, killed: []}
    |> Map.merge(result)
    |> Map.put(:targets, window.targets)
  end

  # -- what the suspended processes do with their states

  @doc "Lets the processes forget the states that they put aside. Outside of the window."
  @spec forget(map, [map]) :: :ok
  def forget(%{dead: dead}, targets) do
    {state, handler} =
      lasting(
        quote do
          {fn state ->
             Process.delete(unquote(@aside))
             state
           end,
           fn {module, id, _} = handler ->
             Process.delete({unquote(@aside), module, id})
             handler
           end}
        end
      )

    tell_states(targets, dead, state, handler)
  end

  @doc """
  Gives a function that gives two: with the first a process takes the state again that it had put aside, with the second a handler of a
  gen_event. Where there is none, the pid hears of it, with the tag. Made before the window.
  """
  @spec restoring() :: (pid, reference -> {(term -> term), (tuple -> term)})
  def restoring do
    lasting(
      quote do
        fn agent, tag ->
          restore = fn slot, current ->
            case Process.get(slot) do
              {:state, state} ->
                state

              nil ->
                send(agent, {tag, self(), :lost})
                current
            end
          end

          {fn state -> restore.(unquote(@aside), state) end,
           fn {module, id, _} = handler -> restore.({unquote(@aside), module, id}, handler) end}
        end
      end
    )
  end

  # A process that is busy, or stuck in its migration, comes to these when the agent and its code may have gone: what is evaluated
  # belongs to no module.
  defp lasting(quoted), do: quoted |> Code.eval_quoted() |> elem(0)

  # Sent without answers: what each process that migrates does with its state, or with those of its handlers.
  defp tell_states(targets, dead, state, handler) do
    state = Rounds.silent(dead, {:replace_state, state})
    handler = Rounds.silent(dead, {:replace_state, handler})
    for target <- targets, message = either(target, state, handler), do: send(target.pid, message)
    :ok
  end

  # What concerns the state of a process that migrates: gen_event calls a function for each of its handlers, with
  # {module, id, state}.
  defp either(%{units: []}, _state, _handler), do: nil
  defp either(%{kind: :gen_event}, _state, handler), do: handler
  defp either(_target, state, _handler), do: state

  @doc false
  def put_state_aside(state), do: put(@aside, state)
  @doc false
  def put_handler_aside({module, id, _} = handler), do: put({@aside, module, id}, handler)

  defp put(slot, state) do
    Process.put(slot, {:state, state})
    state
  end

  defp telling_shape(agent, tag) do
    fn state ->
      send(agent, {tag, self(), Failure.shape(state)})
      state
    end
  end

  # -- the guardian's part

  @doc """
  Ends the window of an agent that died in it: nothing swapped, or all swapped and migrated, is finished; anything between is
  taken back. Gives what `run/1` gives.
  """
  @spec settle(map) :: map
  def settle(window),
    do: settle(window, [%{reason: "agent_died", exception: "the agent died inside the window"}])

  defp settle(window, died) do
    # The code server may still be carrying out a dead process' request.
    Loader.sync()

    case Cell.step(window.cell) do
      :finishing ->
        left = Enum.reject(window.deferred, &swapped?(&1, window))
        finish(%{window | deferred: left, born: []}, %{})

      step when step in [:resuming, :done] ->
        so_far = outcome_so_far(window)
        if so_far == %{outcome: :rolled_back}, do: drop_added(window)
        resume(window, so_far)

      step ->
        if step == :rolling_back or Enum.any?(window.swap, &swapped?(&1, window)),
          do: roll_back(window, died),
          else: resume(window, %{outcome: :failed, failures: died})
    end
  end

  defp outcome_so_far(window) do
    cond do
      Cell.at(window.cell, :rolling_back) > 0 -> %{outcome: :rolled_back}
      Cell.at(window.cell, :migrating) > 0 -> %{outcome: :committed}
      true -> %{outcome: :failed}
    end
  end

  defp old?(module, window) do
    {old, _new} = Map.fetch!(window.md5, module)
    Beam.loaded_md5(module) == old
  end

  defp swapped?(module, window) do
    {_old, new} = Map.fetch!(window.md5, module)
    Beam.loaded_md5(module) == new
  end
end

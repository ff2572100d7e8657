defmodule FlyDeployAgent do
  @moduledoc """
  The agent: one process that owns the upgrade of this VM, from the download to the end. It reads commands (empty folders that
  the console makes in DIR), writes its status there, and ends by itself when nobody asks any more.

      injected → staging → staged → arming → armed → committing → committed | rolled_back | rolled_back_with_losses | failed
      before committing also: aborted | expired | stale. A terminal state never changes.
  """

  alias FlyDeployAgent.{
    Aftermath,
    Arming,
    Commit,
    Failure,
    Fence,
    Files,
    Folder,
    Guardian,
    Haste,
    Json,
    Loader,
    MigrationFailures,
    OnTrial,
    Order,
    Package,
    Report,
    Result,
    Staging,
    State,
    Static,
    Status,
    Watch,
    Window
  }

  import FlyDeployAgent.State,
    only: [end_worker: 1, enter: 3, last_look: 1, look: 1, publish: 1, vitals: 1, work: 2]

  @name :flydeploy_agent
  # The status moves at least this often, outside of the window.
  @heartbeat_ms 2_000
  # What has crashed since the commit is told so soon.
  @news_ms 300
  # In these the processes of the window are watched: until the end, for the health gate.
  @watched [:committed, :rolled_back, :rolled_back_with_losses]
  @terminal [:committed, :rolled_back, :rolled_back_with_losses, :failed, :aborted, :expired, :stale]
  # Freeing the old slots of many modules among many processes takes seconds.
  @freeing_ms 60_000
  @not_freed "freeing the code of the version before took longer than #{div(@freeing_ms, 1_000)} s"
  # A code server that does not answer so soon would keep everything suspended.
  @loader_ms 1_000
  @no_space List.to_string(:file.format_error(:enospc))

  @doc """
  Starts the agent for an encoded order (`FlyDeployAgent.Order`). `sweep` gets agent, guardian and DIR, and cleans up once
  both have ended. Gives a word and JSON, for the console, or `:taken` where the VM has an agent.
  """
  @spec start(binary, (pid, pid, Path.t() | nil -> any)) :: {binary, binary} | :taken
  def start(encoded, sweep) do
    order = Order.decode(encoded)
    caller = self()
    ref = make_ref()

    pid =
      spawn(fn ->
        Process.group_leader(self(), Process.whereis(:init))
        begin(order, sweep, &send(caller, {ref, &1}))
      end)

    monitor = Process.monitor(pid)

    receive do
      {^ref, {:started, about}} ->
        {"started", Json.encode(about)}

      {^ref, :taken} ->
        :taken

      {^ref, {:refused, name, text}} ->
        {"refused", Json.encode(%{name: name, what: text})}

      {:DOWN, ^monitor, :process, _, _} ->
        {"refused", Json.encode(%{name: "agent_error", what: "the agent died while it started"})}
    end
  end

  defp begin(order, sweep, answer) do
    with true <- register(),
         {:fence, :ok} <- {:fence, Fence.pass(order.fence)},
         {:ok, dir} <- Folder.make(order.id) do
      guardian = Guardian.start(self(), &take_over/2)
      sweep.(self(), guardian, dir)
      s = stage(State.fresh(%{order | own: [self(), guardian]}, dir, guardian))
      answer.({:started, State.about(s)})
      run(s)
    else
      false ->
        answer.(:taken)

      {:fence, {:error, newer}} ->
        sweep.(self(), self(), nil)
        answer.({:refused, "superseded", "deploy #{newer} has taken the lock since, and has been in this VM"})

      {:error, text} ->
        sweep.(self(), self(), nil)
        answer.({:refused, named("refused", text), text})
    end
  end

  defp register do
    Process.register(self(), @name)
  rescue
    ArgumentError -> false
  end

  # -- the loop

  # A crash must not be logged: its reason may hold the presigned URL.
  defp run(s) do
    tick(s)
  catch
    :error, reason -> exit({:flydeploy_agent, Failure.explain({:error, {:EXIT, {reason, __STACKTRACE__}}})})
  end

  # Whatever comes meanwhile, the folder is looked at once in a tick.
  defp tick(s) do
    s = s |> obey() |> expire() |> look() |> heartbeat()
    OnTrial.look()
    {ms, s} = State.pause(s)
    Process.send_after(self(), :tick, ms)
    loop(s)
  end

  # Where one step ends and the next begins, both are written at once.
  defp loop(s) do
    receive do
      :tick -> tick(s)
      message -> message |> handle(s) |> loop()
    after
      if(s.news, do: 0, else: :infinity) -> s |> publish() |> loop()
    end
  end

  defp handle({:worker, pid, message}, %{worker: {pid, _}} = s), do: worked(message, s)

  defp handle({:DOWN, ref, :process, pid, _}, %{worker: {pid, ref}} = s),
    do: result({:error, "agent_error", "its worker was killed"}, %{s | worker: nil})

  # Those that the migration has ended by themselves are among them.
  defp handle({:DOWN, _, :process, pid, reason}, %{state: state} = s) when state in @watched,
    do: if(Watch.down(s.watch, pid, reason), do: %{s | crashed: s.crashed + 1}, else: s)

  defp handle({{:skipped, pid, module}, answer}, %{result: %Result{} = result} = s) when answer != :ok do
    failure = MigrationFailures.skipped(pid, module, answer)
    publish(%{s | result: %Result{result | failures: result.failures ++ [failure]}})
  end

  defp handle({:flydeploy_describe, from, ref}, s) do
    send(from, {ref, State.about(s)})
    s
  end

  defp handle(_other, s), do: s

  # What does not fit the state waits, or is too late.
  defp obey(s) do
    ordered = Folder.orders(s.dir)

    cond do
      s.state not in @terminal and ("abort" in ordered or "finish" in ordered) -> abort(s)
      s.state in @terminal and s.worker == nil and "finish" in ordered -> stop(s)
      s.state == :staged and "arm" in ordered -> unless_aborted(s, &arm_unless_refused/1)
      s.state == :armed and "commit" in ordered -> unless_aborted(s, &commit/1)
      true -> s
    end
  end

  # `abort` beats what is there beside it, so it is looked for once more: who has seen `commit` has not missed an `abort` that was sent
  # before it.
  defp unless_aborted(s, obey), do: if(Folder.ordered?(s.dir, "abort"), do: abort(s), else: obey.(s))

  defp expire(s) do
    cond do
      now() < s.deadline -> s
      s.state in @terminal -> s |> end_worker() |> stop()
      s.state == :committing -> s |> end_worker() |> fail("code_server_busy", @not_freed)
      true -> s |> end_worker() |> conclude(:expired)
    end
  end

  defp heartbeat(s) do
    cond do
      now() - s.published > @heartbeat_ms ->
        publish(s)

      now() - s.published > @news_ms and s.state in @watched and Watch.count(s.watch) > s.watch_told ->
        publish(%{vitals(s) | watch_told: Watch.count(s.watch)})

      true ->
        s
    end
  end

  @spec stop(State.t()) :: no_return
  defp stop(s) do
    Watch.close()
    Folder.remove(s.dir)
    if s.guardian != self(), do: Guardian.stop(s.guardian)
    exit(:normal)
  end

  # -- states

  defp stage(s) do
    order = s.order
    dir = s.dir
    s |> enter(:staging, order.staged_ms) |> work(&Staging.run(order, dir, &1))
  end

  # The console does not offer it; whoever orders it all the same is told.
  defp arm_unless_refused(s) do
    case Enum.find(s.staged.findings, &(&1.severity == :refuse)) do
      nil -> arm(s)
      %{name: name, subject: subject, detail: detail} -> fail(s, name, "#{subject} #{detail}")
    end
  end

  defp arm(s) do
    {staged, order} = {s.staged, s.order}

    s
    |> enter(:arming, order.staged_ms)
    |> work(&Staging.phase("arm", &1, fn -> Arming.run(staged, order) end))
  end

  defp abort(s), do: s |> end_worker() |> conclude(:aborted)

  defp fail(s, name, what),
    do: conclude(%{s | error: %{name: named(name, what), what: what}, worker: nil}, :failed)

  # Whichever step finds the disk full: what to do is the same.
  defp named(name, what), do: if(String.contains?(what, @no_space), do: "disk_full", else: name)

  # Every end without a window, or before it.
  defp conclude(s, state) do
    if s.staged, do: Files.clean(s.staged.diff.files, s.order.id)
    enter(s, state, s.order.terminal_ms)
  end

  # -- what the worker tells

  defp worked({:phase, name, status, at, us}, s) do
    phase = %{name: name, at_us: at, us: us, status: status}
    %{s | phases: Enum.reject(s.phases, &(&1.name == name)) ++ [phase], news: true}
  end

  defp worked({:download, bytes}, s) do
    s = %{s | downloaded: bytes}
    if now() - s.published > 200, do: publish(s), else: s
  end

  defp worked({:result, result}, %{worker: {_, ref}} = s) do
    Process.demonitor(ref, [:flush])
    result(result, %{s | worker: nil})
  end

  defp result({:ok, staged}, %{state: :staging} = s),
    do: %{s | staged: staged} |> enter(:staged, s.order.staged_ms) |> tidy()

  defp result({:ok, armed}, %{state: :arming} = s),
    do: %{s | armed: armed} |> enter(:armed, s.order.armed_ms) |> tidy()

  # Freeing takes up to a minute, in which nobody has looked.
  defp result({:ok, :freed}, %{state: :committing} = s),
    do: if(Folder.ordered?(s.dir, "abort"), do: abort(s), else: open_window(s))

  defp result({:stale, text}, s), do: stale(s, text)
  defp result({:report, told}, s), do: publish(%{s | report: told})
  # The report's worker: what has ended stays as it is.
  defp result({:error, _name, text}, %{state: state} = s) when state in @terminal,
    do: publish(%{s | report: text})

  defp result({:error, name, text}, s), do: fail(s, name, text)

  # What its heap has grown to while the plan came and was written is the application's, for as long as the agent waits.
  defp tidy(s) do
    :erlang.garbage_collect()
    s
  end

  defp stale(s, text), do: conclude(%{s | error: %{name: "stale", what: text}}, :stale)

  # -- the commit

  # Nothing is suspended while the old slots are freed: until the window an abort is obeyed.
  defp commit(s) do
    {changes, order} = {s.staged.diff.changes, s.order}
    s = s |> last_look() |> enter(:committing, @freeing_ms)

    if Arming.old_code?(changes),
      do: work(s, fn _tell -> Arming.free_slots(changes, order) end),
      else: open_window(s)
  end

  defp open_window(s) do
    window = Arming.window(s.armed, s.order, s.cell, s.guardian)

    with :ok <- Arming.unchanged(s.staged.diff.changes),
         {:loader, true} <- {:loader, Loader.answers?(@loader_ms)},
         :ok <- Guardian.hold(window, {s, window}, Window.longest_ms(window)) do
      # Before they are resumed: some may end right then.
      Watch.commit(s.watch, owners(window.targets), window.supervisors)
      Enum.each(Window.pids(window.targets) ++ window.views ++ window.supervisors, &Process.monitor/1)
      Package.started(s.order)
      place_early(s)
      result = Haste.run(length(window.targets), fn -> Commit.run(window, fn -> Status.write(s) end) end)
      s = after_window(s, window, result)
      Guardian.let_go(s.guardian)
      s
    else
      {:stale, text} ->
        stale(s, text)

      {:loader, false} ->
        fail(s, "code_server_busy", "the code server did not answer within #{@loader_ms} ms")

      {:error, :guardian_died} ->
        fail(s, "guardian_died", "the guardian was killed before the window")
    end
  end

  # The guardian holds the window by now: whatever happens, they are taken back unless the upgrade stays.
  defp place_early(s) do
    early = Files.early(s.staged.diff.files)
    Files.place(early, s.order.id)
    Static.warm(early)
  end

  # The guardian goes on as the agent, with what the agent knew at the beginning of the window: first under its name, so that no
  # other upgrade begins meanwhile.
  defp take_over({s, window}, settle) do
    register()
    result = settle.()

    Enum.each(
      Window.pids(result.targets ++ result.skipped) ++ window.views ++ window.supervisors,
      &Process.monitor/1
    )

    s |> Map.put(:guardian, self()) |> after_window(window, result) |> run()
  end

  defp after_window(s, window, result) do
    Watch.belong(s.watch, owners(result.targets ++ result.skipped))
    Watch.except(s.watch, result.killed ++ result.fresh)
    if result.outcome == :committed, do: OnTrial.committed(s.order)
    {result, error} = Aftermath.settle(s.armed, s.order, window, result, &Watch.except(s.watch, &1))
    s = enter(%{s | result: result, error: s.error || error}, result.outcome, s.order.terminal_ms)
    Package.tell(s.order, window, result)
    if Report.due?(s.order, result), do: work(s, fn _tell -> {:report, Report.upload(s)} end), else: s
  end

  defp owners(targets), do: for(%{pid: pid, module: module} <- targets, do: {pid, module})

  defp now, do: System.monotonic_time(:millisecond)
end

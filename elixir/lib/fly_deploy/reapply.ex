defmodule FlyDeploy.Reapply do
  @moduledoc false

  # In two parts. `Preparation` does all that may take long or go wrong, in a process of its own that is killed when its
  # time is up: it changes nothing but its own folder. What it leaves to do is short, and is done or undone as a whole.

  alias FlyDeploy.{AppliedChildren, AppliedConfig, Hook, Placement, Preparation, Version}

  require Logger

  @end_within_ms 1_000

  @spec run(atom, timeout) :: :ok
  def run(app, timeout) do
    from = System.monotonic_time(:millisecond)
    Hook.note(app, :running)
    Hook.note_reads()

    case safely(fn -> reapply(app, timeout) end) do
      {:ok, what} ->
        Hook.note(app, :reapplied, what)
        Logger.info("FlyDeploy reapplied #{what} in #{System.monotonic_time(:millisecond) - from} ms")

      {:none, why} ->
        Hook.note(app, :none, why)
        Logger.debug("FlyDeploy: no hot upgrade to reapply: #{why}")

      {:gave_up, text} ->
        Hook.note(app, :gave_up, text)

        Logger.error(
          "FlyDeploy boots this machine's image: #{text}. Deploy an upgrade that boots, or run `flydeploy withdraw`."
        )

      {:error, text} ->
        Hook.note(app, :failed, text)

        Logger.error(
          "FlyDeploy could not reapply the hot upgrade: #{text}. This machine runs its image's own code; " <>
            "once that is fixed, restart it or deploy again."
        )
    end
  end

  defp reapply(app, timeout) do
    dir =
      Path.join(System.tmp_dir!(), "fly_deploy-" <> Base.encode16(:crypto.strong_rand_bytes(8), case: :lower))

    try do
      with {:ok, prepared} <- bounded(&Preparation.run(app, dir, &1), timeout),
           :ok <- apply_all(prepared) do
        %{hot_ref: hot_ref, version: version, id: id} = prepared.upgrade
        Version.upgraded(hot_ref, version, id)
        AppliedConfig.tell(prepared.config)
        AppliedChildren.apply_all(prepared.children, app)
        told = AppliedConfig.told(prepared.config)
        {:ok, "hot upgrade #{version} (#{length(prepared.modules)} modules#{told})"}
      end
    after
      # The application need not wait for that.
      spawn(fn -> File.rm_rf(dir) end)
    end
  end

  # Files before code: if the code server refuses, the old files come back, and if it accepts, nothing can fail any more.
  defp apply_all(prepared) do
    Placement.place(prepared.files, String.slice(prepared.upgrade.sha256, 0, 12), fn ->
      with :ok <- free(prepared.modules),
           do: AppliedConfig.around(prepared.config, fn -> load(prepared.code) end)
    end)
  end

  defp load(code) do
    with {:error, [{module, reason} | _]} <- :code.finish_loading(code),
         do: {:error, "#{inspect(module)} cannot be loaded: #{reason}"}
  end

  # There is old code only where this is not the first upgrade since the VM started.
  defp free(modules) do
    case Enum.find(modules, &(:erlang.check_old_code(&1) and not :code.soft_purge(&1))) do
      nil -> :ok
      module -> {:error, "a process still runs an old version of #{inspect(module)}"}
    end
  end

  @doc """
  Runs `fun` for at most `timeout` milliseconds; it is given a function with which it says what it is doing, and how much longer that may
  take beyond those, `{text, ms}`.
  """
  @spec bounded(((String.t() | {String.t(), non_neg_integer} -> any) -> result), timeout) ::
          result | {:error, String.t()}
        when result: var
  def bounded(fun, timeout) do
    caller = self()
    ref = make_ref()

    {pid, monitor} =
      spawn_monitor(fn ->
        result = safely(fn -> fun.(&send(caller, {ref, :doing, &1})) end)
        send(caller, {ref, :result, result})
      end)

    await(ref, pid, monitor, deadline(timeout), {timeout, "starting"})
  end

  defp longer(:infinity, _ms), do: :infinity
  defp longer(until, ms), do: until + ms

  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: System.monotonic_time(:millisecond) + timeout

  defp left(:infinity), do: :infinity
  defp left(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)

  defp await(ref, pid, monitor, deadline, {timeout, doing}) do
    receive do
      {^ref, :doing, {doing, ms}} ->
        await(ref, pid, monitor, longer(deadline, ms), {longer(timeout, ms), doing})

      {^ref, :doing, doing} ->
        await(ref, pid, monitor, deadline, {timeout, doing})

      {^ref, :result, result} ->
        Process.demonitor(monitor, [:flush])
        result

      {:DOWN, ^monitor, :process, _, _} ->
        {:error, "it was killed while #{doing}"}
    after
      left(deadline) ->
        Process.exit(pid, :kill)
        await_end(monitor)
        flush(ref)
        {:error, "it took longer than #{timeout} ms, and was given up while #{doing}"}
    end
  end

  # Its folder is removed next. What a disk that hangs holds back is not waited for.
  defp await_end(monitor) do
    receive do
      {:DOWN, ^monitor, :process, _, _} -> :ok
    after
      @end_within_ms -> Process.demonitor(monitor, [:flush])
    end
  end

  defp flush(ref) do
    receive do
      {^ref, _, _} -> flush(ref)
    after
      0 -> :ok
    end
  end

  # An exception's own text may hold anything, a key among it: its kind and its place are told.
  defp safely(fun) do
    fun.()
  catch
    kind, reason -> {:error, "#{fault(kind, reason)} in #{place(__STACKTRACE__)}"}
  end

  defp fault(:error, reason), do: inspect(Exception.normalize(:error, reason).__struct__)
  defp fault(kind, _reason), do: "an unexpected #{kind}"

  defp place([{module, fun, arity, _} | _]) do
    arity = if is_list(arity), do: length(arity), else: arity
    Exception.format_mfa(module, fun, arity)
  end

  defp place([]), do: "an unknown place"
end

defmodule Bench.Upgrade do
  @moduledoc """
  What our window is compared with: fly_deploy's sequence, re-created from its description, with log lines as its public source
  (lib/fly_deploy/upgrader.ex) writes them, and the floor. Both go to the other release's code, whose modules lie as files in
  `dir`. They give the microseconds from the first suspend to the last resume.
  """
  require Logger

  @doc """
  fly_deploy: writes the files; then suspends by Tasks, loads one module at a time and all consolidated protocols, calls
  `change_code` one by one, and resumes by Tasks after looking at each status. A line is logged for each process, module and
  protocol if `log`.
  """
  def fly_deploy(dir, log) do
    {modules, processes} = plan(dir)
    write(dir, modules)
    note = if log, do: &Logger.info("[FlyDeploy.Upgrader] #{&1}"), else: fn _ -> :ok end

    timed(fn ->
      in_tasks(processes, fn {pid, module} ->
        :ok = :sys.suspend(pid, 10_000)
        note.("Suspended process #{inspect(pid)} (#{module})")
      end)

      for module <- modules, do: reload(module, :code.which(module), note)
      for path <- protocols(), do: reload(module(path), String.to_charlist(path), note)

      for {pid, module} <- processes do
        :ok = :sys.change_code(pid, module, :undefined, [])
        note.("Upgraded process #{inspect(pid)} (#{module})")
      end

      in_tasks(processes, fn {pid, module} ->
        {:status, ^pid, _, [_, :suspended | _]} = :sys.get_status(pid, 1_000)
        :ok = :sys.resume(pid, 3_000)
        note.("Resumed process #{inspect(pid)} (#{module})")
      end)
    end)
  end

  defp in_tasks(processes, fun),
    do: processes |> Task.async_stream(fun, max_concurrency: 100, timeout: 11_000) |> Stream.run()

  defp reload(module, path, note) do
    note.("Reloading module: #{module}")
    :code.purge(module)
    {:module, ^module} = :code.load_binary(module, path, File.read!(path))
  end

  @doc """
  The floor: three rounds of bare system messages, all sent before the first answer is awaited, and one `finish_loading` of
  what was prepared before.
  """
  def floor(dir) do
    {modules, processes} = plan(dir)
    for module <- modules, do: :code.purge(module)

    {:ok, prepared} =
      :code.prepare_loading(for m <- modules, do: {m, :code.which(m), File.read!(beam(dir, m))})

    write(dir, modules)
    await_collected()
    pids = Enum.map(processes, &elem(&1, 0))

    timed(fn ->
      Process.flag(:priority, :high)
      round(pids, :suspend)
      :ok = :code.finish_loading(prepared)
      for {pid, module} <- processes, do: send(pid, {:system, {self(), :tag}, {:change_code, module, 1, []}})
      collect(pids)
      round(pids, :resume)
    end)
  end

  # A purge goes on after it has returned, as literals are looked for in all heaps: not at the cost of the floor.
  defp await_collected do
    [collector] =
      for p <- Process.list(),
          {:initial_call, {:erts_literal_area_collector, _, _}} <- [Process.info(p, :initial_call)],
          do: p

    await_quiet(collector, nil)
  end

  defp await_quiet(collector, before) do
    case Process.info(collector, :reductions) do
      ^before ->
        :ok

      now ->
        Process.sleep(20)
        await_quiet(collector, now)
    end
  end

  defp round(pids, request) do
    for pid <- pids, do: send(pid, {:system, {self(), :tag}, request})
    collect(pids)
  end

  defp collect(pids), do: for(_ <- pids, do: receive(do: ({:tag, :ok} -> :ok)))

  # In a process of its own, as upgrades run in one: with a fresh heap.
  defp timed(fun) do
    fn ->
      :timer.tc(fun) |> elem(0)
    end
    |> Task.async()
    |> Task.await(:infinity)
  end

  defp plan(dir) do
    modules =
      for m <- Bench.Modules.all(), :code.module_md5(File.read!(beam(dir, m))) != m.module_info(:md5), do: m

    {modules, for({pid, module} <- Bench.Servers.all(), module in modules, do: {pid, module})}
  end

  defp write(dir, modules), do: for(m <- modules, do: File.cp!(beam(dir, m), :code.which(m)))

  defp beam(dir, module), do: Path.join(dir, "#{module}.beam")

  defp protocols,
    do:
      [System.fetch_env!("RELEASE_ROOT"), "releases/*/consolidated/*.beam"] |> Path.join() |> Path.wildcard()

  defp module(path), do: path |> Path.basename(".beam") |> String.to_existing_atom()

  @doc "Frees every old slot: the next upgrade is like the first one."
  def forget_old_code do
    for module <- Bench.Modules.all(), do: :code.purge(module)
    for path <- protocols(), do: :code.purge(module(path))
    :ok
  end

  @doc "What runs: how many modules and states are in which version."
  def versions do
    modules = Enum.frequencies(for m <- Bench.Modules.all(), do: m.version())

    states =
      Enum.frequencies(for {pid, _} <- Bench.Servers.all(), do: GenServer.call(pid, :version, :infinity))

    {modules, states}
  end
end

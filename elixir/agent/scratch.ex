defmodule FlyDeployAgent.Scratch do
  @moduledoc """
  Runs in a scratch VM, see `FlyDeployAgent.ScratchVm`: rehearses there. It is asked:

      {:belongings, %{env:, terms:, tables:}}   what the application has of these
      {:two, [{module, file, old | nil, new}]}    loads the running code of modules, then the new one
      {:load, [module]}                           loads the application's other modules, and remembers which are its own
      {:try, trial, state}                        see `FlyDeployAgent.Trial`
  """

  alias FlyDeployAgent.{Failure, ScratchPort, Trial}

  # 32 MB on 64 bits; binaries are bounded by what the VM may take.
  @heap_words 4 * 1024 * 1024
  # How long a trial may wait for something, may compute, and may take where others have the CPU; and how often it is looked at.
  @idle_ms 2_000
  @cpu_ms 2_000
  @trial_ms 10_000
  @look_ms 100
  @table_ms 500

  @doc "Owns the port, see `FlyDeployAgent.ScratchPort.serve/3`."
  @spec main(port, %{life_ms: pos_integer}) :: no_return
  def main(port, %{life_ms: life_ms}), do: ScratchPort.serve(port, life_ms, &perform/1)

  defp perform({:belongings, %{env: env, terms: terms, tables: tables}}) do
    for {app, values} <- env, {key, value} <- values, do: :application.set_env(app, key, value)
    for {key, value} <- terms, do: :persistent_term.put(key, value)
    for table <- tables, do: table(table)
    :ok
  end

  # Both versions are there, as after the commit, so functions of the running one work as they will then.
  defp perform({:two, modules}) do
    for {module, file, old, new} <- modules, reduce: [] do
      failed ->
        :code.purge(module)
        loaded = for beam <- [old, new], beam != nil, do: :code.load_binary(module, file, beam)
        if Enum.all?(loaded, &match?({:module, _}, &1)), do: failed, else: [module | failed]
    end
  end

  # What is only loaded when it is called is not exported before, which the code that renders components asks for.
  defp perform({:load, modules}) do
    :persistent_term.put(__MODULE__, MapSet.new(modules))
    Enum.each(modules, &:code.ensure_loaded/1)
  end

  defp perform({:try, trial, state}),
    do: trial |> Map.put(:own, :persistent_term.get(__MODULE__, MapSet.new())) |> tried(state)

  # As in the application, it belongs to a process that lives.
  defp table({name, options, rows}) do
    asker = self()

    if :ets.info(name) == :undefined do
      spawn(fn ->
        :ets.new(name, [:named_table, :public | options])
        :ets.insert(name, rows)
        send(asker, :made)
        Process.sleep(:infinity)
      end)

      receive do: (:made -> :ok), after: (@table_ms -> :ok)
    end
  end

  # In a process of its own, as it may wait, compute without end, or fill its heap.
  defp tried(trial, state) do
    asker = self()
    tag = make_ref()

    {pid, monitor} =
      :erlang.spawn_opt(fn -> send(asker, {tag, Trial.run(trial, :erlang.binary_to_term(state))}) end, [
        :monitor,
        max_heap_size: %{size: @heap_words, kill: true, error_logger: false}
      ])

    told = await(%{trial: trial, pid: pid, tag: tag, monitor: monitor, since: now(), cpu: cpu_ms()}, 0)
    Process.demonitor(monitor, [:flush])
    Process.exit(pid, :kill)
    told
  end

  # Niced beside a busy application it gets little of the CPU: what counts is what it has used.
  defp await(%{pid: pid, tag: tag, monitor: monitor} = tried, idle_ms) do
    receive do
      {^tag, told} ->
        told

      {:DOWN, ^monitor, :process, _, :killed} ->
        endless(tried, "it took more than 32 MB of memory, or was killed", [])

      # What the application's code raises is told; this is the rehearsal's own fault.
      {:DOWN, ^monitor, :process, _, reason} ->
        {:needs, "a rehearsal that does not fail itself with #{Failure.shape(reason)}"}
    after
      @look_ms ->
        idle_ms = if waits?(pid), do: idle_ms + @look_ms, else: 0

        if idle_ms >= @idle_ms or cpu_ms() - tried.cpu >= @cpu_ms or now() - tried.since >= @trial_ms,
          do: endless(tried, "it did not return within #{div(@idle_ms, 1_000)} s", stack(pid)),
          else: await(tried, idle_ms)
    end
  end

  defp endless(%{trial: trial}, what, stack), do: Trial.endless(trial, what, stack)

  defp waits?(pid), do: Process.info(pid, :status) == {:status, :waiting}
  defp cpu_ms, do: :erlang.statistics(:runtime) |> elem(0)
  defp now, do: System.monotonic_time(:millisecond)

  defp stack(pid) do
    case Process.info(pid, :current_stacktrace) do
      {:current_stacktrace, stack} -> stack
      nil -> []
    end
  end
end

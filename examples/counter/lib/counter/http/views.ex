defmodule Counter.HTTP.Views do
  @moduledoc "What the endpoint shows, as terms that `Counter.JSON` encodes."

  alias Counter.{Describe, Gate, Heartbeat, Hits, Journal, State, Tally, Upgrades, Version}

  def versions do
    %{
      app: "counter",
      version: Version.number(),
      started_version: List.to_string(Application.spec(:counter, :vsn)),
      node: Node.self(),
      otp_release: List.to_string(:erlang.system_info(:otp_release)),
      elixir: System.version(),
      static: static_version(),
      fly_deploy: FlyDeploy.current_vsn(),
      upgrades: Upgrades.all(),
      modules: Map.new(loaded_modules(), &{inspect(&1), module(&1)})
    }
  end

  # The application's specification is that of the release that booted: it does not know modules that came later.
  defp loaded_modules do
    for {module, _file} <- :code.all_loaded(), String.starts_with?("#{module}.", "Elixir.Counter."), do: module
  end

  defp module(module) do
    %{
      vsn: inspect(hd(module.module_info(:attributes)[:vsn])),
      md5: Base.encode16(module.module_info(:md5), case: :lower),
      old_code: :erlang.check_old_code(module)
    }
  end

  # Only a release has the static files of its version; under mix there are the shared ones.
  defp static_version do
    case File.read(Application.app_dir(:counter, "priv/static/version.txt")) do
      {:ok, text} -> String.trim(text)
      {:error, :enoent} -> nil
    end
  end

  @doc """
  What the counters hold. `in_current_shape` counts the states that have exactly the fields of the struct that is
  loaded now. The checksums are SHA-256 over lines "number pid" and "number count", by number.
  """
  def counters(full?) do
    states = Counter.states()
    fields = State |> struct() |> Map.keys()

    summary = %{
      number: length(states),
      sum: states |> Enum.map(fn {_, _, state} -> state.count end) |> Enum.sum(),
      shapes: states |> Enum.frequencies_by(fn {_, _, state} -> state.shape end),
      sum_of_shapes: states |> Enum.map(fn {_, _, state} -> state.shape end) |> Enum.sum(),
      current_shape: struct(State).shape,
      in_current_shape: Enum.count(states, fn {_, _, state} -> Map.keys(state) == fields end),
      pids_checksum: checksum(states, fn {number, pid, _} -> "#{number} #{:erlang.pid_to_list(pid)}\n" end),
      counts_checksum: checksum(states, fn {number, _, state} -> "#{number} #{state.count}\n" end)
    }

    if full?, do: Map.put(summary, :counters, Enum.map(states, &counter/1)), else: summary
  end

  defp counter({number, pid, state}), do: %{number: number, pid: pid, count: state.count, shape: state.shape}

  defp checksum(states, line), do: Base.encode16(:crypto.hash(:sha256, Enum.map(states, line)), case: :lower)

  def sweep(over_ms) do
    {counters, total} = Counter.sweep(over_ms)
    Tally.add(1)
    %{counters: counters, total: total}
  end

  @doc "Asks the task by a plain message: it speaks no OTP protocol."
  def task do
    pid = Process.whereis(Heartbeat)
    ref = Process.monitor(pid)
    send(pid, {:report, self(), ref})

    receive do
      {^ref, report} ->
        Process.demonitor(ref, [:flush])
        Map.put(report, :pid, pid)

      {:DOWN, ^ref, :process, ^pid, reason} ->
        exit(reason)
    after
      5_000 -> exit({:timeout, Heartbeat})
    end
  end

  @doc "Starts the task afresh, in the code that is loaded now: the way out of lingering in old code."
  def restart_task do
    :ok = Supervisor.terminate_child(Counter.Supervisor, Heartbeat)
    {:ok, pid} = Supervisor.restart_child(Counter.Supervisor, Heartbeat)
    %{pid: pid}
  end

  def statem, do: Map.put(Gate.report(), :pid, Process.whereis(Gate))

  def agent, do: %{sweeps: Tally.sum(), pid: Process.whereis(Tally)}

  def events, do: Map.put(Journal.report(), :pid, Process.whereis(Journal))

  def ets, do: %{hits: Hits.all(), owner: Process.whereis(Hits)}

  def protocol do
    {:ok, pid} = Counter.fetch(1)
    {:consolidated, implementations} = Describe.__protocol__(:impls)

    %{
      implementations: implementations |> Enum.map(&inspect/1) |> Enum.sort(),
      integer: Describe.describe(7),
      state: Describe.describe(Counter.Server.state(pid))
    }
  end
end

defmodule FlyDeploy.Survival do
  @moduledoc false

  # Finds out whether a boot has lasted (FlyDeploy.BootCount): for a minute, or until it was ended in good order. A boot that crashes
  # ends this process as well, and the count stays.

  use GenServer, restart: :temporary

  alias FlyDeploy.{BootCount, Settings}

  @lasts_ms 60_000
  # While a machine stops, its storage is not waited for any longer.
  @stop_ms 2_000

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, name: __MODULE__)

  @doc "Whether there is somebody who finds it out."
  @spec ready?() :: boolean
  def ready?, do: Process.whereis(__MODULE__) != nil

  @doc "This boot was counted."
  @spec watch(BootCount.t()) :: :ok
  def watch(count), do: GenServer.cast(__MODULE__, {:watch, count})

  @impl true
  def init(opts) do
    # As it is told to end, while others crash.
    Process.flag(:trap_exit, true)

    {:ok,
     %{count: nil, lasts_ms: opts[:lasts_ms] || @lasts_ms, stopping?: opts[:stopping?] || (&stopping?/0)}}
  end

  @impl true
  def handle_cast({:watch, count}, s) do
    Process.send_after(self(), :lasted, s.lasts_ms)
    {:noreply, %{s | count: count}}
  end

  @impl true
  def handle_info(:lasted, s) do
    count = s.count
    {_, monitor} = spawn_monitor(fn -> settle(&BootCount.lasted/2, count) end)
    {:noreply, Map.put(s, :settling, monitor)}
  end

  def handle_info({:DOWN, monitor, :process, _, reason}, %{settling: monitor} = s) do
    if reason == :settled do
      {:noreply, %{s | count: nil}}
    else
      # Nothing else knows that this boot has lasted.
      Process.send_after(self(), :lasted, s.lasts_ms)
      {:noreply, s}
    end
  end

  def handle_info(_other, s), do: {:noreply, s}

  @impl true
  def terminate(_reason, %{count: nil}), do: :ok

  def terminate(_reason, s) do
    if s.stopping?.() do
      {pid, monitor} = spawn_monitor(fn -> settle(&BootCount.forget/2, s.count) end)

      receive do
        {:DOWN, ^monitor, :process, _, _} -> :ok
      after
        @stop_ms -> Process.exit(pid, :kill)
      end
    end
  end

  # By `init:stop/0`, as for SIGTERM. An application that cannot start, or ends for good, takes the VM down otherwise.
  defp stopping?, do: match?({:stopping, _}, :init.get_status())

  @spec settle((Settings.t(), BootCount.t() -> :ok | {:error, String.t()}), BootCount.t()) :: no_return
  defp settle(how, count) do
    with {:ok, settings} <- Settings.load(System.get_env(), Application.get_all_env(:fly_deploy)),
         :ok <- how.(settings, count),
         do: exit(:settled)
  catch
    # An exception's own text may hold anything, a key among it.
    :error, _ -> exit(:failed)
  end
end

defmodule FlyDeploy.Survival do
  @moduledoc false

  # Finds out whether a boot has lasted (FlyDeploy.BootCount): for a minute, or until it was ended in good order. A boot that crashes
  # ends this process as well, and the count stays. Whether a count was written at all need not be known: it is settled the same.

  use GenServer, restart: :temporary

  alias FlyDeploy.{BootCount, Settings}

  @lasts_ms 60_000
  # Storage that refuses is asked again at growing intervals, up to this many times the first one.
  @longest 60
  # While a machine stops, its storage is not waited for any longer.
  @stop_ms 2_000
  # It only keeps what it is told.
  @answers_ms 1_000

  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, name: __MODULE__)

  @doc "Whether there is somebody who finds it out, and this VM's boot has no count of this key yet."
  @spec ready?(String.t()) :: boolean
  def ready?(key) do
    GenServer.call(__MODULE__, {:new?, key}, @answers_ms)
  catch
    :exit, _ -> false
  end

  @doc "This boot is being counted: to be told before the count is written, so that nothing written stays with nobody."
  @spec watch(BootCount.t()) :: :ok
  def watch(count), do: GenServer.cast(__MODULE__, {:watch, count})

  @doc "The upgrade of this id is about to be loaded. A boot that was not told so says nothing of the upgrade when it lasts."
  @spec loading(String.t() | nil) :: :ok
  def loading(id), do: GenServer.cast(__MODULE__, {:loading, id})

  @impl true
  def init(opts) do
    # As it is told to end, while others crash.
    Process.flag(:trap_exit, true)

    {:ok,
     %{
       counts: %{},
       settling: %{},
       lasts_ms: opts[:lasts_ms] || @lasts_ms,
       stopping?: opts[:stopping?] || (&stopping?/0)
     }}
  end

  @impl true
  def handle_call({:new?, key}, _from, s), do: {:reply, not is_map_key(s.counts, key), s}

  @impl true
  def handle_cast({:watch, count}, s) do
    Process.send_after(self(), {:lasted, count.key}, s.lasts_ms)
    {:noreply, put_in(s.counts[count.key], %{count: count, loaded?: false, tries: 0, settled?: false})}
  end

  def handle_cast({:loading, id}, s) do
    counts =
      Map.new(s.counts, fn {key, kept} -> {key, %{kept | loaded?: kept.loaded? or kept.count.id == id}} end)

    {:noreply, %{s | counts: counts}}
  end

  @impl true
  def handle_info({:lasted, key}, s) do
    s = update_in(s.counts[key].tries, &(&1 + 1))
    {_, monitor} = begin(s.counts[key])
    {:noreply, put_in(s.settling[monitor], key)}
  end

  def handle_info({:DOWN, monitor, :process, _, reason}, s) when is_map_key(s.settling, monitor) do
    {key, settling} = Map.pop(s.settling, monitor)
    kept = s.counts[key]

    if reason == :settled do
      {:noreply, %{s | settling: settling, counts: %{s.counts | key => %{kept | settled?: true}}}}
    else
      # Nothing else knows that this boot has lasted.
      Process.send_after(self(), {:lasted, key}, s.lasts_ms * min(kept.tries, @longest))
      {:noreply, %{s | settling: settling}}
    end
  end

  def handle_info(_other, s), do: {:noreply, s}

  @impl true
  def terminate(_reason, s) do
    if s.stopping?.() do
      begun = for {_, %{settled?: false} = kept} <- s.counts, do: begin(kept)
      Process.send_after(self(), :late, @stop_ms)
      for {pid, monitor} <- begun, do: await(pid, monitor)
    end
  end

  defp await(pid, monitor) do
    receive do
      {:DOWN, ^monitor, :process, _, _} -> :ok
      :late -> Process.exit(pid, :kill) && send(self(), :late)
    end
  end

  # By `init:stop/0`, as for SIGTERM. An application that cannot start, or ends for good, takes the VM down otherwise.
  defp stopping?, do: match?({:stopping, _}, :init.get_status())

  # Only a boot whose time is over has been tried before.
  defp begin(%{count: count, loaded?: true, tries: tries}) when tries > 0,
    do: spawn_monitor(fn -> settle(&BootCount.lasted/2, count) end)

  defp begin(%{count: count}), do: spawn_monitor(fn -> settle(&BootCount.forget/2, count) end)

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

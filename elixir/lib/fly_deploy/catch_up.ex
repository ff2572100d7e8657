defmodule FlyDeploy.CatchUp do
  @moduledoc false

  # Notices that this machine may have missed an upgrade, and has somebody look: when the machine has woken from suspension,
  # and, if the application wants that, now and then. This process only looks at clocks: whatever a look does, it does in a
  # process of its own.
  #
  # It is never restarted: nothing of this is worth the application's life.

  use GenServer, restart: :temporary

  alias FlyDeploy.{Hook, Look}
  alias FlyDeployAgent.Release

  require Logger

  @typedoc """
  `:after_suspension`: a machine looks once after it has woken. `:always`: it also looks about every ten minutes.
  """
  @type mode :: :after_suspension | :always | :never

  @key :caught_up
  # How often the clocks are compared.
  @tick_ms 2_000
  # A VM that was merely busy is not taken for one that slept.
  @slept_ms 5_000
  # Machines that wake at the same moment do not look at the same moment.
  @spread_ms 2_000
  @every_ms 600_000
  # After a deploy that is under way, or after a failure that may pass.
  @again_ms 30_000
  @again_at_most_ms 300_000
  # How many looks there are until the next occasion.
  @looks 40
  # A look that hangs is ended: more than all that it waits for.
  @look_ms 900_000

  @type state :: %{
          mode: mode,
          look: (Look.known() -> Look.t()),
          slept_ms: pos_integer,
          at: integer,
          due: integer | nil,
          looks: non_neg_integer,
          worker: {pid, reference} | nil,
          known: Look.known()
        }

  @doc """
  The mode that `config :fly_deploy` asks for.

      iex> FlyDeploy.CatchUp.mode([])
      {:ok, :after_suspension}
      iex> FlyDeploy.CatchUp.mode(catch_up: :always)
      {:ok, :always}
      iex> FlyDeploy.CatchUp.mode(catch_up: true)
      {:error, "catch_up must be :after_suspension, :always or :never, not true"}
  """
  @spec mode(keyword) :: {:ok, mode} | {:error, String.t()}
  def mode(config) do
    case Keyword.get(config, :catch_up, :after_suspension) do
      mode when mode in [:after_suspension, :always, :never] -> {:ok, mode}
      other -> {:error, "catch_up must be :after_suspension, :always or :never, not #{inspect(other)}"}
    end
  end

  @doc """
  Whether a machine was suspended between two looks at the operating system's clock (milliseconds), of which the second was
  due after `after_ms`. A suspended machine's monotonic clock may stand still or not; the time of day goes on, or is set
  when the machine has woken. A clock that is set for another reason costs one look too many.

      iex> FlyDeploy.CatchUp.slept?(1_000, 3_010, 2_000, 5_000)
      false
      iex> FlyDeploy.CatchUp.slept?(1_000, 60_000, 2_000, 5_000)
      true
      iex> FlyDeploy.CatchUp.slept?(60_000, 1_000, 2_000, 5_000)
      false
  """
  @spec slept?(integer, integer, pos_integer, pos_integer) :: boolean
  def slept?(before, now, after_ms, least_ms), do: now - before - after_ms >= least_ms

  @doc "How the last look ended, for `flydeploy status` (hook.exs): nil where nothing watches this machine."
  @spec about() :: %{mode: mode, outcome: atom, text: String.t()} | nil
  def about, do: Application.get_env(:fly_deploy, @key)

  @doc "Outside of Fly, outside of a release, and where the application does not want it, nothing is started."
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, name: opts[:name] || __MODULE__)

  @impl true
  def init(opts) do
    case mode(Keyword.merge(Application.get_all_env(:fly_deploy), opts)) do
      {:error, text} ->
        Logger.error("FlyDeploy does not watch this machine: #{text}")
        :ignore

      {:ok, mode} ->
        if mode == :never or not on_fly?(), do: :ignore, else: {:ok, watch(mode, opts)}
    end
  end

  defp on_fly?, do: Release.root() != nil and System.get_env("FLY_IMAGE_REF", "") != ""

  defp watch(mode, opts) do
    Process.send_after(self(), :tick, @tick_ms)
    note(mode, :watching, "")

    %{
      mode: mode,
      look: opts[:look] || (&Look.run/1),
      slept_ms: @slept_ms,
      at: System.os_time(:millisecond),
      due: next(mode),
      looks: @looks,
      worker: nil,
      known: %{etag: nil, tries: %{}}
    }
  end

  defp next(:always), do: now() + div(@every_ms * (80 + :rand.uniform(40)), 100)
  defp next(_mode), do: nil

  @impl true
  def handle_info(:tick, s) do
    Process.send_after(self(), :tick, @tick_ms)
    {:noreply, s |> notice(System.os_time(:millisecond)) |> look_if_due()}
  end

  def handle_info({pid, result}, %{worker: {pid, monitor}} = s) do
    Process.demonitor(monitor, [:flush])
    {:noreply, looked(result, %{s | worker: nil})}
  end

  def handle_info({:DOWN, monitor, :process, pid, _}, %{worker: {pid, monitor}} = s),
    do: {:noreply, looked({:retry, "the look took too long", nil}, %{s | worker: nil})}

  def handle_info({:late, pid}, %{worker: {pid, _}} = s) do
    Process.exit(pid, :kill)
    {:noreply, s}
  end

  def handle_info(_other, s), do: {:noreply, s}

  # A suspension during a look gets a look of its own.
  defp notice(s, at) do
    if slept?(s.at, at, @tick_ms, s.slept_ms),
      do: %{s | at: at, due: now() + :rand.uniform(@spread_ms), looks: @looks},
      else: %{s | at: at}
  end

  defp look_if_due(%{worker: nil, due: due} = s) when is_integer(due) do
    cond do
      now() < due -> s
      reapplying?() -> s
      true -> %{s | due: nil, worker: look(s.look, s.known)}
    end
  end

  defp look_if_due(s), do: s

  # The startup hook has not ended: what it is about to load is what is recorded.
  defp reapplying?, do: Enum.any?(Hook.calls(), &match?({_, {:running, _}}, &1))

  defp look(look, known) do
    server = self()
    worker = spawn_monitor(fn -> send(server, {self(), safely(fn -> look.(known) end)}) end)
    Process.send_after(server, {:late, elem(worker, 0)}, @look_ms)
    worker
  end

  # An exception's own text may hold anything, a key among it.
  defp safely(fun) do
    fun.()
  catch
    :error, reason ->
      {:retry, "#{inspect(Exception.normalize(:error, reason).__struct__)} in a look at the record", nil}

    kind, _reason ->
      {:retry, "an unexpected #{kind} in a look at the record", nil}
  end

  # What was noted stays true.
  defp looked(:unchanged, s), do: settled(s)

  defp looked({:settled, text, etag}, s) do
    note(s.mode, :settled, text)
    settled(s, etag)
  end

  defp looked({:caught_up, text, etag}, s) do
    note(s.mode, :caught_up, text)
    Logger.info("FlyDeploy: this machine had missed an upgrade, and has caught up: #{text}")
    settled(s, etag)
  end

  defp looked({:failed, text, etag, sha256}, s) do
    note(s.mode, :failed, text)

    if s.known.tries[sha256] != text do
      Logger.error(
        "FlyDeploy: this machine has missed an upgrade, and cannot catch up: #{text}. It runs on as before; " <>
          "upgrade it with `flydeploy hot --resume`, or restart it."
      )
    end

    s |> tried(sha256, text) |> settled(etag)
  end

  defp looked({:wait, text}, s), do: again(s, text)

  defp looked({:retry, text, sha256}, s) do
    if s.looks == @looks, do: Logger.warning("FlyDeploy: this machine cannot catch up now: #{text}")
    s |> tried(sha256, Map.get(s.known.tries, sha256, 0) + 1) |> again(text)
  end

  defp tried(s, nil, _times), do: s
  defp tried(s, sha256, times), do: put_in(s.known.tries[sha256], times)

  defp settled(s, etag), do: settled(put_in(s.known.etag, etag))

  # A suspension during the look has made the next one due.
  defp settled(s), do: %{s | due: s.due || next(s.mode), looks: @looks}

  defp again(%{looks: 1} = s, text) do
    note(s.mode, :gave_up, text)
    settled(s)
  end

  # At growing distances.
  defp again(s, text) do
    note(s.mode, :waiting, text)
    pause = min(@again_ms * (1 + @looks - s.looks), @again_at_most_ms)
    %{s | due: s.due || now() + pause + :rand.uniform(pause), looks: s.looks - 1}
  end

  defp note(mode, outcome, text),
    do: Application.put_env(:fly_deploy, @key, %{mode: mode, outcome: outcome, text: text})

  defp now, do: System.monotonic_time(:millisecond)
end

defmodule FlyDeployAgent.Guardian do
  @moduledoc """
  Holds all that is needed to end a window, and ends it when the agent dies in it or is late. It then goes on as
  the agent. Both killed at the same moment is the one case that nobody covers.

  It also has the code swapped for the agent, which has something else to do meanwhile: so it never settles beside a swap.
  """

  alias FlyDeployAgent.{Cell, Commit, Loader, Rollback, Suspension, Watch}

  @doc """
  Starts the guardian of `agent`. If the agent dies in a window, it calls `takeover.(carry, settle)`; `settle.()` ends the window and
  gives its result.
  """
  @spec start(pid, (term, (() -> FlyDeployAgent.Result.t()) -> any)) :: pid
  def start(agent, takeover) do
    spawn(fn ->
      Process.group_leader(self(), Process.whereis(:init))
      idle(%{agent: agent, monitor: Process.monitor(agent), takeover: takeover})
    end)
  end

  @doc "Hands a window over, before its first suspend. `carry` goes to `takeover`."
  @spec hold(FlyDeployAgent.Window.t(), term, deadline_ms :: pos_integer) :: :ok | {:error, :guardian_died}
  def hold(window, carry, deadline_ms) do
    ref = Process.monitor(window.guardian)
    send(window.guardian, {:hold, self(), ref, window, carry, deadline_ms})

    receive do
      {^ref, :held} ->
        Process.demonitor(ref, [:flush])
        :ok

      {:DOWN, ^ref, :process, _, _} ->
        {:error, :guardian_died}
    end
  end

  @doc "Tells that the window has ended and that the agent has written down how."
  @spec let_go(pid) :: any
  def let_go(guardian), do: send(guardian, :let_go)

  @spec stop(pid) :: any
  def stop(guardian), do: send(guardian, :stop)

  defp idle(%{agent: agent, monitor: monitor} = s) do
    receive do
      {:hold, ^agent, ref, window, carry, deadline_ms} ->
        # In a busy VM it is as much in haste as the agent.
        Process.flag(:priority, :high)
        # What it holds is large: its first garbage collection would fall into the swap.
        :erlang.garbage_collect()
        send(agent, {ref, :held})
        timer = Process.send_after(self(), :late, deadline_ms)
        holding(s, window, carry, timer)

      {:DOWN, ^monitor, :process, _, _} ->
        Watch.close()

      :stop ->
        :ok

      _other ->
        idle(s)
    end
  end

  defp holding(%{agent: agent, monitor: monitor} = s, window, carry, timer) do
    receive do
      {:born, targets} ->
        holding(s, %{window | targets: targets ++ window.targets}, carry, timer)

      {:born_in_the_swap, targets} ->
        holding(s, %{window | targets: targets ++ window.targets, born: targets}, carry, timer)

      {:skipped, pids} ->
        holding(s, Suspension.skip_from(window, pids), carry, timer)

      {:swap, ^agent, ref} ->
        send(agent, {ref, Loader.finish(window.needed, window.forward)})
        holding(s, window, carry, timer)

      :let_go ->
        Process.flag(:priority, :normal)
        Process.cancel_timer(timer)
        idle(s)

      # Where all run again, the agent may be waiting for slow migrations.
      :late ->
        ms = if Cell.step(window.cell) == :done, do: Rollback.late_ms(), else: 0
        holding(s, window, carry, Process.send_after(self(), :too_late, ms))

      :too_late ->
        Process.exit(agent, :kill)
        holding(s, window, carry, timer)

      {:DOWN, ^monitor, :process, _, _} ->
        Process.cancel_timer(timer)
        s.takeover.(carry, fn -> settle(window) end)
    end
  end

  defp settle(window) do
    result = Commit.settle(window)
    Process.flag(:priority, :normal)
    result
  end
end

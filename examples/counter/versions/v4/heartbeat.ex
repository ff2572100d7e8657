defmodule Counter.Heartbeat do
  @moduledoc """
  A task that runs for ever. It is no OTP process: it cannot be suspended, has no `code_change`, and calls itself only
  locally, so it stays in the code it was started in. `stray` counts messages that were not meant for it.
  """

  use Task, restart: :permanent

  @vsn 4
  @interval_ms 100

  def start_link(_arg), do: Task.start_link(__MODULE__, :run, [])

  def run do
    Process.register(self(), __MODULE__)
    beat(0, 0)
  end

  defp beat(ticks, stray) do
    receive do
      {:report, from, ref} ->
        send(from, {ref, %{version: 4, ticks: ticks, stray: stray}})
        beat(ticks, stray)

      _stray ->
        beat(ticks, stray + 1)
    after
      @interval_ms -> beat(ticks + 1, stray)
    end
  end
end

defmodule FlyDeployAgent.Cell do
  @moduledoc """
  What agent and guardian share: the step of the window, written *before* the step begins, and when each step began
  (microseconds since the Unix epoch). Also the status' sequence number, so that a successor goes on counting.
  """

  @steps %{suspending: 1, swapping: 2, migrating: 3, finishing: 4, rolling_back: 5, resuming: 6, done: 7}
  @names Map.new(@steps, fn {name, n} -> {n, name} end)
  @step 1
  @seq 2
  @times 2

  @type step :: :suspending | :swapping | :migrating | :finishing | :rolling_back | :resuming | :done

  @spec new() :: :atomics.atomics_ref()
  def new, do: :atomics.new(@times + map_size(@steps), signed: true)

  @doc "Enters a step. A step that is entered again keeps its first time."
  @spec enter(:atomics.atomics_ref(), step) :: :ok
  def enter(cell, step) do
    n = Map.fetch!(@steps, step)
    if :atomics.get(cell, @times + n) == 0, do: :atomics.put(cell, @times + n, System.os_time(:microsecond))
    :atomics.put(cell, @step, n)
  end

  @doc "The step that was entered last, nil before the first."
  @spec step(:atomics.atomics_ref()) :: step | nil
  def step(cell), do: @names[:atomics.get(cell, @step)]

  @doc "When a step was first entered, 0 if never."
  @spec at(:atomics.atomics_ref(), step) :: non_neg_integer
  def at(cell, step), do: :atomics.get(cell, @times + Map.fetch!(@steps, step))

  @spec next_seq(:atomics.atomics_ref()) :: pos_integer
  def next_seq(cell), do: :atomics.add_get(cell, @seq, 1)

  @doc """
  The window's phases as they went, `%{name, at_us, us, status}`. The second swap, of deferred modules, counts to code_load.
  """
  @spec phases(:atomics.atomics_ref(), outcome :: atom) :: [map]
  def phases(cell, outcome) do
    at = Map.new(@steps, fn {step, _} -> {step, at(cell, step)} end)
    failed = outcome != :committed
    swapped = first([at.swapping, at.resuming])
    migrated = first([at.finishing, at.rolling_back, at.resuming])
    deferred = if at.finishing > 0, do: at.resuming - at.finishing, else: 0

    [
      phase("suspension", at.suspending, swapped, status(failed and at.swapping == 0)),
      phase(
        "code_load",
        at.swapping,
        first([at.migrating, at.rolling_back, at.resuming]) + deferred,
        status(failed and at.migrating == 0)
      ),
      phase("migration", at.migrating, migrated, status(failed)),
      phase("rollback", at.rolling_back, at.resuming, "done"),
      phase("resume", at.resuming, at.done, "done")
    ]
    |> Enum.filter(&(&1.at_us > 0))
  end

  defp phase(name, from, to, status), do: %{name: name, at_us: from, us: max(to - from, 0), status: status}
  defp status(true), do: "failed"
  defp status(false), do: "done"
  defp first(times), do: Enum.find(times, 0, &(&1 > 0))
end

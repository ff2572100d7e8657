defmodule FlyDeployAgent.Cell do
  @moduledoc """
  What agent and guardian share: the step of the window, written *before* the step begins, when each step began
  (microseconds since the Unix epoch), and for how long processes have been suspended. Also the status' sequence number, so that
  a successor goes on counting.
  """

  @names [:suspending, :swapping, :migrating, :finishing, :rendering, :rolling_back, :resuming, :done]
  @steps @names |> Enum.with_index(1) |> Map.new()
  @step 1
  @seq 2
  # When this attempt's processes began to be suspended (monotonic), the spans of all attempts together, and the longest: microseconds.
  @opened 3
  @spent 4
  @longest 5
  # Which migrations have been asked for beside those of the step migrating.
  @asked 6
  @later [:none, :born, :skipped]
  @times 6

  @type t :: :atomics.atomics_ref()
  @type phase :: %{name: binary, at_us: non_neg_integer, us: non_neg_integer, status: binary}
  @type step ::
          :suspending
          | :swapping
          | :migrating
          | :finishing
          | :rendering
          | :rolling_back
          | :resuming
          | :done

  @spec new() :: t
  def new, do: :atomics.new(@times + map_size(@steps), signed: true)

  @doc """
  Begins an attempt of the step suspending: from `since` on, a monotonic time in microseconds, processes are suspended. An attempt
  that is begun again has begun then.
  """
  @spec open(t, since :: integer) :: :ok
  def open(cell, since \\ System.monotonic_time(:microsecond)) do
    :atomics.put(cell, @opened, since)
    :atomics.put(cell, time(:suspending), System.system_time(:microsecond) - span_us(cell))
  end

  @doc "Ends an attempt: everything runs."
  @spec close(t) :: :ok
  def close(cell) do
    span = span_us(cell)
    :atomics.add(cell, @spent, span)
    :atomics.put(cell, @longest, max(span, :atomics.get(cell, @longest)))
    :atomics.put(cell, @opened, 0)
    # A successor that resumes all once more has ended nothing.
    if span > 0, do: :atomics.put(cell, time(:done), :atomics.get(cell, time(:suspending)) + span)
    :ok
  end

  @doc "For how long processes have been suspended, all attempts together, in microseconds."
  @spec spent_us(t) :: non_neg_integer
  def spent_us(cell), do: :atomics.get(cell, @spent) + span_us(cell)

  @doc "For how long the process was suspended that was suspended longest, in microseconds."
  @spec longest_us(t) :: non_neg_integer
  def longest_us(cell), do: :atomics.get(cell, @longest)

  defp span_us(cell) do
    case :atomics.get(cell, @opened) do
      0 -> 0
      opened -> System.monotonic_time(:microsecond) - opened
    end
  end

  @doc "Enters a step. A step that is entered again keeps its first time."
  @spec enter(t, step) :: :ok
  def enter(cell, step) do
    if :atomics.get(cell, time(step)) == 0,
      do: :atomics.put(cell, time(step), System.system_time(:microsecond))

    :atomics.put(cell, @step, Map.fetch!(@steps, step))
  end

  @doc "The step that was entered last, nil before the first."
  @spec step(t) :: step | nil
  def step(cell) do
    case :atomics.get(cell, @step) do
      0 -> nil
      n -> Enum.at(@names, n - 1)
    end
  end

  @doc "Remembers that the migrations have been asked for of those that were born during the swap, or then of those that were skipped."
  @spec asked(t, :born | :skipped) :: :ok
  def asked(cell, which), do: :atomics.put(cell, @asked, later(which))

  @doc "Whether these have been asked for: a successor does not ask twice."
  @spec asked?(t, :born | :skipped) :: boolean
  def asked?(cell, which), do: :atomics.get(cell, @asked) >= later(which)

  defp later(which), do: Enum.find_index(@later, &(&1 == which))

  @doc "When a step was first entered, 0 if never; suspending: when the last attempt began."
  @spec at(t, step) :: non_neg_integer
  def at(cell, step), do: :atomics.get(cell, time(step))

  defp time(step), do: @times + Map.fetch!(@steps, step)

  @spec next_seq(t) :: pos_integer
  def next_seq(cell), do: :atomics.add_get(cell, @seq, 1)

  @doc """
  The window's phases as they went, `%{name, at_us, us, status}`. The second swap, of the modules that no migration needs, counts to
  code_load.
  """
  @spec phases(t, outcome :: atom) :: [phase]
  def phases(cell, outcome) do
    at = Map.new(@steps, fn {step, _} -> {step, at(cell, step)} end)
    failed = outcome != :committed
    swapped = first([at.swapping, at.resuming])
    migrated = first([at.finishing, at.rolling_back, at.resuming])
    loaded = first([at.rendering, at.rolling_back, at.resuming])
    deferred = if at.finishing > 0, do: loaded - at.finishing, else: 0

    [
      phase("suspension", at.suspending, swapped, status(failed and at.swapping == 0)),
      phase(
        "code_load",
        at.swapping,
        first([at.migrating, at.rolling_back, at.resuming]) + deferred,
        status(failed and at.migrating == 0)
      ),
      phase("migration", at.migrating, migrated, status(failed and at.finishing == 0)),
      phase("rollback", at.rolling_back, at.resuming, "done"),
      phase("resume", at.resuming, at.done, "done"),
      phase("liveview", at.rendering, first([at.rolling_back, at.resuming]), status(failed))
    ]
    |> Enum.filter(&(&1.at_us > 0 or &1.name == "liveview"))
  end

  defp phase(name, 0, _to, _status), do: %{name: name, at_us: 0, us: 0, status: "skipped"}

  defp phase(name, from, to, status), do: %{name: name, at_us: from, us: max(to - from, 0), status: status}
  defp status(true), do: "failed"
  defp status(false), do: "done"
  defp first(times), do: Enum.find(times, 0, &(&1 > 0))
end

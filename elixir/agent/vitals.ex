defmodule FlyDeployAgent.Vitals do
  @moduledoc """
  How the VM does, by looks two seconds apart: memory, run queue, processes, the longest mailbox, how busy the schedulers are, and
  how many crashes and restarts there were in the last minute. A look takes about two milliseconds.
  """

  alias FlyDeployAgent.{Supervisors, Watch}

  # How many mailboxes are looked at, at most: of the window's processes, and of those with names.
  @windows 2_000
  @names 500
  @minute_ms 60_000

  @typedoc "`told` is the last look, and `before` the last one before the commit; both nil until there was one."
  @type t :: %{
          told: map | nil,
          before: map | nil,
          wall: [{pos_integer, integer, integer}] | :undefined,
          counts: [{integer, non_neg_integer, non_neg_integer}]
        }

  @doc "Begins. The schedulers count their time for as long as the calling process lives."
  @spec start() :: t
  def start, do: %{told: nil, before: nil, wall: wall(), counts: []}

  @doc "Looks again; of the processes of the window, whose modules are known, the mailboxes too."
  @spec look(t, Watch.t(), [FlyDeployAgent.Target.t()]) :: t
  def look(vitals, table, targets) do
    wall = wall()
    now = {System.monotonic_time(:millisecond), Watch.total(table), Supervisors.count(table)}
    counts = [now | Enum.take_while(vitals.counts, fn {at, _, _} -> elem(now, 0) - at < @minute_ms end)]
    {_, crashes, restarts} = List.last(counts)
    {mailbox, whose} = longest(targets)

    told = %{
      memory: :erlang.memory(:total),
      run_queue: :erlang.statistics(:total_run_queue_lengths),
      processes: :erlang.system_info(:process_count),
      mailbox: mailbox,
      mailbox_of: whose,
      schedulers: busy(vitals.wall, wall),
      crashes: elem(now, 1) - crashes,
      restarts: elem(now, 2) - restarts
    }

    %{vitals | told: told, wall: wall, counts: counts}
  end

  @doc "Keeps the last look as the one before the commit."
  @spec committing(t) :: t
  def committing(vitals), do: %{vitals | before: vitals.told}

  # Who has them counted may have ended: its successor asks anew.
  defp wall do
    with :undefined <- :erlang.statistics(:scheduler_wall_time) do
      :erlang.system_flag(:scheduler_wall_time, true)
      :erlang.statistics(:scheduler_wall_time)
    end
  end

  # Percent of the time of the schedulers that are online; those after them are for long-running native code.
  defp busy(before, now) when is_list(before) and is_list(now) do
    online = :erlang.system_info(:schedulers_online)
    before = Map.new(before, fn {id, active, total} -> {id, {active, total}} end)

    {active, total} =
      for {id, active, total} <- now,
          id <= online,
          {was_active, was} = Map.get(before, id, {0, 0}),
          reduce: {0, 0} do
        {a, t} -> {a + active - was_active, t + total - was}
      end

    if total > 0, do: round(100 * active / total)
  end

  defp busy(_before, _now), do: nil

  defp longest(targets) do
    windows = for %{pid: pid, module: module} <- Enum.take(targets, @windows), do: {pid, module}
    names = for name <- Enum.take(Process.registered(), @names), do: {Process.whereis(name), name}

    {length, name} =
      for {pid, name} when is_pid(pid) <- windows ++ names,
          {:message_queue_len, length} <- [Process.info(pid, :message_queue_len)],
          reduce: {0, nil} do
        {most, _} when length > most -> {length, name}
        longest -> longest
      end

    {length, if(name, do: inspect(name))}
  end
end

defmodule FlyDeployAgent.Renamed do
  @moduledoc """
  Finds out what processes run that replaced what was recorded as their start: Agents name the function that made their state, others
  what they like to be called in reports. Only the loop of their behaviour knows the callback module, and only its backtrace tells.

  Asking all of 500 Agents with 2,000 keys each took a second of their time. So of processes with the same name and the same
  parent only the smallest are asked, and the others are taken to run the same, unless those differ.
  """

  alias FlyDeployAgent.{Backtrace, Rounds}

  # How many of a group, with how many bytes together, are asked at first.
  @sample 50
  @bytes 500_000
  # How long hibernated ones may take to tell.
  @answer_ms 250

  @typedoc "`group` is equal for those that are likely to run the same; one that is `asleep` hibernates and has no stack."
  @type process :: %{pid: pid, asleep: boolean, group: term}
  @type callback :: {:gen_server | :gen_statem, module}

  @doc """
  The behaviour and the callback module of each. One that does not answer, or keeps its module elsewhere, is left out. Those that are
  asleep must know system messages; they wake up for a moment.
  """
  @spec callbacks([process]) :: %{pid => callback}
  def callbacks([]), do: %{}

  def callbacks(processes) do
    groups = processes |> Enum.group_by(& &1.group) |> Map.values() |> Enum.map(&sample/1)
    told = groups |> Enum.flat_map(&elem(&1, 0)) |> ask()
    {alike, differing} = Enum.split_with(groups, fn {asked, _rest} -> alike(asked, told) != nil end)

    by_likeness = for {asked, rest} <- alike, %{pid: pid} <- rest, into: %{}, do: {pid, alike(asked, told)}

    differing
    |> Enum.flat_map(&elem(&1, 1))
    |> ask()
    |> Map.merge(by_likeness)
    |> Map.merge(told)
  end

  # The smallest, and the others.
  defp sample([process]), do: {[process], []}

  defp sample(group) do
    sized = group |> Enum.map(&{memory(&1.pid), &1}) |> Enum.sort_by(&elem(&1, 0))
    totals = Enum.scan(sized, 0, fn {bytes, _}, total -> bytes + total end)
    few = Enum.count(totals, &(&1 <= @bytes)) |> max(1) |> min(@sample)
    sized |> Enum.map(&elem(&1, 1)) |> Enum.split(few)
  end

  defp memory(pid) do
    case Process.info(pid, :memory) do
      {:memory, bytes} -> bytes
      nil -> 0
    end
  end

  defp alike(asked, told) do
    case for %{pid: pid} <- asked, callback = told[pid], uniq: true, do: callback do
      [callback] -> callback
      _ -> nil
    end
  end

  defp ask(processes) do
    {asleep, awake} = Enum.split_with(processes, & &1.asleep)
    inside = for %{pid: pid} <- asleep, do: {pid, &__MODULE__.callback/1}

    told = Rounds.inside(inside, @answer_ms) ++ for(%{pid: pid} <- awake, do: {pid, Backtrace.callback(pid)})

    for {pid, {_, _} = callback} <- told, into: %{}, do: {pid, callback}
  end

  @doc false
  def callback(_state), do: Backtrace.callback(self())
end

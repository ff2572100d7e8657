defmodule FlyDeployAgent.Births do
  @moduledoc """
  Finds the processes that were born since others were looked at: inside the window, so without looking at those again.

  A VM gives its first processes the numbers 0, 1, 2 and so on up to its limit (262,144, from OTP 27 on 1,048,576), and only
  then takes the places of ended ones, in the order in which they ended. So as long as the newest number is below the limit,
  those born since have the numbers between that of one that was born then and one that is born now: there is nothing else
  to look at. After that all processes are listed, which takes 5 ms for 100,000.
  """

  # A process has its number a little before others can see it: this many before the newest are looked at again.
  @unseen 1_000
  # Of more numbers than these a list of all processes is the faster way.
  @range 20_000

  @typedoc """
  The processes that are known, in the order in which the VM lists them, and as a set. `newest` is the number that was given last when
  they were listed, nil where numbers tell nothing; `unseen` are those shortly before it that no process had, and the pids that they
  make; `bits`, see `bits/0`.
  """
  @type known :: %{
          pids: [pid],
          set: MapSet.t(pid),
          bits: 15 | 28,
          newest: non_neg_integer | nil,
          unseen: [{non_neg_integer, pid}]
        }

  @doc "Lists all processes."
  @spec list() :: known
  def list do
    bits = bits()
    newest = newest(bits)
    known = known(Process.list())

    if first?(newest),
      do: %{known | bits: bits, newest: newest, unseen: unseen(newest, bits, known.set)},
      else: known
  end

  @doc "Those of `pids`, in the order of `Process.list/0`. What is born since is found among all processes."
  @spec known([pid]) :: known
  def known(pids), do: %{pids: pids, set: MapSet.new(pids), bits: 28, newest: nil, unseen: []}

  defp unseen(newest, bits, seen),
    do: for({_, pid} = one <- numbered(max(newest - @unseen, 0)..newest, bits), pid not in seen, do: one)

  @doc "The processes that were born since, and what is known then."
  @spec born(known) :: {[pid], known}
  def born(%{newest: nil} = known), do: listed(known)

  def born(%{newest: before, bits: bits} = known) do
    newest = newest(bits)

    if first?(newest) and newest > before and newest - before <= @range,
      do: born_numbered(known, newest),
      else: listed(%{known | newest: nil})
  end

  defp born_numbered(%{newest: before, set: set} = known, newest) do
    candidates = known.unseen ++ numbered((before + 1)..(newest - 1)//1, known.bits)
    {living, unseen} = Enum.split_with(candidates, fn {_, pid} -> Process.alive?(pid) end)
    # Those that were born while the list was made may be in it.
    born = for {_, pid} <- living, pid not in set, do: pid
    unseen = Enum.drop_while(unseen, fn {n, _} -> n < newest - @unseen end)
    {born, %{known | set: Enum.into(born, set), newest: newest, unseen: unseen}}
  end

  @doc "What is known without `pids`, which are found once more."
  @spec forget(known, [pid]) :: known
  def forget(known, []), do: known

  def forget(%{set: set} = known, pids) do
    known = %{known | set: MapSet.difference(set, MapSet.new(pids))}

    if known.newest,
      do: %{known | unseen: Enum.sort(for(pid <- pids, do: {number(pid, known.bits), pid}) ++ known.unseen)},
      else: %{known | pids: known.pids -- pids}
  end

  defp numbered(numbers, bits), do: for(n <- numbers, do: {n, pid(n, bits)})

  # The lists are compared as they lie; a set alone takes milliseconds for 10,000.
  defp listed(known) do
    now = Process.list()
    born = born(now, known.pids, known.set)
    {born, %{known | pids: now, set: Enum.into(born, known.set)}}
  end

  defp born([pid | now], [pid | before], set), do: born(now, before, set)
  defp born([], _before, _set), do: []

  defp born([pid | now], before, set) do
    if pid in set,
      do: born(now, before |> Enum.drop_while(&(&1 != pid)) |> Enum.drop(1), set),
      else: [pid | born(now, before, set)]
  end

  defp first?(number), do: number < :erlang.system_info(:process_limit)

  # "<0.low.high>": how many bits are in low. Up to OTP 25 it was 15.
  defp bits do
    # Of a literal, the compiler would make the pid, or the error.
    _ = "<0.32768.0>" |> String.to_charlist() |> :erlang.list_to_pid()
    28
  rescue
    ArgumentError -> 15
  end

  # The number of a process that is born now, and ends at once.
  defp newest(bits), do: fn -> :ok end |> spawn() |> number(bits)

  defp number(pid, bits) do
    ~c"<0." ++ digits = :erlang.pid_to_list(pid)
    {low, "." <> high} = digits |> List.to_string() |> Integer.parse()
    {high, ">"} = Integer.parse(high)
    Bitwise.bsl(high, bits) + low
  end

  defp pid(number, bits) do
    high = Bitwise.bsr(number, bits)
    low = number - Bitwise.bsl(high, bits)
    :erlang.list_to_pid(~c"<0." ++ Integer.to_charlist(low) ++ ~c"." ++ Integer.to_charlist(high) ++ ~c">")
  end
end

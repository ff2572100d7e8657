defmodule FlyDeployAgent.Queues do
  @moduledoc """
  Notices processes whose mailboxes grow after a commit, by looks a few seconds apart. Those that grew before it as well are not told.
  """

  # At most this many processes are looked at, which takes about a millisecond.
  @most 2_000
  # Messages; fewer are no sign of anything.
  @long 200
  # Looks in a row at which it was longer than at the one before.
  @looks 3
  @told 3

  @typedoc "Of each long mailbox: its length, and at how many looks in a row it has grown. Of those that grew before the commit: `:before`."
  @type t :: %{pid => {non_neg_integer, non_neg_integer} | :before}

  @doc "Looks at the processes of an agent whose state is `s`."
  @spec of(FlyDeployAgent.State.t()) :: t
  def of(%{state: :staged} = s), do: look(s.queues, pids(s.staged), :before)
  def of(%{state: :committed} = s), do: look(s.queues, pids(s.result), :after)
  def of(s), do: s.queues

  defp pids(%{targets: targets}), do: for(%{pid: pid} <- targets, do: pid)

  @doc "Looks at `pids`, before the commit or after it."
  @spec look(t, [pid], :before | :after) :: t
  def look(seen, pids, phase) do
    for pid <- Enum.take(pids, @most),
        {:message_queue_len, length} when length >= @long <- [Process.info(pid, :message_queue_len)],
        into: %{},
        do: {pid, grown(seen[pid], length, phase)}
  end

  defp grown(:before, _length, _phase), do: :before

  defp grown({before, looks}, length, _phase) when length > before and looks + 1 < @looks,
    do: {length, looks + 1}

  defp grown({before, _looks}, length, :before) when length > before, do: :before
  defp grown({before, looks}, length, :after) when length > before, do: {length, looks + 1}
  defp grown(_seen, length, _phase), do: {length, 0}

  @doc "The mailboxes that grow, the longest first, with the modules of their processes."
  @spec told(t, [FlyDeployAgent.Target.t()]) :: [%{module: binary, length: non_neg_integer}]
  def told(seen, _targets) when seen == %{}, do: []

  def told(seen, targets) do
    growing = for {pid, {length, looks}} when looks >= @looks <- seen, into: %{}, do: {pid, length}

    for(
      %{pid: pid, module: module} <- targets,
      length = growing[pid],
      do: %{module: inspect(module), length: length}
    )
    |> Enum.sort_by(&(-&1.length))
    |> Enum.take(@told)
  end
end

defmodule FlyDeployAgent.Rounds do
  @moduledoc """
  System messages in rounds: requests are sent without waiting for the answers to those before.

  A reply carries `{round, key}`, so late answers of an earlier round are never taken for this one's. Keys are pids, or tuples
  that begin with one. A dead process never answers: the living are looked for only when answers pause.
  """

  @quiet_ms 10

  @doc """
  Sends `request` to `pid`; the answer comes to the calling process as `{{round, key}, answer}`.
  """
  @spec ask(pid, reference, term, term) :: any
  def ask(pid, round, key, request), do: send(pid, {:system, {self(), {round, key}}, request})

  @doc "Sends `request`; the answer goes to `dead`, a process that has ended, and is not even copied."
  @spec tell(pid, pid, term) :: any
  def tell(pid, dead, request), do: send(pid, {:system, {dead, :nobody}, request})

  # How many answered `:ok`, what others answered, whose process died, and who has not answered.
  @type collected(key) :: %{ok: non_neg_integer, others: [{key, term}], dead: [key], missing: [key]}

  @doc "Collects the answers of `keys`, for at most `timeout_ms` without progress."
  @spec collect(reference, [key], timeout_ms :: non_neg_integer) :: collected(key) when key: term
  def collect(round, keys, timeout_ms), do: gather(round, [], keys, timeout_ms)

  @doc """
  Asks and collects at the same time, with at most `outstanding` requests under way: each answer lets the next one out, until
  one is not `:ok`.
  """
  @spec pipeline(reference, [{key, term}], pos_integer, timeout_ms :: non_neg_integer) :: collected(key)
        when key: term
  def pipeline(round, requests, outstanding, timeout_ms) do
    {first, rest} = Enum.split(requests, outstanding)
    for {key, request} <- first, do: ask(pid(key), round, key, request)
    gather(round, rest, Enum.map(first, &elem(&1, 0)), timeout_ms)
  end

  defp gather(round, rest, sent, timeout_ms) do
    fast({round, timeout_ms}, rest, sent, length(sent), [], [], tick(round, 0))
  end

  # Until answers pause nobody needs to know whose are missing: they are only counted. One timer for many answers: one for each
  # would cost as much as the answers do.
  defp fast({round, _}, _rest, _sent, 0, answered, others, {timer, _}) do
    :erlang.cancel_timer(timer)

    receive do
      {^round, :tick} -> :ok
    after
      0 -> :ok
    end

    collected(answered, others, [], [])
  end

  defp fast({round, timeout_ms} = r, rest, sent, left, answered, others, {_, before} = tick) do
    receive do
      {{^round, key}, :ok} ->
        case rest do
          [] ->
            fast(r, [], sent, left - 1, [key | answered], others, tick)

          [{next, request} | rest] ->
            ask(pid(next), round, next, request)
            fast(r, rest, [next | sent], left, [key | answered], others, tick)
        end

      {{^round, key}, other} ->
        fast(r, [], sent, left - 1, answered, [{key, other} | others], tick)

      {^round, :tick} when length(answered) + length(others) > before ->
        fast(r, rest, sent, left, answered, others, tick(round, length(answered) + length(others)))

      {^round, :tick} ->
        heard = MapSet.new(answered ++ Enum.map(others, &elem(&1, 0)))
        pending = Enum.reject(sent, &(&1 in heard))
        exact(r, rest, MapSet.new(pending), deadline(timeout_ms), answered, others, [])
    end
  end

  defp tick(round, heard), do: {:erlang.send_after(@quiet_ms, self(), {round, :tick}), heard}

  defp exact({round, timeout_ms} = r, rest, pending, deadline, answered, others, dead) do
    receive do
      {{^round, key}, :ok} ->
        {rest, pending} = next(round, rest, MapSet.delete(pending, key), 1)
        exact(r, rest, pending, deadline(timeout_ms), [key | answered], others, dead)

      {{^round, key}, other} ->
        exact(
          r,
          [],
          MapSet.delete(pending, key),
          deadline(timeout_ms),
          answered,
          [{key, other} | others],
          dead
        )
    after
      @quiet_ms ->
        {living, died} = Enum.split_with(pending, &(&1 |> pid() |> Process.alive?()))
        {rest, pending} = next(round, rest, MapSet.new(living), length(died))
        dead = died ++ dead

        cond do
          MapSet.size(pending) == 0 -> collected(answered, others, dead, [])
          now() >= deadline -> collected(answered, others, dead, living)
          true -> exact(r, rest, pending, deadline, answered, others, dead)
        end
    end
  end

  defp next(round, rest, pending, count) do
    {now, rest} = Enum.split(rest, count)
    for {key, request} <- now, do: ask(pid(key), round, key, request)
    {rest, Enum.into(now, pending, &elem(&1, 0))}
  end

  defp collected(answered, others, dead, missing),
    do: %{ok: length(answered), others: others, dead: dead, missing: missing}

  defp pid(pid) when is_pid(pid), do: pid
  defp pid(key), do: elem(key, 0)

  defp deadline(timeout_ms), do: now() + timeout_ms
  defp now, do: System.monotonic_time(:millisecond)
end

defmodule FlyDeployAgent.Rounds do
  @moduledoc """
  System messages in rounds: all requests are sent before the first answer is awaited.

  A reply carries `{round, key}`, so late answers of an earlier round are never taken for this one's. A dead process never
  answers: the living are looked for only when answers pause.
  """

  @quiet_ms 10

  @doc """
  Sends `request` to `pid`; the answer comes to the calling process as `{{round, key}, answer}`.
  """
  @spec ask(pid, reference, term, term) :: any
  def ask(pid, round, key, request), do: send(pid, {:system, {self(), {round, key}}, request})

  @doc "Sends `request`; the answer goes to `dead`, a process that has ended, and is not even copied."
  @spec tell(pid, pid, term) :: any
  def tell(pid, dead, request), do: send(pid, {:system, {dead, make_ref()}, request})

  @doc """
  Collects the answers of `keys` (pids, or tuples that begin with one) for at most `timeout_ms` without progress. Gives the
  answers as `[{key, answer}]`, the keys whose process died, and those that have not answered.
  """
  @spec collect(reference, [key], timeout_ms :: non_neg_integer) :: {[{key, term}], [key], [key]}
        when key: term
  def collect(round, keys, timeout_ms), do: fast(round, keys, length(keys), timeout_ms, [])

  defp fast(_round, _keys, 0, _timeout_ms, answers), do: {answers, [], []}

  defp fast(round, keys, left, timeout_ms, answers) do
    receive do
      {{^round, key}, answer} -> fast(round, keys, left - 1, timeout_ms, [{key, answer} | answers])
    after
      @quiet_ms ->
        pending = MapSet.difference(MapSet.new(keys), MapSet.new(answers, &elem(&1, 0)))
        exact(round, pending, deadline(timeout_ms), timeout_ms, answers, [])
    end
  end

  defp exact(round, pending, deadline, timeout_ms, answers, dead) do
    receive do
      {{^round, key}, answer} ->
        exact(
          round,
          MapSet.delete(pending, key),
          deadline(timeout_ms),
          timeout_ms,
          [{key, answer} | answers],
          dead
        )
    after
      @quiet_ms ->
        {living, died} = Enum.split_with(pending, &(&1 |> pid() |> Process.alive?()))

        cond do
          living == [] -> {answers, died ++ dead, []}
          now() >= deadline -> {answers, died ++ dead, living}
          true -> exact(round, MapSet.new(living), deadline, timeout_ms, answers, died ++ dead)
        end
    end
  end

  defp pid(pid) when is_pid(pid), do: pid
  defp pid(key), do: elem(key, 0)

  defp deadline(timeout_ms), do: now() + timeout_ms
  defp now, do: System.monotonic_time(:millisecond)
end

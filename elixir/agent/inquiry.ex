defmodule FlyDeployAgent.Inquiry do
  @moduledoc """
  Has many processes look at their own states, few at a time: these run before others that wait for a scheduler. Who is busy has a
  message of it in its mailbox, and is waited for when all others have told.
  """

  alias FlyDeployAgent.Rounds

  @batch 10
  @answer_ms 50
  # Many that are busy would take long: then no more are asked.
  @all_ms 8_000

  @doc """
  What each of `asked`, `{pid, fun}`, tells of its state, see `FlyDeployAgent.Rounds.inside/3`; who of those that live has not told, though there were
  `patience_ms` for all of them together; and how many there was no time to ask.
  """
  @spec all([{pid, (term -> term)}], patience_ms :: non_neg_integer) ::
          {[{pid, term}], silent :: [pid], unasked :: non_neg_integer}
  def all(asked, patience_ms) do
    {told, rounds, unasked} = asked |> Enum.chunk_every(@batch) |> ask(now() + @all_ms, {[], []})
    {further, silent} = wait(Enum.reverse(rounds), now() + patience_ms)
    {told ++ further, silent, unasked}
  end

  # The rounds in which some have not told, with these.
  defp ask([], _deadline, {told, rounds}), do: {told, rounds, 0}

  defp ask([batch | rest] = batches, deadline, {told, rounds}) do
    if now() > deadline do
      {told, rounds, batches |> Enum.map(&length/1) |> Enum.sum()}
    else
      round = Rounds.enter(batch)
      here = Rounds.told(round, length(batch), @answer_ms)
      silent = for({pid, _} <- batch, do: pid) -- for {pid, _} <- here, do: pid
      ask(rest, deadline, {here ++ told, if(silent == [], do: rounds, else: [{round, silent} | rounds])})
    end
  end

  # Those that have died never answer.
  defp wait(rounds, until) do
    for {round, pids} <- rounds, reduce: {[], []} do
      {told, silent} ->
        living = Enum.filter(pids, &Process.alive?/1)
        here = Rounds.told(round, length(living), max(until - now(), 0))
        left = living -- for {pid, _} <- here, do: pid
        {here ++ told, Enum.filter(left, &Process.alive?/1) ++ silent}
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

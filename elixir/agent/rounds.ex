defmodule FlyDeployAgent.Rounds do
  @moduledoc """
  System messages in rounds: requests are sent without waiting for the answers to those before.

  A reply carries a number that no other request of the collecting process has, so late answers of another round are never
  taken for this one's. A number costs nothing in a message, to and fro. Keys are pids, or tuples that begin with one. A dead
  process never answers: the living are looked for only when answers pause.
  """

  @quiet_ms 10
  # How many requests follow an answer.
  @further 2
  # Where the collecting process keeps its next number.
  @next :"$flydeploy_round"

  @type key :: pid | tuple
  # What is asked, and a message that goes right behind it.
  @type request :: {key, asked :: term} | {key, asked :: term, message :: term}
  # The numbers `first` to `next - 1` are sent, those from `stop` on belong to others.
  @type asked :: %{
          first: integer,
          next: integer,
          stop: integer,
          requests: [request],
          rest: [request]
        }
  # How many answered `:ok`, what others answered, whose process died, and who has not answered. `quiet`: the last `:ok` was so long ago
  # that they were given up; otherwise the time was up.
  @type collected :: %{
          ok: non_neg_integer,
          others: [{key, term}],
          dead: [key],
          missing: [key],
          quiet: boolean
        }

  @doc """
  Sends the first `outstanding` of the requests, `{key, request}` or `{key, request, message}`: the message, see `silent/2`, right
  behind the request, as waking a process twice costs twice. While they are collected, by the same process, each `:ok` lets two
  more out: what works is soon asked of all.
  """
  @spec ask([request], pos_integer) :: asked
  def ask(requests, outstanding) do
    count = length(requests)
    first = Process.get(@next, 0)
    Process.put(@next, first + count)
    {next, rest} = send_to(first + min(outstanding, count), first, requests)
    %{first: first, next: next, stop: first + count, requests: requests, rest: rest}
  end

  @doc "Sends all of the requests, see `ask/2`."
  @spec ask([request]) :: asked
  def ask(requests), do: ask(requests, length(requests))

  defp send_to(stop, n, [request | rest]) when n < stop do
    send_one(request, n)
    send_to(stop, n + 1, rest)
  end

  defp send_to(_stop, n, rest), do: {n, rest}

  defp send_one({key, request}, n), do: send(pid(key), {:system, {self(), n}, request})

  defp send_one({key, request, message}, n) do
    send_one({key, request}, n)
    send(pid(key), message)
  end

  @doc "Sends `request` to all, without answers, see `silent/2`."
  @spec tell([pid], pid, term) :: :ok
  def tell(pids, dead, request) do
    message = silent(dead, request)
    Enum.each(pids, &send(&1, message))
  end

  @doc "`request` as a message whose answer goes to `dead`, a process that has ended, and is not even copied."
  @spec silent(pid, term) :: {:system, {pid, :nobody}, term}
  def silent(dead, request), do: {:system, {dead, :nobody}, request}

  @doc """
  Has every process of `asked`, `{pid, fun}`, apply its fun to its own state, which is neither copied nor changed. Gives what they
  told within `timeout_ms`, `[{pid, told}]`, and is done when all have. A gen_event applies it to each of its handlers, as
  `{module, id, state}`; what it makes `:nothing` of is not told; then `count` is `:any`, and the time is waited for. Hibernated ones wake up for a moment.
  """
  @spec inside([{pid, (term -> term)}], timeout_ms :: non_neg_integer, count :: :all | :any) ::
          [{pid, term}]
  def inside(asked, timeout_ms, count \\ :all)
  def inside([], _timeout_ms, _count), do: []

  def inside(asked, timeout_ms, count),
    do: asked |> enter() |> told(if(count == :all, do: length(asked), else: -1), timeout_ms)

  @doc "Has processes look at their own states as `inside/3`, and waits for none of them: `told/3` gives what they tell."
  @spec enter([{pid, (term -> term)}]) :: reference
  def enter(asked) do
    {round, nobody} = {make_ref(), spawn(fn -> :ok end)}
    for {pid, fun} <- asked, do: tell([pid], nobody, {:replace_state, telling(self(), round, fun)})
    round
  end

  defp telling(asker, round, fun) do
    fn state ->
      with told when told != :nothing <- fun.(state), do: send(asker, {round, self(), told})
      state
    end
  end

  @doc "What processes of a round tell within `timeout_ms`, of which `left` have not yet; nobody waits any longer when these have."
  @spec told(reference, left :: integer, timeout_ms :: non_neg_integer) :: [{pid, term}]
  def told(round, left, timeout_ms), do: told_until(round, left, deadline(timeout_ms))

  defp told_until(_round, 0, _deadline), do: []

  defp told_until(round, left, deadline) do
    receive do
      {^round, pid, told} -> [{pid, told} | told_until(round, left - 1, deadline)]
    after
      max(deadline - now(), 0) -> []
    end
  end

  @doc """
  Collects the answers, for at most `timeout_ms` without progress, and not beyond `until`, a monotonic time in milliseconds. What
  follows an answer that is not `:ok` is not sent; when answers pause, all the others are: nobody waits for somebody else's answer.
  """
  @spec collect(asked, timeout_ms :: non_neg_integer, until :: integer | :infinity) :: collected
  def collect(asked, timeout_ms, until \\ :infinity) do
    collect_all(asked, %{quiet_ms: timeout_ms, until: until, patient: false})
  end

  @doc """
  As `collect/3`, but as long as any of those that have not answered computes, nobody is given up before `until`: they share the
  schedulers, and may all be done at the same time.
  """
  @spec collect_working(asked, timeout_ms :: non_neg_integer, until :: integer) :: collected
  def collect_working(asked, timeout_ms, until),
    do: collect_all(asked, %{quiet_ms: timeout_ms, until: until, patient: true})

  defp collect_all(asked, limits),
    do: fast(asked, limits, asked.next, asked.rest, asked.next - asked.first, [], [], tick(asked, 0))

  @typedoc "As `t:collected/0`, and when the first answer came."
  @type collected_since :: %{
          ok: non_neg_integer,
          others: [{key, term}],
          dead: [key],
          missing: [key],
          quiet: boolean,
          since: integer | nil
        }

  @doc """
  As `collect/3`, for requests of which it is known that nobody answers soon: the first answer may take `first_ms`, all others
  together `further_ms` from then on. Also gives `since`, when the first came (monotonic, microseconds), nil if none has.
  """
  @spec collect_patiently(asked, first_ms :: non_neg_integer, further_ms :: non_neg_integer) ::
          collected_since
  def collect_patiently(asked, first_ms, further_ms) do
    alone = %{quiet_ms: first_ms, until: :infinity, patient: false, upto: 1}

    case exact(asked, alone, pending(asked, []), so_far(0)) do
      %{ok: 0} = none ->
        none |> Map.delete(:pending) |> Map.put(:since, nil)

      first ->
        since = System.monotonic_time(:microsecond)
        limits = %{quiet_ms: further_ms, until: now() + further_ms, patient: false}
        so_far = %{so_far(1) | others: first.others, dead: first.dead}
        asked |> exact(limits, first.pending, so_far) |> Map.delete(:pending) |> Map.put(:since, since)
    end
  end

  @doc """
  Takes the late answers of rounds that were given up out of the mailbox: every answer of the next round would be looked for behind
  them.
  """
  @spec drop_late() :: :ok
  def drop_late do
    next = Process.get(@next, 0)

    receive do
      {n, _} when is_integer(n) and n < next -> drop_late()
    after
      0 -> :ok
    end
  end

  # Until answers pause nobody needs to know whose are missing: they are only counted. One timer for many answers: one for each
  # would cost as much as the answers do.
  defp fast(%{first: first} = asked, _, _next, _rest, 0, ok, others, {timer, _}) do
    :erlang.cancel_timer(timer)

    receive do
      {:tick, ^first} -> :ok
    after
      0 -> :ok
    end

    %{ok: length(ok), others: keyed(others, asked), dead: [], missing: [], quiet: false}
  end

  defp fast(%{first: first, stop: stop} = asked, limits, next, rest, left, ok, others, tick) do
    receive do
      {n, :ok} when is_integer(n) and n >= first and n < stop ->
        {further, rest} = send_to(next + @further, next, rest)
        fast(asked, limits, further, rest, left - 1 + further - next, [n | ok], others, tick)

      {n, other} when is_integer(n) and n >= first and n < stop ->
        fast(asked, limits, next, [], left - 1, ok, [{n, other} | others], tick)

      {:tick, ^first} ->
        heard = length(ok) + length(others)

        if heard > elem(tick, 1) and now() < limits.until,
          do: fast(asked, limits, next, rest, left, ok, others, tick(asked, heard)),
          else: slow(%{asked | next: next, rest: rest}, limits, ok, others)
    end
  end

  defp tick(%{first: first}, heard), do: {:erlang.send_after(@quiet_ms, self(), {:tick, first}), heard}

  # From here on it is known who is missing.
  defp slow(asked, limits, ok, others) do
    heard = ok ++ Enum.map(others, &elem(&1, 0))
    so_far = %{so_far(length(ok)) | others: keyed(others, asked)}
    asked |> exact(limits, pending(asked, heard), so_far) |> Map.delete(:pending)
  end

  defp pending(%{first: first, next: next} = asked, heard) do
    heard = MapSet.new(heard)
    numbers = Enum.with_index(asked.requests, fn request, i -> {first + i, elem(request, 0)} end)
    for {n, key} <- numbers, n < next and n not in heard, into: %{}, do: {n, key}
  end

  defp so_far(ok), do: %{ok: ok, others: [], dead: [], heard_at: now(), looked: false}

  defp keyed([], _asked), do: []

  defp keyed(others, %{first: first, requests: requests}) do
    keys = requests |> Enum.map(&elem(&1, 0)) |> List.to_tuple()
    for {n, answer} <- others, do: {elem(keys, n - first), answer}
  end

  # `upto`: ends with that many answers.
  defp exact(_asked, %{upto: upto}, pending, %{ok: upto} = so_far), do: ended(pending, so_far, false)
  defp exact(_asked, _limits, pending, so_far) when pending == %{}, do: ended(pending, so_far, false)

  defp exact(asked, limits, pending, so_far) do
    quiet_at = so_far.heard_at + limits.quiet_ms
    deadline = if limits.patient, do: limits.until, else: min(quiet_at, limits.until)

    receive do
      {n, :ok} when is_map_key(pending, n) ->
        {asked, pending} = further(asked, Map.delete(pending, n), @further)
        exact(asked, limits, pending, %{so_far | ok: so_far.ok + 1, heard_at: now(), looked: false})

      {n, other} when is_map_key(pending, n) ->
        {key, pending} = Map.pop!(pending, n)
        exact(%{asked | rest: []}, limits, pending, %{so_far | others: [{key, other} | so_far.others]})
    after
      if(so_far.looked, do: 0, else: (deadline - now()) |> max(0) |> min(@quiet_ms)) ->
        {living, died} = Enum.split_with(pending, fn {_, key} -> key |> pid() |> Process.alive?() end)
        so_far = %{so_far | dead: Enum.map(died, &elem(&1, 1)) ++ so_far.dead}
        {asked, pending} = further(asked, Map.new(living), length(asked.rest))

        quiet = pending != %{} and now() >= quiet_at and not (limits.patient and computing?(pending))
        # Of those that wait now, some may have answered since the timeout.
        looked = so_far.looked or not limits.patient

        if pending == %{} or (quiet and looked) or now() >= deadline,
          do: ended(pending, so_far, quiet and looked),
          else: exact(asked, limits, pending, %{so_far | looked: quiet})
    end
  end

  # One that has just ended waits for nothing, and is found at the next look.
  defp computing?(pending), do: not Enum.all?(pending, fn {_, key} -> waits?(key) end)

  @doc "Whether a process waits for a message: one that waits for a scheduler does not."
  @spec waits?(key) :: boolean
  def waits?(key), do: Process.info(pid(key), :status) == {:status, :waiting}

  defp ended(pending, so_far, quiet) do
    so_far
    |> Map.drop([:heard_at, :looked])
    |> Map.merge(%{missing: Map.values(pending), quiet: quiet, pending: pending})
  end

  defp further(%{next: next, rest: rest} = asked, pending, count) do
    {now, _} = Enum.split(rest, count)
    {next, rest} = send_to(next + length(now), next, rest)
    sent = now |> Enum.with_index(asked.next) |> Map.new(fn {request, n} -> {n, elem(request, 0)} end)
    {%{asked | next: next, rest: rest}, Map.merge(pending, sent)}
  end

  defp pid(pid) when is_pid(pid), do: pid
  defp pid(key), do: elem(key, 0)

  defp deadline(timeout_ms), do: now() + timeout_ms
  defp now, do: System.monotonic_time(:millisecond)
end

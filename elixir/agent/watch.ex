defmodule FlyDeployAgent.Watch do
  @moduledoc """
  Counts the processes that die with an error, before the commit and after it, by the kind of their crash. It learns of them from
  the errors that are logged, by a handler of its own, and from those that the agent monitors: what was migrated or rendered.

  The handler runs in the processes that log. It is bounded: in what it keeps, and in what it does where thousands crash. What it
  keeps are names of modules and functions, lines, and the kinds of exceptions (`FlyDeployAgent.Crash`).

  The table is the agent's, and its guardian's after it.
  """

  alias FlyDeployAgent.{Crash, Supervisors}

  @handler :flydeploy_watch
  # At most this many crashes are looked at, and this many kinds are kept, before the commit and again after it. Where it is more,
  # the time that was watched ends with the last one that was looked at.
  @looked_at 5_000
  @kinds 200
  # At most this many kinds are told.
  @told 10

  @type t :: :ets.tid()

  @doc "Begins to watch. The table goes to `guardian` when the agent ends."
  @spec open(guardian :: pid) :: t
  def open(guardian) do
    table =
      :ets.new(@handler, [
        :ordered_set,
        :public,
        {:heir, guardian, :watch},
        write_concurrency: true,
        read_concurrency: true
      ])

    :ets.insert(table, [{:since, now()}, {:committed, nil}, {:before, 0}, {:after, 0}])
    renew(table)
    table
  end

  @doc "Puts the handler back where somebody has removed it, as an application does that sets up its log anew."
  @spec renew(t) :: any
  def renew(table) do
    with {:error, _} <- :logger.get_handler_config(@handler),
         do: :logger.add_handler(@handler, __MODULE__, %{level: :error, config: %{table: table}})

    Supervisors.follow(table)
  end

  @doc """
  Says where the application keeps errors out of its log: then only the processes that the agent monitors are seen to crash. A handler of
  one's own hears nothing that the primary level leaves out.
  """
  @spec findings() :: [FlyDeployAgent.Findings.finding()]
  def findings do
    %{level: level} = :logger.get_primary_config()

    if :logger.compare_levels(level, :error) == :gt,
      do: [
        %{
          name: "crashes_unlogged",
          severity: :info,
          subject: "logger",
          detail:
            "the primary log level is #{level}, which leaves errors out: only crashes of processes that migrate, or are rendered, " <>
              "are seen while the upgrade is watched"
        }
      ],
      else: []
  end

  @doc "Ends the watch: the handler is removed."
  @spec close() :: any
  def close do
    Supervisors.close()
    :logger.remove_handler(@handler)
  end

  @doc """
  From now on what crashes counts as after the commit. `owners` are the processes that are watched, with their modules; `supervisors`
  those above them.
  """
  @spec commit(t, [{pid, module}], supervisors :: [pid]) :: any
  def commit(table, owners, supervisors \\ []) do
    belong(table, owners)
    :ets.insert(table, for(pid <- supervisors, do: {{:supervisor, pid}, named(pid)}))
    :ets.insert(table, {:committed, now()})
  end

  @doc "Adds processes that are watched."
  @spec belong(t, [{pid, module}]) :: any
  def belong(table, owners), do: :ets.insert(table, for({pid, module} <- owners, do: {{:owner, pid}, module}))

  @doc "Leaves out processes whose end is told in another way."
  @spec except(t, [pid]) :: any
  def except(table, pids), do: :ets.insert(table, for(pid <- pids, do: {{:except, pid}}))

  @doc "A watched process has ended. Gives whether it has crashed, and was not left out."
  @spec down(t, pid, term) :: boolean
  def down(table, pid, reason) do
    reason = if reason == :shutdown and gave_up?(table, pid), do: :gave_up, else: reason
    crashed = not Crash.orderly?(reason) and not :ets.member(table, {:except, pid})
    if crashed, do: note(table, pid, reason, true, &quiet(owner(table, pid), reason, &1))
    crashed
  end

  # What is killed, or ends with what it is linked to, logs nothing. So nobody has seen whether single ones do so all the time.
  defp quiet({:watched, module}, reason, {_text, []})
       when reason != :gave_up and (not is_tuple(reason) or elem(reason, 0) != :shutdown),
       do: {:quiet, module}

  defp quiet(owner, _reason, _kind), do: owner

  @doc "A child that `module` had started has ended, as its supervisor tells: what `down/3` is after the commit, this is before it."
  @spec ended(t, pid, term, module) :: any
  def ended(table, pid, reason, module) do
    unless Crash.orderly?(reason) or :ets.lookup_element(table, :committed, 2),
      do: note(table, pid, reason, true, fn _kind -> module end)
  end

  # A supervisor ends in the same way when it is told to, and when its children crash more often than it may restart them. It logs
  # the latter before it ends.
  defp gave_up?(table, pid), do: :ets.member(table, {:gave_up, pid})

  defp named(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} -> name
      _ -> nil
    end
  end

  @doc "How many have crashed since the commit, in whatever code. It grows with each."
  @spec count(t) :: non_neg_integer
  def count(table), do: :ets.lookup_element(table, :after, 2)

  @doc "How many have crashed since the watch began, likewise."
  @spec total(t) :: non_neg_integer
  def total(table), do: count(table) + :ets.lookup_element(table, :before, 2)

  # -- the handler

  @doc "See `:logger`: called in the process that logs."
  @spec log(:logger.log_event(), :logger.handler_config()) :: any
  def log(event, %{config: %{table: table}}) do
    case Crash.reported(event) do
      {pid, reason, ended?} ->
        note(table, pid, reason, ended?, fn _kind -> owner(table, pid) || started_as(pid) end)

      nil ->
        :ok
    end
  catch
    # Its table is gone: so is the agent.
    _, _ -> :ok
  end

  defp started_as(pid) when pid == self() do
    with {module, _, _} <- Process.get(:"$initial_call"), do: module
  end

  defp started_as(_pid), do: nil

  # -- counting

  defp note(table, pid, reason, ended?, owner) do
    phase = if :ets.lookup_element(table, :committed, 2), do: :after, else: :before

    cond do
      :ets.lookup_element(table, phase, 2) >= @looked_at ->
        :ets.update_counter(table, phase, 1)
        :ets.insert_new(table, {{:full, phase}, now()})

      # Of a process that ends several may tell.
      not ended? or :ets.insert_new(table, {{:seen, pid}}) ->
        :ets.update_counter(table, phase, 1)
        kind = Crash.kind(reason)
        keep(table, {owner.(kind), kind}, phase)

      true ->
        :ok
    end
  end

  defp owner(table, pid) do
    case :ets.lookup(table, {:owner, pid}) do
      [{_, module}] -> {:watched, module}
      [] -> supervisor(table, pid)
    end
  end

  defp supervisor(table, pid) do
    case :ets.lookup(table, {:supervisor, pid}) do
      [{_, name}] -> {:watched, name || Supervisor}
      [] -> nil
    end
  end

  defp keep(table, kind, phase) do
    key = {:kind, kind}

    if :ets.member(table, key) or
         :ets.update_counter(table, {:kinds, phase}, 1, {{:kinds, phase}, 0}) <= @kinds,
       do: :ets.update_counter(table, key, {column(phase), 1}, {key, 0, 0})
  end

  defp column(:before), do: 2
  defp column(:after), do: 3

  # -- what is told

  @doc """
  What has crashed in code of the modules `changed`, and for how long was watched before the commit and since, in milliseconds. First comes
  what is most above what was before: there is no room for all. Of each kind: the module, the exception, where it was raised, a stack, how
  many since the commit, how many of these were processes that are watched, how many before, and how many of that module had crashed
  in other ways before. `kinds`: how many kinds there are, with those that have not come again. Of supervisors, see
  `FlyDeployAgent.Supervisors.told/2`.
  """
  @spec told(t, MapSet.t(module)) :: map
  def told(table, changed) do
    since = :ets.lookup_element(table, :since, 2)
    committed = :ets.lookup_element(table, :committed, 2) || now()
    crashes = crashes(table, changed)
    before_ms = until(table, :before, committed) - since
    after_ms = until(table, :after, now()) - committed

    %{
      before_ms: before_ms,
      after_ms: after_ms,
      crashes: crashes |> Enum.sort_by(&usual(&1, before_ms, after_ms)) |> Enum.take(@told),
      crashes_total: crashes |> Enum.map(& &1.count) |> Enum.sum(),
      kinds: length(crashes),
      supervisors: Supervisors.told(table, changed)
    }
  end

  defp until(table, phase, ended) do
    case :ets.lookup(table, {:full, phase}) do
      [{_, full}] -> min(full, ended)
      [] -> ended
    end
  end

  defp crashes(table, changed) do
    rows = :ets.match_object(table, {{:kind, :_}, :_, :_})

    groups =
      Enum.group_by(rows, fn {{:kind, {owner, {text, frames}}}, _, _} ->
        {blamed(owner, frames, changed), text}
      end)

    before =
      Enum.reduce(groups, %{}, fn {{module, _}, rows}, all ->
        Map.update(all, module, sum(rows, 1), &(&1 + sum(rows, 1)))
      end)

    for {{module, text}, rows} <- groups, module != nil do
      {{:kind, {_owner, {_text, frames}}}, _, _} = Enum.max_by(rows, &elem(&1, 2))

      %{
        module: inspect(module),
        exception: text,
        at: Crash.place(frames, module),
        stack: Crash.stack(frames),
        count: sum(rows, 2),
        watched: rows |> Enum.filter(&match?({{:kind, {{:watched, _}, _}}, _, _}, &1)) |> sum(2),
        before: sum(rows, 1),
        others: before[module] - sum(rows, 1)
      }
    end
  end

  # The smallest first.
  defp usual(%{before: 0, watched: watched} = crash, _before_ms, _after_ms) when watched > 0,
    do: {0, -crash.count}

  defp usual(crash, before_ms, after_ms),
    do: {1, crash.before * max(after_ms, 1) / max(before_ms, 1) - crash.count}

  defp sum(rows, at), do: rows |> Enum.map(&elem(&1, at)) |> Enum.sum()

  # The innermost code that the upgrade has changed, or else whose process it was.
  defp blamed(owner, frames, changed) do
    Enum.find_value(frames, fn {module, _, _, _, _} -> if module in changed, do: module end) ||
      case owner do
        {_watched_or_quiet, module} -> module
        module -> if module in changed, do: module
      end
  end

  defp now, do: System.monotonic_time(:millisecond)
end

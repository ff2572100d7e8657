defmodule FlyDeployAgent.Supervisors do
  @moduledoc """
  Which supervisors have started children again, before the commit and after it, and which of them are near their restart limit: one
  more, and they may end, with all that they look after.

  It learns of restarts from what supervisors log. That is no crash in the eyes of Elixir's Logger, which keeps it from all handlers:
  so this is a filter of all events, in front of the others, that lets every event pass. How many restarts a supervisor allows is in
  its state only: small ones are asked for it, once, and of large ones it is not known.
  """

  alias FlyDeployAgent.Watch

  @filter :flydeploy_supervisors
  # At most this many supervisors are followed, of each the times of this many restarts before the commit, and after it.
  @followed 200
  @times 50
  # At most this many are asked for their limits at a time, so long, and only those whose heaps are no larger, in words.
  @asked 20
  @ask_ms 1_000
  @heap 50_000
  @told 3

  @type table :: Watch.t()

  @doc "Begins to follow them, or goes on where somebody has removed the filter."
  @spec follow(table) :: any
  def follow(table) do
    unless List.keymember?(:logger.get_primary_config().filters, @filter, 0),
      do: :logger.add_primary_filter(@filter, {&__MODULE__.filter/2, table})
  end

  @spec close() :: any
  def close, do: :logger.remove_primary_filter(@filter)

  @doc "See `:logger`: called in the process that logs, for every event."
  @spec filter(:logger.log_event(), table) :: :ignore
  def filter(%{msg: {:report, %{label: {:supervisor, what}, report: report}}, meta: %{pid: pid}}, table) do
    note(table, pid, what, report)
    :ignore
  catch
    # Its table is gone: so is the agent. Or others have logged this.
    _, _ -> :ignore
  end

  # Likewise kept from handlers: of a process without a behaviour nothing else tells.
  def filter(%{msg: {:report, %{label: {:proc_lib, :crash}}}} = event, table) do
    Watch.log(event, %{config: %{table: table}})
    :ignore
  end

  def filter(_event, _table), do: :ignore

  defp note(table, pid, :shutdown, report) do
    if report[:reason] == :reached_max_restart_intensity, do: :ets.insert(table, {{:gave_up, pid}})
  end

  defp note(table, pid, what, report) when what in [:child_terminated, :start_error] do
    with :child_terminated <- what,
         ended when is_pid(ended) <- report[:offender][:pid],
         do: Watch.ended(table, ended, report[:reason], started(report[:offender][:mfargs]))

    if report[:offender][:restart_type] in [:permanent, :transient] do
      :ets.update_counter(table, :restarts, 1, {:restarts, 0})
      keep(table, {:restarting, pid}, report)
    end
  end

  defp note(_table, _pid, _what, _report), do: :ok

  defp started({GenServer, _, [module | _]}) when is_atom(module), do: module
  defp started({module, _, _}), do: module

  # Only the supervisor itself writes its row.
  defp keep(table, key, report) do
    row =
      case :ets.lookup(table, key) do
        [row] -> row
        [] -> if followed(table) <= @followed, do: {key, name(report[:supervisor]), nil, [], []}
      end

    with {key, name, _child, before, since} <- row do
      {child, _, _} = report[:offender][:mfargs]
      now = System.monotonic_time(:millisecond)

      if :ets.lookup_element(table, :committed, 2),
        do: :ets.insert(table, {key, name, child, before, Enum.take([now | since], @times)}),
        else: :ets.insert(table, {key, name, child, Enum.take([now | before], @times), since})
    end
  end

  defp followed(table), do: :ets.update_counter(table, :followed, 1, {:followed, 0})

  defp name({how, name}) when how in [:local, :global], do: name
  defp name({:via, _, name}), do: name
  defp name({pid, module}) when is_pid(pid), do: module
  defp name(name), do: name

  @doc "How many restarts there were, by all supervisors."
  @spec count(table) :: non_neg_integer
  def count(table) do
    case :ets.lookup(table, :restarts) do
      [{_, count}] -> count
      [] -> 0
    end
  end

  @doc "Asks those that have started children again since the commit for their limits, beside the caller."
  @spec ask(table) :: any
  def ask(table) do
    unknown =
      for {{_, pid}, _, _, _, [_ | _]} <- :ets.match_object(table, {{:restarting, :_}, :_, :_, :_, :_}),
          not :ets.member(table, {:limit, pid}),
          do: pid

    for pid <- Enum.take(unknown, @asked) do
      :ets.insert(table, {{:limit, pid}, nil})
      spawn(fn -> ask(table, pid) end)
    end
  end

  defp ask(table, pid) do
    with {:total_heap_size, words} when words <= @heap <- Process.info(pid, :total_heap_size),
         {limit, seconds} when is_integer(limit) and is_integer(seconds) <-
           limit(:sys.get_state(pid, @ask_ms)),
         do: :ets.insert(table, {{:limit, pid}, {limit, seconds}})
  catch
    # It has ended, or is busy, or the agent has ended.
    _, _ -> :ok
  end

  @doc "How many restarts a supervisor of this state allows, within how many seconds; nil for any other process."
  @spec limit(term) :: {non_neg_integer, pos_integer} | nil
  def limit(%{__struct__: DynamicSupervisor, max_restarts: limit, max_seconds: seconds}), do: {limit, seconds}

  # The record `state` of supervisor.erl: name, strategy, children, dynamics, intensity, period, ….
  def limit(state) when is_tuple(state) and tuple_size(state) > 8 and elem(state, 0) == :state,
    do: {elem(state, 5), elem(state, 6)}

  def limit(_state), do: nil

  @doc """
  Those near their limits since the commit that were not before, and whose children belong to the modules `changed`, or were watched:
  with the most restarts that they had within their period, and how many of such they allow.
  """
  @spec told(table, MapSet.t(module)) :: [map]
  def told(table, changed) do
    rows = :ets.match_object(table, {{:restarting, :_}, :_, :_, :_, :_})

    near =
      for {{_, pid}, name, child, before, [_ | _] = since} <- rows,
          child in changed or :ets.member(table, {:supervisor, pid}),
          [{_, {limit, seconds}}] <- [:ets.lookup(table, {:limit, pid})],
          most = most(since, seconds * 1_000),
          near?(most, limit) and not near?(most(before, seconds * 1_000), limit) do
        %{
          supervisor: inspect(name),
          child: inspect(child),
          restarts: most,
          limit: limit,
          seconds: seconds,
          before: length(before)
        }
      end

    near |> Enum.sort_by(&(-&1.restarts)) |> Enum.take(@told)
  end

  defp near?(restarts, limit), do: restarts >= max(limit - 1, 1)

  @doc """
  The most of these times, newest first, within `ms`. Where it is all that are kept, as many as that rate means.

      iex> FlyDeployAgent.Supervisors.most([9_000, 8_000, 2_000, 1_000, 0], 5_000)
      3
  """
  @spec most([integer], pos_integer) :: non_neg_integer
  def most([], _ms), do: 0

  def most(times, ms) do
    most =
      times
      |> Enum.with_index()
      |> Enum.map(fn {newest, i} -> times |> Enum.drop(i) |> Enum.count(&(&1 > newest - ms)) end)
      |> Enum.max()

    span = max(hd(times) - List.last(times), 1)
    if most == @times, do: max(most, div(most * ms, span)), else: most
  end
end

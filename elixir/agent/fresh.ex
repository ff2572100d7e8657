defmodule FlyDeployAgent.Fresh do
  @moduledoc """
  Processes that cannot go back with their states: they are ended in the window, once the others' migrations have succeeded and before the
  older code is loaded, and their supervisors, which wait meanwhile, start them again in that code.

  However many they are, no supervisor reaches its limit of restarts for them: until it has started them again it allows as many more as
  it has children. Afterwards it has its own limit again, and has forgotten the restarts.
  """

  alias FlyDeployAgent.{Beam, Findings, OldCode, Processes, Rounds, Siblings, Stack}

  @typedoc """
  `why` is nil where its module tells it; `again` is whether its supervisor starts it again, nil for one that has none; `end` is how
  it ends: by itself, along with one that does, or left to their supervisor, see `FlyDeployAgent.Siblings`.
  """
  @type process :: %{
          pid: pid,
          module: module,
          supervisor: pid | nil,
          again: boolean | nil,
          why: binary | nil,
          end: :first | :along | :left
        }

  @lingers "it still runs an older version of its code"
  @loops "it runs the code that is taken back, and takes no part in upgrades"
  @otp [:gen_server, :gen_statem, :gen_event]
  # How long supervisors may take to tell how they restart a child, and processes to end.
  @tell_ms 250
  @end_ms 1_000
  # Before a supervisor is told of its own limit again: what has ended has told it so by then.
  @told_ms 50
  # Under which a supervisor keeps its own limit.
  @limit :"$flydeploy_limit"

  @doc """
  The processes of modules that start afresh, `fresh`, among those that `staged` has seen; those that still run an older version of one of
  `changed`, which would have to end for the commit; and those that take no part in upgrades, and would go on in the code that is taken
  back, if a supervisor keeps them alive. And those that end along with them.
  """
  @spec all(FlyDeployAgent.Staged.t(), own :: [pid]) :: [process]
  def all(%{diff: diff, fresh: fresh, known: known} = staged, own) do
    changed = for %{module: m, change: :changed} <- diff.changes, do: m
    lingering = for {m, pids} <- OldCode.lingering(changed), pid <- pids, do: {pid, m, @lingers}
    loops = for {pid, modules} <- staged.holders, m = loop(pid, modules), do: {pid, m, @loops}
    special = for %{pid: pid, module: m, kind: :special} <- staged.others, do: {pid, m, @loops}

    (of_modules(Map.keys(fresh), known.pids, own) ++ lingering ++ loops ++ special)
    |> Enum.uniq_by(&elem(&1, 0))
    |> Enum.reject(fn {pid, _, _} -> pid in own end)
    |> with_supervisors()
    |> Enum.filter(&(&1.why != @loops or &1.again))
    |> then(&(&1 ++ Siblings.all(&1, staged.targets, known.pids, own)))
  end

  # Where a process waits in a module of these, outside of OTP's loops: all others only pass through.
  defp loop(pid, modules) do
    case Stack.frames(pid) do
      [{m, _, _} | _] = frames -> if m in modules and not Enum.any?(frames, &(elem(&1, 0) in @otp)), do: m
      _ -> nil
    end
  end

  defp of_modules([], _pids, _own), do: []

  defp of_modules(modules, pids, own) do
    facts = Map.new(modules, &{&1, %{code_change: [], behaviours: Beam.behaviours(&1), vsn: nil}})
    {targets, others} = Processes.scan(pids, facts, own)

    for %{pid: pid, module: m, kind: kind} <- targets ++ others,
        kind not in [:supervisor, :suspended],
        do: {pid, m, nil}
  end

  defp with_supervisors(found) do
    above =
      for {pid, _, _} <- found,
          into: %{},
          do: {pid, pid |> List.wrap() |> Processes.supervisors() |> List.first()}

    below = Enum.group_by(above, &elem(&1, 1), &elem(&1, 0)) |> Map.delete(nil)

    asked =
      for {supervisor, pids} <- below,
          do: {supervisor, fn state -> for(pid <- pids, do: {pid, again?(state, pid)}) end}

    told = for {_, again} <- Rounds.inside(asked, @tell_ms), pair <- again, into: %{}, do: pair

    for {pid, module, why} <- found do
      supervisor = above[pid]
      # One that was too busy to tell most likely does.
      %{
        pid: pid,
        module: module,
        supervisor: supervisor,
        again: supervisor && Map.get(told, pid, true),
        why: why,
        end: :first
      }
    end
  end

  @doc "In a supervisor, with its own state, by the shape that OTP and Elixir give it: whether it starts this child again."
  @spec again?(term, pid) :: boolean
  def again?(%{__struct__: DynamicSupervisor, children: children}, pid) do
    case children do
      %{^pid => {_start, restart, _shutdown, _type, _modules}} -> restart != :temporary
      _ -> false
    end
  end

  def again?(state, pid) when is_tuple(state) and elem(state, 0) == :state do
    case {elem(state, 3), elem(state, 4)} do
      {{_ids, children}, {kind, _}} when kind in [:maps, :mapsets] ->
        Enum.any?(Map.values(children), &(elem(&1, 4) != :temporary))

      {{_ids, children}, _} ->
        Enum.any?(Map.values(children), &(elem(&1, 1) == pid and elem(&1, 4) != :temporary))

      _ ->
        false
    end
  end

  def again?(_state, _pid), do: false

  # -- the plan

  @doc "What the plan tells of them, by module. `whys` tells why a module's processes are among them."
  @spec findings([process], %{module => binary}) :: [Findings.finding()]
  def findings(processes, whys) do
    for {{module, why}, all} <- Enum.group_by(processes, &{&1.module, &1.why || whys[&1.module]}) do
      %{
        name: "fresh_states",
        severity: :warn,
        subject: inspect(module),
        detail: "#{told(all)}: #{why}",
        processes: length(all)
      }
    end
  end

  defp told(all) do
    {again, ended} = Enum.split_with(all, & &1.again)
    by = again |> Enum.map(& &1.supervisor) |> Enum.uniq() |> Findings.some(&named/1)
    Enum.join(again(length(again), by) ++ ended(length(ended)), "; ")
  end

  defp again(0, _by), do: []
  defp again(1, by), do: ["1 process starts again with a fresh state, by #{by}"]
  defp again(count, by), do: ["#{count} processes start again with fresh states, by #{by}"]

  defp ended(0), do: []
  defp ended(1), do: ["1 process ends, and no supervisor starts it again"]
  defp ended(count), do: ["#{count} processes end, and no supervisor starts them again"]

  defp named(pid) do
    case Findings.name(pid) do
      "" -> Findings.who(pid)
      name -> name
    end
  end

  # -- the window

  @doc "Those that start them again, and those that start what is linked to them: all that may have to restart something."
  @spec supervisors([process]) :: [pid]
  def supervisors(processes) do
    processes = Enum.reject(processes, &(&1.end == :left))

    linked =
      for %{pid: pid} <- processes,
          {:links, links} <- [Process.info(pid, :links)],
          link <- links,
          is_pid(link) and node(link) == node(),
          do: link

    (for(%{supervisor: pid} when pid != nil <- processes, do: pid) ++ Processes.supervisors(linked))
    |> Enum.uniq()
  end

  @doc "Ends them, but for those that are left to their supervisors, and waits until they have. Their supervisors are told before what they have to allow. Gives their pids."
  @spec finish([process], supervisors :: [pid], dead :: pid) :: [pid]
  def finish([], _supervisors, _dead), do: []

  def finish(processes, supervisors, dead) do
    Rounds.tell(supervisors, dead, {:replace_state, &__MODULE__.allow/1})
    {left, ended} = Enum.split_with(processes, &(&1.end == :left))
    monitors = for %{pid: pid} <- ended, do: {pid, Process.monitor(pid)}
    for {pid, _} <- monitors, do: Process.exit(pid, :kill)
    until = System.monotonic_time(:millisecond) + @end_ms
    for({pid, monitor} <- monitors, ended?(monitor, until), do: pid) ++ for(%{pid: pid} <- left, do: pid)
  end

  defp ended?(monitor, until) do
    receive do
      {:DOWN, ^monitor, :process, _, _} -> true
    after
      max(until - System.monotonic_time(:millisecond), 0) ->
        Process.demonitor(monitor, [:flush])
        false
    end
  end

  @doc "In a supervisor: allows as many restarts more as it has children."
  @spec allow(term) :: term
  def allow(%{__struct__: DynamicSupervisor} = state),
    do: %{state | max_restarts: own_limit(state.max_restarts) + map_size(state.children)}

  def allow(state) when is_tuple(state) and elem(state, 0) == :state,
    do: put_elem(state, 5, own_limit(elem(state, 5)) + children(elem(state, 3), elem(state, 4)))

  def allow(state), do: state

  defp own_limit(now) do
    if Process.get(@limit) == nil, do: Process.put(@limit, now)
    Process.get(@limit)
  end

  defp children(_static, {_kind, dynamic}), do: Enum.count(dynamic)
  defp children({ids, _children}, _none), do: length(ids)

  @doc "When all run again: the supervisors have their own limits again."
  @spec settle([pid], dead :: pid) :: any
  def settle([], _dead), do: :ok

  def settle(supervisors, dead) do
    Process.sleep(@told_ms)
    Rounds.tell(supervisors, dead, {:replace_state, own_limit_again()})
  end

  # One that is busy starting its children comes to it when the agent and its code may have gone: what is evaluated belongs to no module.
  defp own_limit_again do
    {fun, _} =
      Code.eval_quoted(
        quote do
          fn state ->
            case Process.delete(unquote(@limit)) do
              nil ->
                state

              limit when is_tuple(state) and is_list(elem(state, 7)) ->
                state |> put_elem(5, limit) |> put_elem(7, [])

              limit when is_tuple(state) ->
                put_elem(state, 5, limit)

              limit ->
                %{state | max_restarts: limit, restarts: []}
            end
          end
        end
      )

    fun
  end
end

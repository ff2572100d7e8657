defmodule FlyDeployAgent.Processes do
  @moduledoc """
  Finds the processes whose callback module changes, and those that merely have changed code on their stack.

  A `FlyDeployAgent.Target` has a pid, its module, its kind and its units: kind gen_server, gen_statem, gen_event or agent; units are the
  `{module, old_vsn}` to send `change_code` for (several handlers in one gen_event, none for an Agent). Only processes that
  speak the system protocol are targets: a frame of theirs lies in the loop of one of OTP's behaviours, or they
  hibernate, or are being registered, in a module that declares one.

  Looking takes as little of a process' time as will do: what it recorded as its start tells nearly always, then its innermost
  frames, and its backtrace last, see `FlyDeployAgent.Backtrace`.
  """

  alias FlyDeployAgent.{Backtrace, Beam, Births, Renamed, Target, Wrappers}

  # Functions that a caller runs; every other function of these modules runs in the server itself.
  @client ~w(call cast reply multi_call abcast send_request wait_response receive_response check_response start
    start_link start_monitor stop notify sync_notify add_handler add_sup_handler delete_handler swap_handler
    which_handlers call_dirty call_clean call1 rpc do_multi_call rec_nodes mc_send mc_recv mc_recv_tmo
    sync_send_event sync_send_all_state_event)a
  @loops %{gen_server: :gen_server, gen_statem: :gen_statem, gen_event: :gen_event, gen_fsm: :other}
  # What runs a module that declares one of these: a view and a channel name themselves, and their servers are LiveView's and Phoenix'.
  @behaviours %{
    GenServer => :gen_server,
    :gen_server => :gen_server,
    :gen_statem => :gen_statem,
    Phoenix.LiveView => :gen_server,
    Phoenix.Channel => :gen_server
  }
  # current_stacktrace is cut at this depth unless the system flag backtrace_depth says otherwise.
  @depth 8
  # A process that has just been spawned has not recorded its start: it is looked at so often, a millisecond apart.
  @looks 5
  # How long a gen_event manager may take to list its handlers.
  @handlers_ms 250

  @doc """
  Looks at `pids` (all but the agent's own). `changed` maps every changed module to its facts
  (`FlyDeployAgent.Beam.facts/1`) and `vsn`, its old version. Gives `{targets, others}`: others are `%{pid, module, kind}`
  with kind supervisor, special, suspended, whose callback module changes and that are left alone.
  """
  @spec scan([pid], map, [pid]) :: {[Target.t()], [map]}
  def scan(pids, changed, own) do
    known = %{changed: changed, wrappers: Wrappers.of(changed), hidden?: hidden?(changed)}
    found = for pid <- pids, pid not in own, process = look(pid, known), do: process
    {wrapped, found} = Enum.split_with(found, &(&1.kind == :wrapper))
    {renamed, found} = Enum.split_with(found, &(&1.kind == :renamed))

    found =
      for(%{pid: pid, module: module} <- Wrappers.unwrap(wrapped), do: unwrapped(pid, module, changed)) ++
        named(renamed, changed) ++ found

    Enum.split_with(found, &(&1.kind in [:gen_server, :gen_statem, :gen_event, :agent]))
  end

  # Whether a process that calls itself something else could run any of them.
  defp hidden?(changed), do: Enum.any?(Map.keys(changed), &function_exported?(&1, :init, 1))

  @doc "See `FlyDeployAgent.Births.known/1`."
  @spec known([pid]) :: Births.known()
  defdelegate known(pids), to: Births

  @doc "See `FlyDeployAgent.Births.born/1`."
  @spec born(Births.known()) :: {[pid], Births.known()}
  defdelegate born(known), to: Births

  @doc """
  Processes outside of `targets` with a changed module on their stack, as `[{pid, modules}]`: Tasks, requests. They
  would be killed if that module's old slot had to be freed.
  """
  @spec holders([pid], map, MapSet.t()) :: [{pid, [module]}]
  def holders(pids, changed, except) do
    for pid <- pids,
        pid not in except,
        modules = pid |> frames() |> Enum.map(&elem(&1, 0)) |> Enum.filter(&is_map_key(changed, &1)),
        modules != [],
        do: {pid, Enum.uniq(modules)}
  end

  @doc "Processes that run one of `modules`, or were started by it, as `[{module, [pid]}]`."
  @spec using([module]) :: [{module, [pid]}]
  def using([]), do: []

  def using(modules) do
    facts = Map.new(modules, &{&1, %{code_change: [], behaviours: []}})
    {targets, others} = scan(Process.list(), facts, [self()])
    started = for %{pid: pid, module: module} <- targets ++ others, do: {module, pid}

    running =
      for {pid, found} <- holders(Process.list(), facts, MapSet.new([self()])),
          module <- found,
          do: {module, pid}

    (started ++ running) |> Enum.uniq() |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.to_list()
  end

  @doc """
  Processes that still run an old version of one of `modules`, from before this upgrade, as `[{module, [pid]}]`. Only those
  with a frame of the module are asked: to ask every process about every module takes seconds.
  """
  @spec lingering([module]) :: [{module, [pid]}]
  def lingering(modules) do
    case Enum.filter(modules, &:erlang.check_old_code/1) do
      [] -> []
      old -> old |> Map.new(&{&1, true}) |> lingering_in()
    end
  end

  defp lingering_in(old) do
    found =
      for {pid, modules} <- holders(Process.list(), old, MapSet.new()),
          m <- modules,
          runs_old?(pid, m),
          do: {m, pid}

    found |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.to_list()
  end

  defp runs_old?(pid, module) do
    :erlang.check_process_code(pid, module, allow_gc: false) == true
  rescue
    ArgumentError -> false
  end

  @doc "The supervisors that started `pids`: while they wait, no further process is born under them."
  @spec supervisors([pid]) :: [pid]
  def supervisors(pids) do
    parents = for pid <- pids, [parent | _] <- [dictionary(pid, :"$ancestors")], uniq: true, do: parent
    pids = for parent <- parents, do: if(is_atom(parent), do: Process.whereis(parent), else: parent)

    for pid <- pids,
        is_pid(pid) and node(pid) == node(),
        match?({:supervisor, _, _}, initial_call(pid)),
        # Somebody else's suspension is not ours to end.
        loop(frames(pid)) != :suspended,
        do: pid
  end

  @doc "The module, function and arity that `proc_lib` or the process itself recorded as its start, or nil."
  @spec initial_call(pid) :: mfa | nil
  def initial_call(pid), do: initial_call(pid, @looks)

  defp initial_call(pid, looks) do
    with {:initial_call, {:proc_lib, _, _}} <- Process.info(pid, :initial_call) do
      case dictionary(pid, :"$initial_call") do
        {_, _, _} = mfa -> mfa
        nil when looks > 1 -> later(fn -> initial_call(pid, looks - 1) end)
        _ -> nil
      end
    else
      _ -> nil
    end
  end

  defp later(fun) do
    Process.sleep(1)
    fun.()
  end

  # process_info(pid, {dictionary, key}) exists from OTP 26.2 on; the whole dictionary is copied before.
  defp dictionary(pid, key) do
    case :erlang.process_info(pid, {:dictionary, key}) do
      {{:dictionary, ^key}, value} -> value
      _ -> nil
    end
  rescue
    ArgumentError ->
      with {:dictionary, entries} <- Process.info(pid, :dictionary),
           {_, value} <- List.keyfind(entries, key, 0) do
        value
      else
        _ -> nil
      end
  end

  defp look(pid, %{changed: changed} = known) do
    case initial_call(pid) do
      nil ->
        nil

      {:gen_event, :init_it, _} ->
        event_manager(pid, changed)

      {:supervisor, module, _} when is_map_key(changed, module) ->
        other(pid, module, :supervisor)

      {:supervisor, _, _} ->
        nil

      {module, :init, 1} when is_map_key(changed, module) ->
        classify(pid, module, changed)

      {module, :init, 1} ->
        Wrappers.wrapped(pid, module, known.wrappers)

      # Views and channels name their callback, and their server passes code_change on to it.
      {module, fun, 3} when fun in [:mount, :join] ->
        if is_map_key(changed, module), do: classify(pid, module, changed)

      {module, _, _} = name ->
        if known.hidden? or is_map_key(changed, module), do: renamed(pid, name, changed)
    end
  end

  defp classify(pid, module, changed) do
    {frames, cut?} = innermost(pid)

    # Deep inside of a callback, what its module declares tells as well as the loop.
    case loop(frames) || if(cut?, do: declared(module) || loop(frames(pid))) || outside(frames, module) ||
           special(module) do
      # It hibernates, and its module does not say of which behaviour it is.
      nil -> if asleep?(frames), do: %{pid: pid, module: module, kind: :renamed, asleep: true, group: module}
      :suspended -> other(pid, module, :suspended)
      :other -> other(pid, module, :special)
      :gen_statem -> target(pid, module, :gen_statem, changed)
      :gen_event -> event_manager(pid, changed)
      :gen_server -> target(pid, module, :gen_server, changed)
    end
  end

  # An Agent replaces its $initial_call by the function that made its state; others by whatever they like to be called in
  # reports.
  defp renamed(pid, {module, _fun, _arity} = name, changed) do
    known = is_map_key(changed, module)
    frames = frames(pid)
    asleep = asleep?(frames)

    case loop(frames) do
      kind when kind in [:gen_server, :gen_statem] -> renamed(pid, name, known, asleep)
      :suspended when known -> other(pid, module, :suspended)
      # A stranger may not know system messages: only processes of what is upgraded are asked.
      nil when asleep -> if known or upgraded?(pid, changed), do: renamed(pid, name, known, asleep)
      nil when known -> if special(module), do: other(pid, module, :special)
      _ -> nil
    end
  end

  defp renamed(pid, {module, fun, _arity} = name, known, asleep) do
    cond do
      not made_by_function?(pid, fun) ->
        group = {name, pid |> dictionary(:"$ancestors") |> List.wrap() |> List.first()}
        %{pid: pid, module: module, kind: :renamed, asleep: asleep, group: group}

      known ->
        agent(pid, module)

      true ->
        nil
    end
  end

  # Nothing but an Agent puts an anonymous function there. (proc_lib does, where it was given one to run, with init_p/3.)
  defp made_by_function?(pid, fun) do
    String.starts_with?(Atom.to_string(fun), "-") and
      Process.info(pid, :initial_call) == {:initial_call, {:proc_lib, :init_p, 5}}
  end

  defp named(renamed, changed) do
    callbacks = Renamed.callbacks(renamed)
    for process <- renamed, found = named(process, callbacks[process.pid], changed), do: found
  end

  defp named(%{pid: pid}, {kind, real}, changed) when is_map_key(changed, real),
    do: target(pid, real, kind, changed)

  defp named(%{pid: pid, module: module, asleep: asleep}, told, changed)
       when is_map_key(changed, module),
       do: if(told == nil and asleep, do: other(pid, module, :special), else: agent(pid, module))

  defp named(_process, _told, _changed), do: nil

  defp agent(pid, module), do: %Target{pid: pid, module: module, kind: :agent, units: []}

  defp upgraded?(pid, changed) do
    with {:ok, app} <- :application.get_application(pid),
         {:ok, modules} <- :application.get_key(app, :modules) do
      Enum.any?(modules, &is_map_key(changed, &1))
    else
      _ -> false
    end
  end

  defp unwrapped(pid, module, changed) do
    units = if changed[module].code_change != [], do: [{module, changed[module].vsn}], else: []

    %Target{
      pid: pid,
      module: module,
      kind: if(loop(frames(pid)) == :gen_statem, do: :gen_statem, else: :gen_server),
      units: units
    }
  end

  defp target(pid, module, kind, changed) do
    arity = if kind == :gen_statem, do: 4, else: 3
    units = if arity in changed[module].code_change, do: [{module, changed[module].vsn}], else: []
    %Target{pid: pid, module: module, kind: kind, units: units}
  end

  defp event_manager(pid, changed) do
    told = handlers(pid)

    case for {module, _id} <- told || suspected(changed), is_map_key(changed, module), do: module do
      [] ->
        nil

      [first | _] = modules ->
        units =
          for module <- Enum.uniq(modules),
              3 in changed[module].code_change,
              do: {module, changed[module].vsn}

        if told == nil and loop(frames(pid)) == :suspended,
          do: other(pid, first, :suspended),
          else: %Target{pid: pid, module: first, kind: :gen_event, units: units}
    end
  end

  # nil if it does not tell: gen_event:which_handlers/1 would wait for ever.
  defp handlers(pid) do
    {:ok, handlers} = :gen.call(pid, self(), :which_handlers, @handlers_ms)
    for handler <- handlers, do: if(is_tuple(handler), do: handler, else: {handler, false})
  catch
    :exit, :timeout -> nil
    :exit, _ -> []
  end

  # A manager that is busy may have any of them, and none may miss its migration. Asked for those that it has not, it does nothing.
  defp suspected(changed),
    do: for({module, %{behaviours: behaviours}} <- changed, :gen_event in behaviours, do: {module, false})

  defp other(pid, module, kind), do: %{pid: pid, module: module, kind: kind}

  @doc "Whether a process has been suspended, by whomever."
  @spec suspended?(pid) :: boolean
  def suspended?(pid), do: loop(frames(pid)) == :suspended

  # The innermost frame decides: a gen_server inside a call to another one waits in gen:do_call.
  defp loop(frames) do
    Enum.find_value(frames, fn
      {:sys, fun, _} when fun in [:suspend_loop, :suspend_loop_hib] -> :suspended
      {module, fun, _} when is_map_key(@loops, module) and fun not in @client -> @loops[module]
      _ -> nil
    end)
  end

  # One that hibernates is in no loop (up to OTP 27), and one that is still being registered (by a server, it may be) is in none yet: what
  # its module declares tells.
  defp outside(frames, module) do
    if asleep?(frames) or Enum.any?(frames, &match?({:gen, :init_it, _}, &1)),
      do: declared(module)
  end

  defp asleep?(frames), do: match?([{:erlang, :hibernate, _} | _], frames)

  defp declared(module), do: Enum.find_value(Beam.behaviours(module), &@behaviours[&1])

  # It speaks the system protocol with a loop of its own.
  defp special(module), do: if(function_exported?(module, :system_continue, 3), do: :other)

  @doc """
  The `{module, function, arity}` of every frame of a process, innermost first (of a large process only of the innermost); [] for a dead one.
  """
  @spec frames(pid) :: [mfa]
  def frames(pid) do
    case innermost(pid) do
      {frames, false} -> frames
      {frames, true} -> Backtrace.frames(pid) || frames
    end
  end

  # And whether there are more.
  defp innermost(pid) do
    case Process.info(pid, [:current_stacktrace, :current_function]) do
      # A hibernated process has no stack, up to OTP 27.
      [current_stacktrace: [], current_function: {m, f, a}] -> {[{m, f, a}], false}
      [{_, stack} | _] -> {for({m, f, a, _} <- stack, do: {m, f, arity(a)}), length(stack) >= @depth}
      nil -> {[], false}
    end
  end

  defp arity(args) when is_list(args), do: length(args)
  defp arity(arity), do: arity
end

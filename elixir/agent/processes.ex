defmodule FlyDeployAgent.Processes do
  @moduledoc """
  Finds the processes whose callback module changes, and those that merely have changed code on their stack.

  A `FlyDeployAgent.Target` has a pid, its module, its kind and its units: kind gen_server, gen_statem, gen_event or agent; units are the
  `{module, old_vsn}` to send `change_code` for (several handlers in one gen_event, none for an Agent). Only processes that
  speak the system protocol are targets: a frame of theirs lies in the loop of one of OTP's behaviours, or they
  hibernate, or are being registered, in a module that declares one.

  Looking takes as little of a process' time as will do: what it recorded as its start (`FlyDeployAgent.Origin`) tells nearly always, then
  its innermost frames (`FlyDeployAgent.Stack`), and its backtrace last (`FlyDeployAgent.Backtrace`).
  """

  alias FlyDeployAgent.{Beam, OldCode, Origin, Renamed, Stack, Target, Wrappers}

  @typedoc "Of what `FlyDeployAgent.Beam.facts/1` tells of a changed module; `vsn` is the version that runs."
  @type facts :: %{
          required(:code_change) => [3 | 4],
          required(:behaviours) => [module],
          optional(atom) => term
        }
  @typedoc "A process whose callback module changes, and that is left alone."
  @type other :: %{pid: pid, module: module, kind: :supervisor | :special | :suspended}

  # What runs a module that declares one of these: a view and a channel name themselves, and their servers are LiveView's and Phoenix'.
  @behaviours %{
    GenServer => :gen_server,
    :gen_server => :gen_server,
    :gen_statem => :gen_statem,
    Phoenix.LiveView => :gen_server,
    Phoenix.Channel => :gen_server
  }
  # How long a gen_event manager may take to list its handlers.
  @handlers_ms 250

  @doc """
  Looks at `pids` (all but the agent's own). `changed` maps every changed module to its facts
  (`FlyDeployAgent.Beam.facts/1`) and `vsn`, its old version. Gives `{targets, others}`: others are `%{pid, module, kind}`
  with kind supervisor, special, suspended, whose callback module changes and that are left alone.
  """
  @spec scan([pid], %{module => facts}, own :: [pid]) :: {[Target.t()], [other]}
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

  @doc "Processes that run one of `modules`, or were started by it, as `[{module, [pid]}]`."
  @spec using([module]) :: [{module, [pid]}]
  def using([]), do: []

  def using(modules) do
    facts = Map.new(modules, &{&1, %{code_change: [], behaviours: []}})
    {targets, others} = scan(Process.list(), facts, [self()])
    started = for %{pid: pid, module: module} <- targets ++ others, do: {module, pid}

    running =
      for {pid, found} <- OldCode.holders(Process.list(), facts, MapSet.new([self()])),
          module <- found,
          do: {module, pid}

    (started ++ running) |> Enum.uniq() |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)) |> Map.to_list()
  end

  @doc "The supervisors that started `pids`: while they wait, no further process is born under them."
  @spec supervisors([pid]) :: [pid]
  def supervisors(pids) do
    parents = for pid <- pids, [parent | _] <- [Origin.dictionary(pid, :"$ancestors")], uniq: true, do: parent
    pids = for parent <- parents, do: if(is_atom(parent), do: Process.whereis(parent), else: parent)

    for pid <- pids,
        is_pid(pid) and node(pid) == node(),
        match?({:supervisor, _, _}, Origin.initial_call(pid)),
        # Somebody else's suspension is not ours to end.
        Stack.loop(Stack.frames(pid)) != :suspended,
        do: pid
  end

  defp look(pid, %{changed: changed} = known) do
    case Origin.initial_call(pid) do
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
    {frames, cut?} = Stack.innermost(pid)

    # Deep inside of a callback, what its module declares tells as well as the loop.
    case Stack.loop(frames) || if(cut?, do: declared(module) || Stack.loop(Stack.frames(pid))) ||
           outside(frames, module) ||
           special(module) do
      # It hibernates, and its module does not say of which behaviour it is.
      nil ->
        if Stack.asleep?(frames), do: %{pid: pid, module: module, kind: :renamed, asleep: true, group: module}

      :suspended ->
        other(pid, module, :suspended)

      :other ->
        other(pid, module, :special)

      :gen_statem ->
        target(pid, module, :gen_statem, changed)

      :gen_event ->
        event_manager(pid, changed)

      :gen_server ->
        target(pid, module, :gen_server, changed)
    end
  end

  # An Agent replaces its $initial_call by the function that made its state; others by whatever they like to be called in
  # reports.
  defp renamed(pid, {module, _fun, _arity} = name, changed) do
    known = is_map_key(changed, module)
    frames = Stack.frames(pid)
    asleep = Stack.asleep?(frames)

    case Stack.loop(frames) do
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
        group = {name, pid |> Origin.dictionary(:"$ancestors") |> List.wrap() |> List.first()}
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
      kind: if(Stack.loop(Stack.frames(pid)) == :gen_statem, do: :gen_statem, else: :gen_server),
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

        if told == nil and Stack.loop(Stack.frames(pid)) == :suspended,
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

  # One that hibernates is in no loop (up to OTP 27), and one that is still being registered (by a server, it may be) is in none yet: what
  # its module declares tells.
  defp outside(frames, module) do
    if Stack.asleep?(frames) or Stack.registering?(frames),
      do: declared(module)
  end

  defp declared(module), do: Enum.find_value(Beam.behaviours(module), &@behaviours[&1])

  # It speaks the system protocol with a loop of its own.
  defp special(module), do: if(function_exported?(module, :system_continue, 3), do: :other)
end

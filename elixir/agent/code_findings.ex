defmodule FlyDeployAgent.CodeFindings do
  @moduledoc """
  What the change of a module does to what runs of it, told by the code of both versions: nothing of the new one is loaded.

  A pair is one module: `old` and `new` its facts (`FlyDeployAgent.CodeFacts.read/1`, old nil for an added one), and functions
  that read its code. What lives comes as `live`: the number of processes by callback module, the children of supervisors,
  the supervisors' own modules, and each application's module.
  """

  alias FlyDeployAgent.{Children, CodeFacts, Messages}

  @type pair :: %{
          module: module,
          old: CodeFacts.t() | nil,
          new: CodeFacts.t(),
          old_code: (() -> CodeFacts.code()),
          new_code: (() -> CodeFacts.code())
        }
  @type live :: %{
          processes: %{module => pos_integer},
          children: [Children.child()],
          supervisors: [module],
          applications: [module]
        }

  # What a behaviour's process calls in any case.
  @callbacks %{
    GenServer => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_server => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_statem => [init: 1, callback_mode: 0],
    :gen_event => [init: 1, handle_event: 2, handle_call: 2],
    :supervisor => [init: 1],
    Supervisor => [init: 1],
    DynamicSupervisor => [init: 1]
  }

  # What is done once, when a process starts. A nil stands for every function of the module.
  @once [
    {:ets, :new},
    {:dets, :open_file},
    {:persistent_term, :put},
    {:telemetry, :attach},
    {:telemetry, :attach_many},
    {:logger, :add_handler},
    {Registry, :register},
    {Process, :register},
    {Process, :monitor},
    {Process, :flag},
    {Process, :send_after},
    {:erlang, :register},
    {:erlang, :monitor},
    {:erlang, :process_flag},
    {:erlang, :send_after},
    {:erlang, :start_timer},
    {:erlang, :open_port},
    {Port, :open},
    {:global, :register_name},
    {:net_kernel, :monitor_nodes},
    {:pg, nil},
    {:timer, nil},
    {:gen_tcp, nil},
    {:gen_udp, nil},
    {Application, :put_env},
    {:application, :set_env}
  ]
  # Where a process begins: a server's, a view's and a channel's.
  @start [init: 1, handle_continue: 2, mount: 3, join: 3]
  @once_anywhere [:subscribe, :start_link, :start_child, :attach, :attach_many]

  @doc "All findings about `pairs`, `%{name, severity, subject, detail}`."
  @spec all([pair], live) :: [map]
  def all(pairs, live) do
    gone = child_start_gone(pairs, live) ++ behaviour_changed(pairs, live)
    without = MapSet.new(gone, & &1.subject)

    Enum.concat([
      gone,
      callback_mode_changed(pairs, live),
      trees(pairs, live),
      messages_changed(pairs, live),
      init_changed(pairs, live),
      not_migrated(pairs, live),
      for(%{subject: subject} = found <- child_spec_changed(pairs, live), subject not in without, do: found)
    ])
  end

  # -- children

  defp child_start_gone(pairs, live) do
    by_module = Map.new(pairs, &{&1.module, &1})

    for %{start: {module, function, arity}} = child <- live.children,
        %{old: %{}, new: new} <- [by_module[module]],
        {function, arity} not in new.exports,
        uniq: true do
      finding(
        "child_start_gone",
        :block,
        module,
        "#{name(child.supervisor)} starts it by #{function}/#{arity}, which is not exported any more: its next crash would end " <>
          "that supervisor"
      )
    end
  end

  # A child's specification is made by child_spec/1, when its supervisor starts it.
  defp child_spec_changed(pairs, live) do
    started = MapSet.new(live.children, &elem(&1.start, 0))

    for %{module: module, old: %{exports: exports}} = pair <- pairs,
        module in started,
        {:child_spec, 1} in exports and {:child_spec, 1} in pair.new.exports,
        differs?(pair, child_spec: 1) do
      finding(
        "child_spec_changed",
        :warn,
        module,
        "child_spec/1 differs from what its supervisor was started with, and keeps"
      )
    end
  end

  # The modules that put children together: of applications, and of supervisors with a module of their own.
  defp trees(pairs, live) do
    by_module = Map.new(pairs, &{&1.module, &1})
    roots = for(m <- live.applications, do: {m, :start, 2}) ++ for(m <- live.supervisors, do: {m, :init, 1})

    for {module, function, arity} <- Enum.uniq(roots),
        %{old: %{}} = pair <- [by_module[module]],
        found <- tree(pair, {function, arity}, by_module, live),
        do: found
  end

  defp tree(%{module: module} = pair, {function, arity} = root, pairs, live) do
    {old, new} = {reached(:old, module, root, pairs), reached(:new, module, root, pairs)}
    child? = &child?(&1, pairs)
    {before, now} = {Children.named(old, child?), Children.named(new, child?)}

    # One of the release's own may have been started by hand.
    started = for {m, _} <- now, before[m] == nil, is_map_key(pairs, m), runs?(m, live), do: m
    added = for {m, n} <- now, n > Map.get(before, m, 0), m not in started, do: m
    removed = for {m, n} <- before, n > Map.get(now, m, 0), runs?(m, live), do: m
    where = "#{function}/#{arity}"

    cond do
      added != [] or removed != [] ->
        [
          finding(
            "children_changed",
            :block,
            module,
            "#{where} names " <>
              Enum.join(
                for(m <- added, do: "#{inspect(m)}, which does not run") ++
                  for(m <- removed, do: "#{inspect(m)} no longer, which runs"),
                "; "
              ) <> ": a hot upgrade starts and stops no children"
          )
        ]

      module in live.supervisors and differs?(pair, [root]) ->
        [
          finding(
            "supervisor_changed",
            :warn,
            module,
            "#{where} differs, and is not applied to what it started"
          )
        ]

      true ->
        []
    end
  end

  # The code that a root leads to, through all modules that change.
  defp reached(version, module, root, pairs), do: together([{module, root}], version, pairs, %{})

  defp together([], _version, _pairs, found), do: found

  defp together([{module, function} = at | rest], version, pairs, found) do
    with false <- is_map_key(found, at),
         %{} = pair <- pairs[module],
         body when body != nil <- code(pair, version)[function] do
      next = for {m, f, a} <- CodeFacts.calls(body), is_map_key(pairs, m), do: {m, {f, a}}
      together(next ++ rest, version, pairs, Map.put(found, at, body))
    else
      _ -> together(rest, version, pairs, found)
    end
  end

  defp child?(module, pairs) do
    case pairs[module] do
      nil ->
        :erlang.function_exported(module, :child_spec, 1)

      %{new: new, old: old} ->
        {:child_spec, 1} in new.exports or (old != nil and {:child_spec, 1} in old.exports)
    end
  end

  defp runs?(module, live) do
    is_map_key(live.processes, module) or
      Enum.any?(live.children, fn %{start: {started, _, _}, id: id} -> module in [started, id] end)
  end

  # -- processes

  defp behaviour_changed(pairs, live) do
    for %{module: module, old: %{} = old, new: new} <- pairs,
        count = live.processes[module],
        behaviour <- old.behaviours -- new.behaviours,
        missing =
          for(
            {f, a} = callback <- Map.get(@callbacks, behaviour, []),
            callback not in new.exports,
            do: "#{f}/#{a}"
          ),
        missing != [] do
      finding(
        "behaviour_changed",
        :block,
        module,
        "is no #{inspect(behaviour)} any more, and #{processes(count)} of it would call its #{Enum.join(missing, ", ")}"
      )
    end
  end

  defp callback_mode_changed(pairs, live) do
    for %{module: module, old: %{exports: exports}, new: new} = pair <- pairs,
        {:callback_mode, 0} in exports and {:callback_mode, 0} in new.exports,
        count = live.processes[module],
        found = callback_mode(pair, count),
        do: found
  end

  # OTP asks for the mode again when it changes code, for which a gen_statem must have a code_change/4.
  defp callback_mode(%{module: module, new: new} = pair, count) do
    {old_mode, new_mode} = {mode(code(pair, :old)), mode(code(pair, :new))}

    cond do
      migrates?(pair, 4) or old_mode == new_mode ->
        state_gone(pair, old_mode, count)

      match?({:ok, _}, old_mode) and match?({:ok, _}, new_mode) ->
        finding(
          "callback_mode_changed",
          :block,
          module,
          "its callback mode becomes #{told(new_mode)}, and #{processes(count)} without code_change/4 would stay with #{told(old_mode)}"
        )

      differs?(pair, callback_mode: 0) ->
        finding(
          "no_code_change",
          :warn,
          new.module,
          "is a gen_statem without code_change/4: its callback mode stays as it is"
        )

      true ->
        nil
    end
  end

  defp mode(code) do
    with {:ok, mode} <- CodeFacts.constant(code[{:callback_mode, 0}]), do: {:ok, Enum.sort(List.wrap(mode))}
  end

  defp told({:ok, modes}), do: Enum.map_join(modes, ", ", &inspect/1)

  # With state functions, a state is the name of a function.
  defp state_gone(%{module: module, old: old, new: new} = pair, {:ok, modes}, count) do
    gone =
      for {f, 3} <- old.exports, {f, 3} not in new.exports, f not in [:terminate, :handle_event], do: "#{f}/3"

    if :state_functions in modes and gone != [] and not migrates?(pair, 4) do
      finding(
        "messages_changed",
        :warn,
        module,
        "has no state #{Enum.join(gone, ", ")} any more, in which #{processes(count)} may be"
      )
    end
  end

  defp state_gone(_pair, _mode, _count), do: nil

  @taking [handle_info: 2, handle_cast: 2, handle_call: 3]

  # What was sent before, or is scheduled, arrives after the upgrade.
  defp messages_changed(pairs, live) do
    for %{module: module, old: %{exports: exports}} = pair <- pairs,
        count = live.processes[module],
        {f, a} = callback <- @taking,
        callback in exports and callback in pair.new.exports,
        refused = Messages.refused(code(pair, :old)[callback], code(pair, :new)[callback]),
        refused != [] do
      finding(
        "messages_changed",
        :warn,
        module,
        "#{f}/#{a} has no clause for #{refused |> Enum.take(3) |> Enum.map_join(", ", &Messages.told/1)} any more: one that waits or is " <>
          "scheduled would end #{if count == 1, do: "its process", else: "its process, of #{count}"}"
      )
    end
  end

  # What a process has done when it started, it does not do again.
  defp init_changed(pairs, live) do
    roots =
      for(m <- live.applications, do: {m, [start: 2]}) ++
        for({m, _} <- live.processes, m not in live.supervisors, do: {m, @start})

    by_module = Map.new(pairs, &{&1.module, &1})

    for {module, functions} <- roots,
        %{old: %{}} = pair <- [by_module[module]],
        new =
          once(pair, :new, functions) --
            (once(pair, :old, functions) ++ once(pair, :new, code_change: 3, code_change: 4)),
        new != [] do
      finding(
        "init_changed",
        :warn,
        module,
        "now calls #{Enum.map_join(Enum.take(new, 3), ", ", fn {m, f, a} -> mfa(m, f, a) end)} when it starts, " <>
          "which what runs has not done"
      )
    end
  end

  defp once(%{module: module} = pair, version, functions) do
    reached = pair |> code(version) |> CodeFacts.reached(module, functions)

    for {_, body} <- reached,
        {m, f, _} = call <- CodeFacts.calls(body),
        once?(m, f),
        m != module,
        uniq: true,
        do: call
  end

  defp once?(module, function),
    do: {module, function} in @once or {module, nil} in @once or function in @once_anywhere

  # A server may keep its callback module where nobody can see it, and the module declare nothing.
  defp not_migrated(pairs, live) do
    for %{module: module, old: %{behaviours: []}, new: %{behaviours: []}} = pair <- pairs,
        not is_map_key(live.processes, module) and migrates?(pair, 3) do
      finding(
        "not_migrated",
        :warn,
        module,
        "has a code_change/3, and no process is known that would be migrated by it"
      )
    end
  end

  @doc "Whether the new version has a `code_change` of this arity that is asked for and does something."
  @spec migrates?(pair, 3 | 4) :: boolean
  def migrates?(%{old: old, new: new} = pair, arity) do
    {:code_change, arity} in new.exports and not same_version?(old, new) and
      (arity == 4 or not CodeFacts.keeps_state?(code(pair, :new)[{:code_change, arity}]))
  end

  @doc "Whether somebody has written by hand that both versions have the same state."
  @spec same_version?(%{vsn: term}, %{vsn: term}) :: boolean
  def same_version?(%{vsn: vsn}, %{vsn: vsn}), do: CodeFacts.written?(vsn)
  def same_version?(_old, _new), do: false

  # -- both versions

  defp differs?(%{module: module} = pair, roots) do
    [old, new] = for version <- [:old, :new], do: pair |> code(version) |> CodeFacts.reached(module, roots)
    old != new
  end

  defp code(pair, :old), do: pair.old_code.()
  defp code(pair, :new), do: pair.new_code.()

  defp processes(1), do: "1 process"
  defp processes(count), do: "#{count} processes"

  defp mfa(module, function, arity), do: Exception.format_mfa(module, function, arity)

  defp name(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when is_atom(name) -> inspect(name)
      _ -> "a supervisor"
    end
  end

  defp finding(name, severity, module, detail),
    do: %{name: name, severity: severity, subject: inspect(module), detail: detail}
end

defmodule FlyDeployAgent.CodeFindings do
  @moduledoc """
  What the change of a module does to what runs of it, told by the code of both versions: nothing of the new one is loaded.

  What lives comes as `live`: the number of processes by callback module, the children of supervisors, the supervisors' own
  modules, and each application's module.
  """

  alias FlyDeployAgent.{
    Children,
    CodeFacts,
    Messages,
    Once,
    Pair,
    Paths,
    Senders,
    Starts,
    Timers,
    TreeFindings
  }

  @type live :: %{
          :processes => %{module => pos_integer},
          :children => [Children.child()],
          :supervisors => [module],
          :applications => [module],
          optional(:codes) => FlyDeployAgent.Demands.codes()
        }

  # Where a process begins: a server's, a view's and a channel's.
  @start [init: 1, handle_continue: 2, mount: 3, join: 3]

  # Callbacks whose messages may have been sent, or be scheduled, before the upgrade.
  @taking [{{:handle_info, 2}, 0}, {{:handle_cast, 2}, 0}, {{:handle_call, 3}, 0}]
  @events [{{:handle_event, 2}, 0}, {{:handle_call, 2}, 0}, {{:handle_info, 2}, 0}]
  @page [{{:handle_event, 3}, 0}, {{:handle_in, 3}, 0}, {{:handle_async, 3}, 0}]

  @doc "All findings about `pairs`, `%{name, severity, subject, detail}`, some with `processes`: module by module, so that the code of few is in memory."
  @spec all([Pair.t()], live) :: [FlyDeployAgent.Findings.finding()]
  def all(pairs, live),
    do:
      for(%{old: %{}} = pair <- pairs, found <- of_module(pair, live), do: found) ++
        TreeFindings.all(pairs, live)

  defp of_module(%{module: module} = pair, live) do
    starts = if module in live.applications, do: [start: 2], else: @start

    cond do
      count = live.processes[module] -> of_processes(pair, count) ++ init_changed(pair, starts, live)
      module in live.supervisors -> named(pair)
      module in live.applications -> not_migrated(pair) ++ init_changed(pair, starts, live)
      true -> not_migrated(pair)
    end
  end

  defp of_processes(%{module: module} = pair, count) do
    found =
      behaviour_changed(pair, count) ++
        callback_mode_changed(pair, count) ++ messages_changed(pair, count) ++ timeouts_changed(pair, count)

    Enum.map(found, &Map.merge(&1, %{processes: count, modules: [module]}))
  end

  defp behaviour_changed(%{module: module} = pair, count) do
    for {behaviour, missing} <- Pair.behaviours_lost(pair) do
      finding(
        "behaviour_changed",
        :block,
        module,
        "is no longer a #{inspect(behaviour)}, but #{running(count)} would still call its #{Enum.join(missing, ", ")}"
      )
    end
  end

  defp callback_mode_changed(pair, count) do
    if Pair.both?(pair, {:callback_mode, 0}),
      do: pair |> callback_mode(count) |> List.wrap(),
      else: []
  end

  # OTP asks for the mode again when it changes code, for which a gen_statem must have a code_change/4.
  defp callback_mode(%{module: module, new: new} = pair, count) do
    {old_mode, new_mode} = {mode(Pair.code(pair, :old)), mode(Pair.code(pair, :new))}

    cond do
      Pair.migrates?(pair, 4) or old_mode == new_mode ->
        state_gone(pair, old_mode, count)

      match?({:ok, _}, old_mode) and match?({:ok, _}, new_mode) ->
        finding(
          "callback_mode_changed",
          :block,
          module,
          "its callback mode becomes #{told(new_mode)}, and #{processes(count)} without code_change/4 would stay with #{told(old_mode)}"
        )

      Pair.differs?(pair, callback_mode: 0) ->
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

    if :state_functions in modes and gone != [] and not Pair.migrates?(pair, 4) do
      finding(
        "messages_changed",
        :warn,
        module,
        "no longer has the state #{Enum.join(gone, ", ")}, in which #{processes(count)} may be"
      )
    end
  end

  defp state_gone(_pair, _mode, _count), do: nil

  defp messages_changed(%{module: module} = pair, count) do
    for {{f, a} = callback, argument} <- taking(pair),
        Pair.both?(pair, callback),
        refused = refused(pair, callback, argument),
        # Who sends such calls is not seen.
        refused = if(f in [:handle_call, :handle_cast], do: refused -- [:"any other"], else: refused),
        refused = if(f == :handle_call, do: Senders.sent(pair, refused), else: refused),
        refused =
          if(f == :handle_info and not Starts.waiting?(pair), do: refused -- [:timeout], else: refused),
        refused != [] do
      finding(
        "messages_changed",
        :warn,
        module,
        "#{f}/#{a} no longer has a clause for #{refused |> Enum.take(3) |> Enum.map_join(", ", &Messages.told/1)}: a message of this " <>
          "kind that is already queued or scheduled would crash its process (#{count} #{if count == 1, do: "is", else: "are"} running)"
      )
    end
  end

  defp refused(pair, callback, argument) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)[callback]

    if old != new and gives_up?(pair, callback),
      do: Messages.named(old, {:x, argument}),
      else: Messages.refused(old, new, {:x, argument}, kinds(argument))
  end

  # The one that `use GenServer` brings raises, whatever comes.
  defp gives_up?(%{module: module} = pair, {f, a}) do
    [old, new] =
      for version <- [:old, :new] do
        root = {module, f, a}
        program = Paths.program(fn m -> if m == module, do: Pair.code(pair, version) end, [root])
        Paths.follow(program, root, List.duplicate(:any, a))
      end

    new.whole and Enum.all?(new.returns, &bad?/1) and not Enum.all?(old.returns, &bad?/1)
  end

  # What it would give if it did not raise.
  defp bad?({:made, [{:const, :stop}, {:made, [{:const, bad} | _]} | _]}), do: bad in [:bad_call, :bad_cast]
  defp bad?(_returned), do: false

  # Those that run come at their time.
  defp timeouts_changed(%{module: module, old: %{behaviours: behaviours}} = pair, count) do
    function = {:handle_event, 4}

    names =
      if :gen_statem in behaviours and Pair.both?(pair, function),
        do: Messages.timeouts_refused(Pair.code(pair, :old)[function], Pair.code(pair, :new)[function]),
        else: []

    for name <- names,
        do:
          finding(
            "messages_changed",
            :warn,
            module,
            "handle_event/4 no longer has a clause for the timeout #{inspect(name)}: one that runs now would crash its process (#{running(count)})"
          )
  end

  # A state machine's events come with their type.
  defp kinds(0), do: [%{}]

  defp kinds(1) do
    types = for type <- [:info, :cast, :internal, :timeout, :state_timeout], do: {:tag, type}
    for type <- types ++ [{:made, [{:tag, :call}, :any]}], do: %{{:x, 0} => type}
  end

  defp taking(%{old: %{behaviours: behaviours} = old}) do
    cond do
      :gen_statem in behaviours ->
        [
          {{:handle_event, 4}, 1}
          | for({f, 3} <- old.exports, f not in [:terminate, :code_change], do: {{f, 3}, 1})
        ]

      :gen_event in behaviours ->
        @events

      Enum.any?(behaviours, &(&1 in [Phoenix.LiveView, Phoenix.Channel])) ->
        @page ++ @taking

      true ->
        @taking
    end
  end

  # What supervisors start is told of by itself.
  defp named(pair), do: done(pair, names(pair))

  defp names(pair), do: for(name <- Once.names(pair), do: "registers as #{Once.text(name) || "another name"}")

  # What a process has done when it started, it does not do again.
  defp init_changed(pair, starts, live) do
    codes = Map.get(live, :codes, fn _version, _module -> nil end)
    new = Once.new(pair, starts)

    new =
      if Enum.any?(new, &Once.timer?/1) and Timers.carried_on?(pair),
        do: Enum.reject(new, &Once.timer?/1),
        else: new

    calls = (new ++ Once.through(pair, starts, codes)) |> Enum.map(&Once.told/1)
    options = for option <- Once.options(pair), do: "is started with #{inspect(option)}"
    waits = if GenServer in pair.new.behaviours, do: waits(pair), else: given(pair, starts)

    done(
      pair,
      names(pair) ++
        options ++
        waits ++ if(calls == [], do: [], else: ["calls #{calls |> Enum.take(3) |> Enum.join(", ")}"])
    )
  end

  defp given(pair, starts) do
    case if(starts == @start, do: Starts.options(pair), else: []) do
      [] -> []
      options -> ["gives #{Enum.map_join(options, ", ", &inspect/1)}"]
    end
  end

  defp waits(pair) do
    if(Starts.timeout?(pair), do: ["gets a timeout"], else: []) ++
      if Starts.continues?(pair), do: ["goes on in handle_continue/2"], else: []
  end

  defp done(_pair, []), do: []

  defp done(%{module: module}, done),
    do: [
      finding(
        "init_changed",
        :warn,
        module,
        "now #{Enum.join(done, " and ")} when it starts; running processes have not done that"
      )
    ]

  # A server may keep its callback module where nobody can see it, and the module declare nothing.
  defp not_migrated(%{module: module, old: %{behaviours: []}, new: %{behaviours: []}} = pair) do
    if Pair.migrates?(pair, 3),
      do: [
        finding(
          "not_migrated",
          :warn,
          module,
          "has a code_change/3, and no process is known that would be migrated by it"
        )
      ],
      else: []
  end

  defp not_migrated(_pair), do: []

  defp running(1), do: "1 running process"
  defp running(count), do: "#{count} running processes"

  defp processes(1), do: "1 process"
  defp processes(count), do: "#{count} processes"

  defp finding(name, severity, module, detail),
    do: %{name: name, severity: severity, subject: inspect(module), detail: detail}
end

defmodule FlyDeployAgent.CodeFindings do
  @moduledoc """
  What the change of a module does to what runs of it, told by the code of both versions: nothing of the new one is loaded.

  What lives comes as `live`: the number of processes by callback module, the children of supervisors, the supervisors' own
  modules, what these were started with, each application's module, and the modules of processes for which messages wait.
  """

  alias FlyDeployAgent.{
    Children,
    CodeFacts,
    Conditions,
    Demands,
    Findings,
    MessageFindings,
    Once,
    Pair,
    Specs,
    Starts,
    Timers,
    TreeFindings
  }

  import FlyDeployAgent.Findings, only: [finding: 4]

  @type live :: %{
          :processes => %{module => pos_integer},
          :children => [Children.child()],
          :supervisors => [module],
          :applications => [module],
          optional(:codes) => FlyDeployAgent.Demands.codes(),
          optional(:waiting) => [module],
          optional(:arguments) => %{module => [FlyDeployAgent.Value.t()]}
        }

  # Where a process begins: a server's, a view's and a channel's.
  @start [init: 1, handle_continue: 2, mount: 3, join: 3]

  @doc "All findings about `pairs`, `%{name, severity, subject, detail}`, some with `processes`: module by module, so that the code of few is in memory."
  @spec all([Pair.t()], live) :: [Findings.finding()]
  def all(pairs, live),
    do:
      for(%{old: %{}} = pair <- pairs, found <- of_module(pair, live), do: found) ++
        Findings.safely(fn -> across(pairs, live) end) ++ TreeFindings.all(pairs, live)

  defp of_module(%{module: module} = pair, live) do
    starts = starts(module, live)

    cond do
      count = live.processes[module] -> of_processes(pair, count, live) ++ init_changed(pair, starts, live)
      module in live.supervisors -> named(pair)
      module in live.applications -> not_migrated(pair) ++ init_changed(pair, starts, live)
      true -> not_migrated(pair)
    end
  end

  defp of_processes(%{module: module} = pair, count, live) do
    found =
      behaviour_changed(pair, count) ++
        callback_mode_changed(pair, count) ++
        MessageFindings.all(pair, count, live) ++ supervisor_changed(pair)

    Enum.map(found, &Findings.of_processes(&1, module, count))
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

  # Supervisors that a server has started itself.
  defp supervisor_changed(%{module: module} = pair) do
    case Specs.rules_changed(pair) do
      [] ->
        []

      rules ->
        [
          finding(
            "supervisor_changed",
            :warn,
            module,
            "starts supervisors with #{Enum.join(rules, ", ")}, which is not applied to those that it has started"
          )
        ]
    end
  end

  # What supervisors start is told of by itself.
  defp named(pair), do: done(pair, names(pair))

  defp names(pair), do: for(name <- Once.names(pair), do: "registers as #{Once.text(name) || "another name"}")

  # What a process has done when it started, it does not do again.
  defp init_changed(pair, starts, live) do
    codes = Demands.codes(live)
    new = Once.new(pair, starts)
    new = new -- Conditions.unknown(pair, new)

    new =
      if Enum.any?(new, &Once.timer?/1) and Timers.carried_on?(pair),
        do: Enum.reject(new, &Once.timer?/1),
        else: new

    calls = Enum.reject(new, &Once.there?/1) ++ Once.through(pair, starts, codes)
    options = for option <- Once.options(pair), do: "is started with #{inspect(option)}"
    waits = if GenServer in pair.new.behaviours, do: waits(pair), else: given(pair, starts)

    done(
      pair,
      names(pair) ++
        options ++
        waits ++ calling(calls)
    )
  end

  # What applications, supervisors and servers do when they start by other modules, or do not tell of above.
  defp across(pairs, live) do
    by_module = for %{old: %{}} = pair <- pairs, into: %{}, do: {pair.module, pair}
    changed = MapSet.new(pairs, & &1.module)

    started =
      for(m <- live.applications, CodeFacts.concerned?(m, changed), do: {m, [start: 2]}) ++
        for(m <- live.supervisors, do: {m, [init: 1]}) ++
        for {m, _} <- live.processes, pair = by_module[m], do: {m, @start ++ Pair.starts(pair)}

    for {module, starts} <- if(pairs == [], do: [], else: Enum.uniq(started)),
        told = told(by_module[module], live),
        calls =
          for(
            call <- Once.across(module, starts, changed, Demands.codes(live)),
            not Once.among?(call, told) and not Once.there?(call),
            do: call
          ),
        found <- done(%{module: module}, calling(calls)),
        do: found
  end

  # Where each of them is told of by itself.
  defp told(nil, _live), do: []

  defp told(%{module: module} = pair, live),
    do:
      if(module in live.supervisors, do: [], else: Once.new(pair, starts(module, live))) ++
        Once.migrating(pair)

  defp starts(module, live), do: if(module in live.applications, do: [start: 2], else: @start)

  defp calling([]), do: []
  defp calling(calls), do: ["calls #{calls |> Enum.take(3) |> Enum.map_join(", ", &Once.told/1)}"]

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
end

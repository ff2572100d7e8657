defmodule FlyDeployAgent.KeptOptions do
  @moduledoc """
  Options of children: those that a supervisor keeps and that the new code reads by another name, and those that a child's start gives to what it
  starts, which goes on with those of before.
  """

  alias FlyDeployAgent.{Children, Findings, Pair, Paths, Value}

  @reading [:get, :fetch, :fetch!, :pop, :pop!, :has_key?, :get_lazy, :get_values, :validate!]
  @starting [:start_link, :start, :start_child]
  # Of these more is told elsewhere.
  @servers [
    GenServer,
    Supervisor,
    DynamicSupervisor,
    Task,
    Agent,
    Registry,
    :gen_server,
    :gen_statem,
    :gen_event,
    :supervisor,
    :proc_lib
  ]

  @doc "The findings about children of changed modules."
  @spec findings([Pair.t()], [Children.child()]) :: [Findings.finding()]
  def findings(pairs, children) do
    by_module = for %{module: module, old: %{}} = pair <- pairs, into: %{}, do: {module, pair}

    for %{start: {module, f, a}} = child <- Enum.uniq_by(children, &Map.delete(&1, :supervisor)),
        pair = by_module[module],
        Pair.both?(pair, {f, a}),
        found <- renamed(pair, child) ++ started(pair, child),
        uniq: true,
        do: found
  end

  # -- what is read

  defp renamed(%{module: module} = pair, %{start: start, arguments: arguments}) do
    kept = Enum.flat_map(arguments, &names/1)

    [old, new] =
      if kept == [], do: [[], []], else: for(version <- [:old, :new], do: read(pair, version, start))

    lost = for name <- kept, name in old and name not in new, uniq: true, do: name

    if lost != [] and Enum.any?(new -- old, &(&1 not in kept)),
      do: [
        Findings.finding(
          "child_spec_changed",
          :warn,
          module,
          "its supervisor keeps #{told(lost)} for it, which the new code reads no more, and reads #{told((new -- old) -- kept)} instead: its next start does without"
        )
      ],
      else: []
  end

  defp names({:cons, {:tuple, [{:atom, name}, _value]}, rest}), do: [name | names(rest)]
  defp names({:tuple, values}), do: Enum.flat_map(values, &names/1)
  defp names(_value), do: []

  # By the start itself, and the server's.
  defp read(%{module: module} = pair, version, start) do
    roots = Enum.uniq([start, {module, :init, 1}])
    program = Paths.alone(module, Pair.code(pair, version), roots)

    for {_, _, a} = root <- roots,
        is_map_key(program, root),
        {mfa, arguments} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        name = name(mfa, arguments),
        uniq: true,
        do: name
  end

  defp name({module, f, _}, [_options, {:const, name} | _])
       when module in [Access, Keyword] and f in @reading and is_atom(name),
       do: name

  defp name({:proplists, _f, _}, [{:const, name}, _options | _]) when is_atom(name), do: name
  defp name(_mfa, _arguments), do: nil

  # -- what is started

  defp started(%{module: module} = pair, %{start: {_, f, a}, runs: true} = child) do
    [old, new] = for version <- [:old, :new], do: starts(pair, version, child)

    for {{m, _, _} = mfa, now} <- new,
        [before] <- [for({^mfa, arguments} <- old, do: arguments)],
        length(for({^mfa, _} <- new, do: mfa)) == 1,
        options =
          before |> Enum.zip(now) |> Enum.flat_map(fn {one, other} -> differ(one, other) end) |> Enum.uniq(),
        options != [] do
      Findings.finding(
        "init_changed",
        :warn,
        module,
        "#{f}/#{a} starts #{inspect(m)} with #{told(options)} otherwise; what runs keeps what it was started with"
      )
    end
  end

  defp started(_pair, _child), do: []

  defp starts(%{module: module} = pair, version, %{start: start, arguments: arguments}) do
    program = Paths.alone(module, Pair.code(pair, version), [start])
    %{calls: calls, whole: whole} = Paths.follow(program, start, arguments)

    for {{m, f, _} = mfa, given} <- if(whole, do: calls, else: []),
        f in @starting and m not in [module | @servers],
        do: {mfa, Enum.map(given, &Value.parts/1)}
  end

  # The names of options that are constants in both, and others.
  defp differ({:cons, _, _} = one, {:cons, _, _} = other) do
    [before, now] = for list <- [one, other], do: list |> Value.elements() |> elem(0)

    for {:tuple, [{:const, name}, value]} <- now,
        is_atom(name),
        [was] <- [for({:tuple, [{:const, ^name}, value]} <- before, do: value)],
        name <- differing(name, was, value),
        do: name
  end

  defp differ(_one, _other), do: []

  defp differing(name, {:const, was}, {:const, is}), do: if(was === is, do: [], else: [name])
  defp differing(_name, was, is), do: differ(was, is)

  defp told(names), do: names |> Enum.take(3) |> Enum.map_join(", ", &inspect/1)
end

defmodule FlyDeployAgent.Once do
  @moduledoc """
  What a process does once, when it starts: tables, names, subscriptions, timers. Processes that run have done what the running code
  does, and nothing else.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Value}

  # And which of the arguments say what is done: another interval is the same timer.
  @calls %{
    {:ets, :new} => [0],
    {:dets, :open_file} => [0],
    {:persistent_term, :put} => [0],
    {:telemetry, :attach} => [0, 1],
    {:telemetry, :attach_many} => [0, 1],
    {:logger, :add_handler} => [0],
    {Registry, :register} => [0, 1],
    {Registry, :put_meta} => [0, 1],
    {Process, :register} => [1],
    {Process, :monitor} => [0],
    {Process, :flag} => [0, 1],
    {Process, :send_after} => [1],
    {Process, :put} => [0],
    {:erlang, :put} => [0],
    {:erlang, :register} => [0],
    {:erlang, :monitor} => [0, 1],
    {:erlang, :process_flag} => [0, 1],
    {:erlang, :send_after} => [2],
    {:erlang, :start_timer} => [2],
    {:erlang, :send} => [1],
    {:erlang, :!} => [1],
    {:erlang, :open_port} => [],
    {File, :open} => [0],
    {File, :open!} => [0],
    {:file, :open} => [0],
    {:erlang, :link} => [],
    {:erlang, :spawn} => [],
    {:erlang, :spawn_link} => [],
    {:erlang, :spawn_monitor} => [],
    {:erlang, :spawn_opt} => [],
    {Task, :async} => [],
    {Task, :start} => [],
    {GenServer, :cast} => [1],
    {:gen_event, :add_handler} => [0, 1],
    {:gen_event, :add_sup_handler} => [0, 1],
    {:gen_event, :swap_handler} => [0, 1, 2],
    {:gen_event, :swap_sup_handler} => [0, 1, 2],
    {:timer, :send_interval} => [-1],
    {:timer, :send_after} => [-1],
    {:timer, :apply_interval} => [1, 2],
    {:timer, :apply_after} => [1, 2],
    {System, :put_env} => [0],
    {Port, :open} => [],
    {:global, :register_name} => [0],
    {:net_kernel, :monitor_nodes} => [0],
    {Logger, :metadata} => [0],
    {:logger, :set_process_metadata} => [0],
    {:logger, :update_process_metadata} => [0],
    {:rand, :seed} => [],
    {Application, :put_env} => [0, 1],
    {:application, :set_env} => [0, 1]
  }
  @modules [:pg, :gen_tcp, :gen_udp, :ssl, :disk_log]
  @anywhere [:start_link, :start_child, :attach, :attach_many]
  @servers [
    {GenServer, :start_link, 3},
    {GenServer, :start, 3},
    {:gen_server, :start_link, 4},
    {:gen_server, :start, 4},
    {:gen_statem, :start_link, 4},
    {:gen_statem, :start, 4},
    {Agent, :start_link, 2},
    {Agent, :start, 2},
    {Supervisor, :start_link, 3},
    {:supervisor, :start_link, 3},
    {DynamicSupervisor, :start_link, 3}
  ]
  @starting [:start_link, :start]

  @options [:spawn_opt, :hibernate_after]
  # What a process that has started with it goes on to have, in code of others.
  @lasting [
    {Registry, :register},
    {Process, :register},
    {Process, :flag},
    {:erlang, :process_flag},
    {:net_kernel, :monitor_nodes},
    {:timer, :send_interval}
  ]
  @keeping [
    {GenServer, :call},
    {GenServer, :cast},
    {:ets, :insert},
    {:ets, :insert_new},
    {Process, :monitor},
    {:erlang, :monitor},
    {Agent, :update},
    {:erlang, :send}
  ]
  # A timer that is started again and again.
  @timers [{Process, :send_after}, {:erlang, :send_after}, {:erlang, :start_timer}]
  # What ends by itself, whoever starts it.
  @passing [{Task, :start}, {Task, :async}]

  @doc """
  The calls that the new version makes when it starts by `starts`, and the running one made neither then nor when its code changes, as
  `{mfa, what is known of the arguments that say what it does}`.
  """
  @spec new(Pair.t(), [{atom, arity}]) :: [{mfa, [Value.t()]}]
  def new(%{module: module} = pair, starts) do
    known = calls(pair, :old, starts) ++ migrating(pair) ++ timers(pair) ++ tasks(pair)

    for {mfa, _} = call <- calls(pair, :new, starts),
        elem(mfa, 0) != module,
        not among?(call, known),
        uniq: true,
        do: call
  end

  @doc "The calls that processes which run will have made without having started so, as the new version's code_change makes them."
  @spec migrating(Pair.t()) :: [{mfa, [Value.t()]}]
  def migrating(pair), do: calls(pair, :new, code_change: 3, code_change: 4)

  @doc "Whether a call is, by what is known of it, one of others."
  @spec among?({mfa, [Value.t()]}, [{mfa, [Value.t()]}]) :: boolean
  def among?({mfa, arguments}, known),
    do: Enum.any?(known, fn {other, others} -> other == mfa and like?(arguments, others) end)

  @doc "Whether a function does something once."
  @spec once?(mfa) :: boolean
  def once?({module, f, _}), do: once(module, f) != nil

  @doc "Those of some calls that do something once, with those of their arguments that say what."
  @spec of([{mfa, [Value.t()]}]) :: [{mfa, [Value.t()]}]
  def of(calls) do
    closes? = Enum.any?(calls, &match?({{m, :close, 1}, _} when m in [File, :file], &1))

    all =
      for {{m, f, a} = mfa, arguments} <- calls,
          # A file that is closed again, as one is that a function is given for.
          not (m in [File, :file] and (closes? or a == 3)),
          which = once(m, f) || introduced(mfa, arguments),
          uniq: true,
          do: {mfa, Enum.map(which, &argument(arguments, &1))}

    # Of a call in a loop, those of which more is known say what it is.
    Enum.reject(all, fn {mfa, arguments} ->
      :any in arguments and
        Enum.any?(all, fn {other, others} ->
          other == mfa and others != arguments and :any not in others and like?(arguments, others)
        end)
    end)
  end

  # Who calls a server with its own pid is known to it from then on.
  defp introduced({GenServer, f, _}, [_, message | _]) when f in [:call, :cast],
    do: if(own_pid?(message), do: [0])

  defp introduced(_mfa, _arguments), do: nil

  defp own_pid?({:composed, :pid}), do: true
  defp own_pid?({kind, values}) when kind in [:tuple, :made], do: Enum.any?(values, &own_pid?/1)
  defp own_pid?({kind, head, tail}) when kind in [:cons, :list], do: own_pid?(head) or own_pid?(tail)
  defp own_pid?({:map, values, _}), do: values |> Map.values() |> Enum.any?(&own_pid?/1)
  defp own_pid?(_value), do: false

  @doc """
  The functions of the same application that the new version calls when it starts, and the running one does not, that do something for
  good, which that has not done itself.
  """
  @spec through(Pair.t(), [{atom, arity}], FlyDeployAgent.Demands.codes()) :: [{mfa, []}]
  def through(%{module: module} = pair, starts, codes) do
    [old, new] = for version <- [:old, :new], do: plainly(pair, version, starts)
    folder = folder(module)

    migrating = plainly(pair, :new, code_change: 3, code_change: 4)
    given = if new -- old == [], do: [], else: given_to(pair, starts)

    for {m, f, a} = mfa <- (new -- old) -- migrating,
        m != module and folder != nil and folder(m) == folder,
        code = codes.(:new, m),
        lasting =
          for(
            {_, body} <- CodeFacts.reached(code, m, [{f, a}]),
            call <- CodeFacts.calls(body),
            lasting?(call) or (mfa in given and keeps?(call)),
            do: call
          ),
        lasting != [],
        # What moved from here to there.
        lasting -- old -- new != [],
        do: {mfa, []}
  end

  @doc """
  The calls that are made when a module starts so, by itself or by modules that change, `changed`, and were not made then by the running code. What it
  starts is told of by itself, and timers of processes may come otherwise.
  """
  @spec across(module, [{atom, arity}], MapSet.t(module), FlyDeployAgent.Demands.codes()) :: [
          {mfa, [Value.t()]}
        ]
  def across(module, starts, changed, codes) do
    [old, new] =
      for version <- [:old, :new] do
        roots = for {f, a} <- starts, do: {module, f, a}
        program = Paths.program(&if(&1 == module or &1 in changed, do: codes.(version, &1)), roots)

        for {_, _, a} = root <- roots,
            is_map_key(program, root),
            do: Paths.follow(program, root, List.duplicate(:any, a))
      end

    if old != [] and Enum.all?(old, & &1.whole) do
      known = of(for %{calls: calls} <- old, call <- calls, do: call)

      for %{calls: calls} <- new,
          {{m, f, _}, _} = call <- of(calls),
          m not in changed and m != module and f not in [:start_child | @starting] and not timer?(call),
          not among?(call, known),
          uniq: true,
          do: call
    else
      []
    end
  end

  # What the new version gives its own pid when it starts.
  defp given_to(pair, starts) do
    case followed(pair, :new, starts) do
      :too_many -> []
      calls -> for {mfa, arguments} <- calls, Enum.any?(arguments, &own_pid?/1), do: mfa
    end
  end

  # What may go on with a pid that it gets.
  defp keeps?({module, f, _}), do: {module, f} in @keeping or {module, f} in @timers

  defp folder(module) do
    case :code.which(module) do
      [_ | _] = file -> Path.dirname(file)
      _ -> nil
    end
  end

  defp lasting?({module, f, _}),
    do: {module, f} in @lasting or module == :pg or f in [:subscribe, :attach, :attach_many]

  @doc "Whether what a call makes is there: a table of that name, which something else has made."
  @spec there?({mfa, [Value.t()]}) :: boolean
  def there?({{:ets, :new, _}, [{:const, name}]}), do: is_atom(name) and :ets.whereis(name) != :undefined
  def there?(_call), do: false

  @doc "Whether a call starts a timer."
  @spec timer?({mfa, [Value.t()]}) :: boolean
  def timer?({{m, f, _}, _}), do: {m, f} in [{:timer, :send_interval} | @timers]

  # Those that the running code starts whenever.
  defp timers(pair), do: whenever(pair, @timers)

  @doc "The tasks that the running code starts, whenever it does: one more or less is all the same to those that run."
  @spec tasks(Pair.t()) :: [{mfa, [Value.t()]}]
  def tasks(pair), do: whenever(pair, @passing)

  defp whenever(%{old: %{imports: imports}} = pair, functions) do
    if Enum.any?(imports, fn {m, f, _} -> {m, f} in functions end),
      do:
        for(
          {{m, f, _}, _} = call <- calls(pair, :old, Map.keys(Pair.code(pair, :old))),
          {m, f} in functions,
          do: call
        ),
      else: []
  end

  @doc "The names under which the new version registers its processes, and the running one does not."
  @spec names(Pair.t()) :: [Value.t()]
  def names(pair) do
    starts = starts(pair)
    [old, new] = for version <- [:old, :new], do: followed(pair, version, starts)

    if old == :too_many or new == :too_many,
      do: [],
      else:
        for(
          name <- registered(new),
          not Enum.any?(registered(old), &Value.like?(&1, name)),
          uniq: true,
          do: name
        )
  end

  @doc "The options that the new version starts its processes with, and the running one does not."
  @spec options(Pair.t()) :: [atom]
  def options(pair) do
    starts = starts(pair)
    [old, new] = for version <- [:old, :new], do: options(followed(pair, version, starts), @options)

    for {name, value} <- new,
        old != [],
        name != :start,
        not Enum.any?(old, &same?(&1, {name, value})),
        uniq: true,
        do: name
  end

  defp starts(pair) do
    for version <- [:old, :new],
        {f, a} <- Map.keys(Pair.code(pair, version)),
        f in @starting,
        uniq: true,
        do: {f, a}
  end

  defp options(:too_many, _names), do: []

  # With one of another name, that tells that there are options at all.
  defp options(calls, names) do
    for {mfa, arguments} <- calls,
        mfa in @servers,
        {:tuple, [{:const, name}, value]} <- [{:tuple, [{:const, :start}, :any]} | given(arguments)],
        name in [:start | names],
        do: {name, value}
  end

  defp same?({name, one}, {name, other}), do: Value.like?(one, other)
  defp same?(_one, _other), do: false

  defp given(arguments), do: arguments |> List.last() |> Value.parts() |> Value.elements() |> elem(0)

  defp registered(calls),
    do: for({mfa, arguments} <- calls, mfa in @servers, name = name(mfa, arguments), do: name)

  defp name({module, _, _}, [first | _]) when module in [:gen_server, :gen_statem, :supervisor] do
    case Value.parts(first) do
      {:tuple, [{:const, :local}, name]} -> name
      {:tuple, _} = name -> name
      _ -> nil
    end
  end

  defp name(_mfa, arguments) do
    {opts, _} = arguments |> List.last() |> Value.parts() |> Value.elements()
    Enum.find_value(opts, &option/1)
  end

  defp option({:tuple, [{:const, :name}, name]}), do: name
  defp option(_other), do: nil

  @doc "A call as people write it."
  @spec told({mfa, [Value.t()]}) :: binary
  def told({{m, f, a}, arguments}) do
    known = for argument <- arguments, text = text(argument), do: text
    call = Exception.format_mfa(m, f, a)
    if known == [], do: call, else: "#{call} (#{Enum.join(known, ", ")})"
  end

  @doc "What is known of a value, as people write it, or nil."
  @spec text(Value.t()) :: binary | nil
  def text({:const, term}) when is_atom(term), do: inspect(term)
  def text({:tuple, [{:const, term} | _]}) when is_atom(term), do: "{#{inspect(term)}, …}"
  def text(_value), do: nil

  defp like?(some, others),
    do: Enum.all?(Enum.zip(some, others), fn {one, other} -> Value.like?(one, other) end)

  defp calls(pair, version, starts) do
    case followed(pair, version, starts) do
      :too_many ->
        for {m, f, _} = mfa <- plainly(pair, version, starts), once(m, f), do: {mfa, []}

      calls ->
        of(calls)
    end
  end

  defp argument(arguments, n), do: arguments |> Enum.at(n, :any) |> Value.parts()

  defp once(module, function) do
    cond do
      which = @calls[{module, function}] -> which
      module in @modules -> [0, 1]
      function == :subscribe -> [0, 1, 2]
      function in @anywhere -> []
      true -> nil
    end
  end

  # What a module calls when it starts so, with what is known of the arguments.
  defp followed(%{module: module} = pair, version, starts) do
    program = Paths.alone(module, Pair.code(pair, version), for({f, a} <- starts, do: {module, f, a}))

    all =
      for {f, a} <- starts,
          is_map_key(program, {module, f, a}),
          do: Paths.follow(program, {module, f, a}, List.duplicate(:any, a))

    if Enum.all?(all, & &1.whole),
      do: for(%{calls: calls} <- all, call <- calls, uniq: true, do: call),
      else: :too_many
  end

  defp plainly(%{module: module} = pair, version, starts) do
    reached = pair |> Pair.code(version) |> CodeFacts.reached(module, starts)
    for {_, body} <- reached, call <- CodeFacts.calls(body), uniq: true, do: call
  end
end

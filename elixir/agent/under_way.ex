defmodule FlyDeployAgent.UnderWay do
  @moduledoc """
  Messages that the running code has sent, or has timers and tasks send later, and how the new code takes them: those of other machines,
  which still run the old code, as well. Both versions of what receives them are followed with what was sent, see
  `FlyDeployAgent.Paths`. Whether a message of a name is taken at all is told by `FlyDeployAgent.Messages`.
  """

  alias FlyDeployAgent.{CodeFacts, Contexts, DemandFindings, Messages, Pair, Paths, Value}

  # Which argument is the message; and how the receiver gets it.
  @sent %{
    {:erlang, :!, 2} => {1, :handle_info},
    {:erlang, :send, 2} => {1, :handle_info},
    {:erlang, :send, 3} => {1, :handle_info},
    {Process, :send, 3} => {1, :handle_info},
    {Process, :send_after, 3} => {1, :handle_info},
    {Process, :send_after, 4} => {1, :handle_info},
    {:erlang, :send_after, 3} => {2, :handle_info},
    {:erlang, :send_after, 4} => {2, :handle_info},
    {:timer, :send_after, 2} => {1, :handle_info},
    {:timer, :send_after, 3} => {2, :handle_info},
    {:timer, :send_interval, 2} => {1, :handle_info},
    {:timer, :send_interval, 3} => {2, :handle_info},
    {Phoenix.PubSub, :broadcast, 3} => {2, :handle_info},
    {Phoenix.PubSub, :broadcast, 4} => {2, :handle_info},
    {Phoenix.PubSub, :broadcast!, 3} => {2, :handle_info},
    {Phoenix.PubSub, :broadcast_from, 4} => {3, :handle_info},
    {Phoenix.PubSub, :local_broadcast, 3} => {2, :handle_info},
    {GenServer, :cast, 2} => {1, :handle_cast}
  }
  @tasks %{
    {Task, :async, 1} => 0,
    {Task.Supervisor, :async, 2} => 1,
    {Task.Supervisor, :async, 3} => 1,
    {Task.Supervisor, :async_nolink, 2} => 1,
    {Task.Supervisor, :async_nolink, 3} => 1
  }
  # A state of which nothing is known, but that it is given back as it came.
  @state {:state}
  # All modules together.
  @time_ms 3_000
  @messages 40
  @other {:tag, :"another message"}

  @doc "The findings about messages of the running code to `live`, the kinds of processes that run, by their changed modules."
  @spec findings([Pair.t()], %{module => atom}) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, live) do
    until = System.monotonic_time(:millisecond) + @time_ms

    receivers =
      for %{old: %{}, module: m} = pair <- pairs,
          kind = live[m],
          do: {pair, kind, contexts(kind, pair)}

    if receivers == [] do
      []
    else
      added = Pair.fields_added(pairs)

      for %{old: %{}} = pair <- pairs,
          {how, message} <- Enum.take(messages(pair, live), @messages),
          receiver <- receivers,
          meant?(how, pair, receiver),
          System.monotonic_time(:millisecond) < until,
          found <- taken(how, message, receiver, added),
          uniq: true,
          do: found
    end
  end

  # Of those that get messages, with those that have a clause of their own in both versions.
  defp contexts(kind, pair) do
    for %{function: function, from: n} = context when n != nil <-
          Contexts.all(kind, pair, Pair.code(pair, :new)) do
      [old, new] =
        for version <- [:old, :new], do: Messages.named(Pair.code(pair, version)[function], {:x, n})

      {context, MapSet.intersection(MapSet.new(old), MapSet.new(new))}
    end
  end

  # -- what is sent

  defp messages(%{module: module, old: %{imports: imports}} = pair, live) do
    sends? = is_map_key(live, module)

    # A process that sends itself something has no import that tells of it.
    code = if sends? or Enum.any?(imports, &known?/1), do: Pair.code(pair, :old), else: %{}

    roots =
      for {{f, a}, body} <- code,
          Enum.any?(CodeFacts.calls(body), &known?/1) or Enum.any?(body, &(&1 == {:send})),
          do: {module, f, a}

    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        {mfa, arguments} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        message <- message(mfa, arguments, program),
        uniq: true,
        do: message
  end

  defp known?(mfa), do: is_map_key(@sent, mfa) or is_map_key(@tasks, mfa)

  defp message(mfa, arguments, _program) when is_map_key(@sent, mfa) do
    {n, callback} = @sent[mfa]

    case arguments |> Enum.at(n, :any) |> Value.parts() do
      {:tuple, [{:const, tag} | rest]} when is_atom(tag) and rest != [] ->
        if Enum.all?(rest, &(&1 == :any)),
          do: [],
          else: [{callback, {:tuple, [{:tag, tag} | Enum.map(rest, &sent/1)]}}]

      _ ->
        []
    end
  end

  # The result of a task comes with its reference.
  defp message(mfa, arguments, program) when is_map_key(@tasks, mfa) do
    with {:fun, {_, _, a} = fun, free} when a == length(free) <- Enum.at(arguments, @tasks[mfa]),
         %{returns: returns, whole: true} <- Paths.follow(program, fun, free) do
      for result <- returns,
          result != :any,
          do: {:task, {:tuple, [{:is, :reference}, result |> Value.parts() |> sent()]}}
    else
      _ -> []
    end
  end

  defp message(_mfa, _arguments, _program), do: []

  # It is what it is, and becomes nothing else.
  defp sent({:const, atom}) when is_atom(atom), do: {:name, atom}
  defp sent({:const, _} = constant), do: if(type = Value.type(constant), do: {:is, type}, else: :any)
  defp sent({:tuple, values}), do: {:tuple, Enum.map(values, &sent/1)}
  defp sent({:cons, head, tail}), do: {:cons, sent(head), sent(tail)}
  defp sent({:map, values, complete}), do: {:map, Map.new(values, fn {k, v} -> {k, sent(v)} end), complete}
  defp sent(value), do: value

  # -- how it is taken

  # A task answers who has started it.
  defp meant?(:task, %{module: module}, {%{module: receiver}, _, _}), do: module == receiver
  defp meant?(_how, _pair, _receiver), do: true

  defp taken(how, message, {pair, kind, contexts}, added) do
    for {%{function: {f, _} = function} = context, named} <- contexts,
        f == callback(how) or kind == :gen_statem,
        how == :task or name(message) in named,
        demand = refused(message, context, pair),
        # Fields that structs lack are told of by themselves.
        not added?(demand, added),
        do: finding(pair, function, how, message, demand)
  end

  defp added?({:key, key, struct}, added), do: key in Map.get(added, struct, [])
  defp added?(_demand, _added), do: false

  defp callback(:task), do: :handle_info
  defp callback(callback), do: callback

  defp name({:tuple, [{:tag, tag} | rest]}), do: {tag, length(rest) + 1}

  defp refused(message, %{function: {f, a}} = context, %{module: module} = pair) do
    root = {module, f, a}

    [old, new] =
      for version <- [:old, :new] do
        program = Paths.alone(module, Pair.code(pair, version), [root])
        fn message -> Paths.follow(program, root, Contexts.arguments(context, message, @state)) end
      end

    {before, now} = {old.(message), new.(message)}

    missed =
      for(%{demand: demand} <- now.misses, do: demand) -- for(%{demand: demand} <- before.misses, do: demand)

    cond do
      not before.whole or not now.whole or before.returns == [] -> nil
      missed != [] -> hd(missed)
      true -> Enum.find_value(others(message), &passed_on(before, now, old, new, &1))
    end
  end

  # Messages that no code names: another one, or one like it with another one within.
  defp others({:tuple, [tag | rest]}) do
    inner =
      for {{:tuple, [{:name, _} | more]}, n} <- Enum.with_index(rest),
          do: {:tuple, [tag | List.replace_at(rest, n, {:tuple, [@other | more]})]}

    [@other | inner]
  end

  # It comes to the clause for everything now, and did not.
  defp passed_on(before, now, old, new, other) do
    with [first | _] = unmet <- now.unmet -- before.unmet,
         true <- does(now) == does(new.(other)),
         false <- does(before) == does(old.(other)),
         # What other clauses want of it says less.
         do: Enum.find(unmet, first, &match?({:key, _, _}, &1)),
         else: (_ -> nil)
  end

  defp does(%{returns: returns, calls: calls}),
    do: {Enum.sort(returns), calls |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort()}

  defp finding(%{module: module}, {f, a}, how, message, demand) do
    what =
      case {how, message} do
        {:task, _} ->
          "the result of a task that runs now"

        {_, {:tuple, [{:tag, tag} | rest]}} ->
          "#{Messages.told({tag, length(rest) + 1})} as the running code sends it"
      end

    %{
      name: "messages_changed",
      severity: :warn,
      subject: inspect(module),
      detail:
        "#{f}/#{a} does not take #{what}, and it may be under way, scheduled, or come from another machine: it wants #{DemandFindings.wants(demand)}"
    }
  end
end

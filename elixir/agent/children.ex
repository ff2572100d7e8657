defmodule FlyDeployAgent.Children do
  @moduledoc """
  The children of running supervisors, and those that code names. Supervisors are asked from the top of each application
  downwards; each tells what it would call to start its children again, not what it would pass.
  """

  alias FlyDeployAgent.{ChildLists, Origin, Release, Rounds, Value}

  # How long supervisors may take to tell: most do so at once, but for those of a busy machine.
  @answer_ms 1_000
  # How many supervisors are asked at a time, and in all, and how many children of each: thousands of dynamic ones start by the same function.
  @batch 20
  @supervisors 2_000
  @children 2_000
  # Links of a child that are looked at.
  @links 20

  # One function by which a supervisor starts children, what is known of the arguments of one of them, and whether it runs: it does not
  # where it gave :ignore.
  @type child :: %{supervisor: pid, start: mfa, id: atom, arguments: [Value.t()], runs: boolean}

  @doc """
  The children of all running applications but OTP's and Elixir's, and of those of `pids` that are supervisors outside of every tree; each function
  of a supervisor's once.
  """
  @spec running([pid]) :: [child]
  def running(pids \\ []) do
    tops =
      for {app, _, _} <- :application.which_applications(),
          Release.origin(app) == :library,
          master = :application_controller.get_master(app),
          is_pid(master),
          {top, _module} when is_pid(top) <- [:application_master.get_child(master)],
          do: top

    under(Enum.uniq(tops ++ Enum.filter(pids, &supervisor?/1)))
  end

  # Who waits in a server's loop, was started as a supervisor, and by no application of OTP's or Elixir's.
  defp supervisor?(pid) do
    with {:current_function, {:gen_server, :loop, _}} <- Process.info(pid, :current_function),
         {:supervisor, _, _} <- Origin.initial_call(pid) do
      case :application.get_application(pid) do
        {:ok, app} -> Release.origin(app) == :library
        :undefined -> true
      end
    else
      _ -> false
    end
  end

  @doc "The shapes of what these supervisors, with the modules of theirs, were started with; of those whose children have names."
  @spec arguments([{pid, module}]) :: %{module => [Value.t()]}
  def arguments(supervisors) do
    modules = Map.new(supervisors)
    asked = for {pid, module} <- supervisors, do: {pid, &argument(&1, module)}

    for({pid, {:ok, shape}} <- Rounds.inside(asked, @answer_ms), uniq: true, do: {modules[pid], shape})
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
  end

  defp argument(state, module) do
    with at when at != nil <- ChildLists.place(state, module),
         do: {:ok, state |> elem(at + 1) |> Value.of() |> Value.fixed()}
  end

  @doc "The children of these supervisors, and of those below them; also of those that a child has started itself."
  @spec under([pid]) :: [child]
  def under(supervisors), do: under(supervisors, MapSet.new(supervisors), @supervisors)

  defp under([], _seen, _left), do: []
  defp under(_supervisors, _seen, left) when left <= 0, do: []

  defp under(supervisors, seen, left) do
    supervisors = Enum.take(supervisors, left)

    told =
      for some <- Enum.chunk_every(supervisors, @batch),
          told <- Rounds.inside(for(pid <- some, do: {pid, &children/1}), @answer_ms),
          do: told

    here =
      for {pid, %{starts: starts}} <- told,
          {{start, id}, arguments, runs} <- starts,
          do: %{supervisor: pid, start: start, id: id, arguments: arguments, runs: runs}

    below = for {_, %{below: below}} <- told, pid <- below, do: pid
    started = for {_, %{workers: workers}} <- told, pid <- workers, under <- started(pid, seen), do: under
    below = for pid <- Enum.uniq(below ++ started), not MapSet.member?(seen, pid), do: pid
    here ++ under(below, MapSet.union(seen, MapSet.new(below)), left - length(supervisors))
  end

  # A supervisor is linked to whoever has started it.
  defp started(worker, seen) do
    with {:links, [_, _ | _] = links} <- Process.info(worker, :links) do
      for pid <- Enum.take(links, @links),
          is_pid(pid) and not MapSet.member?(seen, pid),
          match?({:supervisor, _, _}, Origin.initial_call(pid)),
          do: pid
    else
      _ -> []
    end
  end

  # Runs in the supervisor: its own state, by the shape that OTP and Elixir give it.
  defp children(state) do
    all = kept(state)
    # Of those that are started alike, one tells its arguments.
    starts =
      for {{start, args}, id, pid, _type} <-
            Enum.uniq_by(all, fn {start, id, _, _} -> {start && elem(start, 0), id} end),
          do: {{start, id}, Enum.map(args, &Value.of/1), pid != :undefined}

    [below, workers] =
      for type <- [:supervisor, :worker], do: for({_, _, pid, ^type} <- all, is_pid(pid), do: pid)

    %{starts: starts, below: below, workers: workers}
  end

  # supervisor's record. Those of simple_one_for_one share a specification, and have further arguments each.
  defp kept(state) when is_tuple(state) and tuple_size(state) > 5 and elem(state, 0) == :state do
    case {elem(state, 3), elem(state, 4)} do
      {{_ids, children}, :undefined} when is_map(children) ->
        for child <- Map.values(children), do: child(child, elem(child, 1), [])

      {{_ids, children}, {:maps, dynamics}} when is_map(children) and is_map(dynamics) ->
        for {pid, args} <- some(dynamics), child <- Map.values(children), do: child(child, pid, args)

      _ ->
        []
    end
  end

  defp kept(%{__struct__: DynamicSupervisor, children: children}) when is_map(children) do
    for {pid, {{m, f, args}, _restart, _shutdown, type, _modules}} <- some(children),
        do: {start(m, f, args, []), nil, pid, type}
  end

  defp kept(_state), do: []

  defp child(child, pid, further) do
    {m, f, args} = elem(child, 3)
    id = elem(child, 2)
    {start(m, f, args, further), if(is_atom(id), do: id), pid, elem(child, tuple_size(child) - 2)}
  end

  # The arguments of temporary children are not kept: nobody starts them again. Their number is -1, which no function has.
  defp start(m, f, args, further) when is_list(args) and is_list(further),
    do: {{m, f, length(args) + length(further)}, args ++ further}

  defp start(m, f, :undefined, _further), do: {{m, f, -1}, []}
  defp start(_m, _f, _args, _further), do: nil

  defp some(map), do: map |> :maps.iterator() |> :maps.next() |> some(@children)

  defp some(:none, _left), do: []
  defp some(_next, 0), do: []
  defp some({key, value, iterator}, left), do: [{key, value} | some(:maps.next(iterator), left - 1)]

  @doc """
  The children that code puts into lists, as `%{module => how often}`: modules for which `child?` holds, alone or with their
  argument, and those that a specification starts.
  """
  @spec named(FlyDeployAgent.CodeFacts.code(), (module -> boolean)) :: %{module => pos_integer}
  def named(code, child?) do
    for({_function, body} <- code, op <- body, named <- in_op(op), module = child(named, child?), do: module)
    |> Enum.frequencies()
  end

  defp child({:start, module}, _child?), do: module
  defp child(module, child?), do: if(child?.(module), do: module)

  defp in_op({:put_tuple2, _to, {:list, [{:atom, module}, {:atom, :start_link}, _args]}}),
    do: [{:start, module}]

  defp in_op({:put_list, head, tail, _to}), do: in_operand(head, true) ++ in_operand(tail, false)
  defp in_op({:put_tuple2, _to, {:list, [{:atom, module}, _argument]}}), do: [module]

  defp in_op({:put_map_assoc, _, literal, _, _, {:list, pairs}}),
    do: in_operand(literal, false) ++ in_pairs(pairs)

  # What is passed on to Supervisor.child_spec/2, or given back.
  defp in_op({:move, {:literal, literal}, _to}), do: in_term(literal)
  defp in_op(_op), do: []

  defp in_operand({:atom, module}, true), do: [module]
  defp in_operand({:literal, literal}, _element), do: in_term(literal)
  defp in_operand(_operand, _element), do: []

  defp in_pairs([{:atom, :start}, {:literal, {module, _, _}} | _]), do: [{:start, module}]
  defp in_pairs([_, _ | rest]), do: in_pairs(rest)
  defp in_pairs(_), do: []

  defp in_term([head | tail]) when is_atom(head), do: [head | in_term(tail)]
  defp in_term([head | tail]), do: in_term(head) ++ in_term(tail)
  defp in_term({module, argument}) when is_atom(module), do: [module | in_term(argument)]
  defp in_term(%{start: {module, _, _}}) when is_atom(module), do: [{:start, module}]
  defp in_term(_term), do: []
end

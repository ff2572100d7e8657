defmodule FlyDeployAgent.TreeFindings do
  @moduledoc """
  What the change of modules does to supervisors and their children, which a hot upgrade neither starts nor stops unless it is told to.
  """

  alias FlyDeployAgent.{
    AppChildren,
    Children,
    CodeFacts,
    Constants,
    KeptOptions,
    Pair,
    Paths,
    Restarts,
    Specs
  }

  import FlyDeployAgent.Findings, only: [finding: 4]

  @doc "The findings about supervisors and children."
  @spec all([Pair.t()], FlyDeployAgent.CodeFindings.live()) :: [FlyDeployAgent.Findings.finding()]
  def all(pairs, live) do
    gone = child_start_gone(pairs, live)
    failing = Restarts.failing(pairs, live.children)
    told = MapSet.new(gone ++ failing, & &1.subject)

    gone ++
      failing ++
      child_spec_changed(pairs, live, told) ++
      KeptOptions.findings(pairs, live.children) ++ ignored(pairs, live) ++ trees(pairs, live)
  end

  # A child that did not start, and would now.
  defp ignored(pairs, live) do
    by_module = for %{module: module, old: %{}} = pair <- pairs, into: %{}, do: {module, pair}

    for %{runs: false, start: {module, f, a} = start} = child <- live.children,
        pair = by_module[module],
        {[{:const, :ignore}], [_ | _] = now} <- [
          {given(pair, :old, start, child), given(pair, :new, start, child)}
        ],
        {:const, :ignore} not in now,
        uniq: true do
      finding(
        "children_changed",
        :block,
        module,
        "#{f}/#{a} gave :ignore when #{name(child.supervisor)} called it, and starts a process now: a hot upgrade starts no children"
      )
    end
  end

  defp given(%{module: module} = pair, version, start, %{arguments: arguments}) do
    program = Paths.alone(module, Pair.code(pair, version), [start])
    %{returns: returns, whole: whole} = Paths.follow(program, start, arguments)
    if whole, do: returns, else: []
  end

  defp child_start_gone(pairs, live) do
    by_module = Map.new(pairs, &{&1.module, &1})

    for %{start: {module, function, arity}} = child <- live.children,
        arity >= 0,
        %{old: %{}, new: new} <- [by_module[module]],
        {function, arity} not in new.exports,
        uniq: true do
      finding(
        "child_start_gone",
        :block,
        module,
        "#{name(child.supervisor)} starts it by #{function}/#{arity}, which is no longer exported: its next crash would end " <>
          "that supervisor"
      )
    end
  end

  # A child's specification is made by child_spec/1, when its supervisor starts it.
  defp child_spec_changed(pairs, live, told) do
    started = MapSet.new(live.children, &elem(&1.start, 0))
    starts = MapSet.new(live.children, &{&1.start, &1.id})

    for %{module: module, old: %{}} = pair <- pairs,
        inspect(module) not in told and Pair.behaviours_lost(pair) == [],
        Pair.both?(pair, {:child_spec, 1}) and Pair.differs?(pair, child_spec: 1),
        module in started or Specs.start(pair) in starts,
        not Specs.same?(pair) do
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
    changed = Map.new(pairs, &{&1.module, &1})
    roots = for(m <- live.applications, do: {m, :start, 2}) ++ for(m <- live.supervisors, do: {m, :init, 1})

    by_module =
      for {m, _, _} <- roots,
          not is_map_key(changed, m),
          pair = unchanged(m, changed),
          into: changed,
          do: {m, pair}

    trees =
      for {module, function, arity} <- Enum.uniq(roots),
          %{old: %{}} = pair <- [by_module[module]],
          do: {pair, {function, arity}, tree(module, {function, arity}, by_module, live)}

    # What one tree loses and another that starts it gets, is there.
    moved =
      for {%{module: below}, _, {_, removed, _}} <- trees,
          {_, _, {added, _, within}} <- trees,
          below in within,
          m <- removed,
          m in added,
          do: m

    for {%{module: module} = pair, {function, arity} = root, {added, removed, _}} <- trees,
        {added, removed} = {added -- moved, removed -- moved},
        applied = Map.put(live, :apply_children, AppChildren.how({module, function, arity}, pair, live)),
        found <- told(pair, root, {added, removed}, by_module, applied),
        do: Map.put(found, :trees, [%{root: {module, function, arity}, added: added, removed: removed}])
  end

  # A root that stays as it is, and calls what changes: its children may be listed there.
  defp unchanged(module, changed) do
    with [_ | _] = file <- :code.which(module),
         {:ok, beam} <- File.read(file),
         {:ok, facts} <- CodeFacts.read(beam),
         true <- Enum.any?(facts.imports, fn {m, _, _} -> is_map_key(changed, m) end),
         {:ok, code} <- CodeFacts.functions(beam) do
      %Pair{module: module, old: facts, new: facts, old_code: fn -> code end, new_code: fn -> code end}
    else
      _ -> nil
    end
  end

  # Children that are added, and removed; and the modules that it leads through.
  defp tree(module, root, pairs, live) do
    {old, new} = {reached(:old, module, root, pairs), reached(:new, module, root, pairs)}
    child? = &child?(&1, pairs)
    {before, now} = {Children.named(old, child?), Children.named(new, child?)}

    # One of the release's own may have been started by hand.
    started = for {m, _} <- now, before[m] == nil, is_map_key(pairs, m), runs?(m, live), do: m
    added = for {m, n} <- now, n > Map.get(before, m, 0), m not in started, not ignores?(pairs[m]), do: m
    removed = for {m, n} <- before, n > Map.get(now, m, 0), runs?(m, live), do: m
    {added, removed, for({{m, _}, _} <- new, m != module, uniq: true, do: m)}
  end

  # Its start does something, and leaves no process.
  defp ignores?(%{module: module, new: %{exports: exports}} = pair) do
    init = {module, :init, 1}

    with true <- {:init, 1} in exports,
         program = Paths.alone(module, Pair.code(pair, :new), [init]),
         %{returns: [{:const, :ignore}], whole: true} <- Paths.follow(program, init, [:any]),
         do: true,
         else: (_ -> false)
  end

  defp ignores?(nil), do: false

  defp told(pair, root, {[], []}, pairs, live), do: supervised(pair, root, pairs, live)

  defp told(%{module: module}, {function, arity}, {added, removed}, _pairs, live) do
    [
      of_children(
        live,
        module,
        "#{function}/#{arity} " <>
          Enum.join(
            for(m <- added, do: "starts #{inspect(m)}, which is not running") ++
              for(m <- removed, do: "no longer starts #{inspect(m)}, which is running"),
            "; "
          )
      )
    ]
  end

  defp of_children(%{apply_children: how}, module, what) when how != nil,
    do: finding("children_applied", :info, module, what <> ": after the commit")

  defp of_children(_live, module, what),
    do: finding("children_changed", :block, module, what <> ": a hot upgrade starts and stops no children")

  # The same children, with other arguments, or under other rules.
  defp supervised(%{module: module} = pair, {function, arity} = root, pairs, live) do
    where = "#{function}/#{arity}"

    case Specs.compared(pairs, {module, function, arity}, started_with(live, module, arity)) do
      :unknown ->
        if module in live.supervisors and Pair.differs?(pair, [root]),
          do: [
            of_rules(live, root, module, "#{where} differs")
          ],
          else: []

      %{names: names, arguments: arguments, rules: rules} = told ->
        Enum.concat([
          for(
            {m, keys} <- Enum.group_by(told.specs, &elem(&1, 0), &elem(&1, 1)),
            module in live.supervisors or runs?(m, live),
            do: of_specs(live, module, "#{where} starts #{inspect(m)} with", keys)
          ),
          numbers(pair, root, told, live),
          for(
            m <- told.added,
            not runs?(m, live) and not ignores?(pairs[m]),
            do: of_children(live, module, "#{where} starts #{inspect(m)}, which is not running")
          ),
          for(
            {m, name} <- names,
            do:
              of_children(
                live,
                module,
                "#{where} starts #{inspect(m)} as #{inspect(name)}, which is not running"
              )
          ),
          for(
            m <- arguments,
            runs?(m, live),
            do:
              of_arguments(
                live,
                module,
                "#{where} starts #{inspect(m)} with other arguments than it runs with"
              )
          ),
          for(
            rule <- rules,
            do: of_rules(live, root, module, "#{where} sets #{rule}")
          )
        ])
    end
  end

  # Where all supervisors of a module were started with the same.
  defp started_with(live, module, 1) do
    case live do
      %{arguments: %{^module => [argument]}} -> [argument]
      _ -> [:any]
    end
  end

  defp started_with(_live, _module, arity), do: List.duplicate(:any, arity)

  # One with another id is another child: which of them is to run, the supervisor is not told.
  defp of_specs(%{apply_children: how}, module, what, keys) when how != nil do
    if :id in keys,
      do:
        finding(
          "child_spec_changed",
          :warn,
          module,
          "#{what} #{another(keys)} than it runs with: it is started beside the one that runs, under the new id"
        ),
      else:
        finding(
          "children_applied",
          :info,
          module,
          "#{what} #{another(keys)} than it runs with: from the commit on"
        )
  end

  defp of_specs(_live, module, what, keys),
    do:
      finding(
        "child_spec_changed",
        :warn,
        module,
        "#{what} #{another(keys)} than it runs with, and its supervisor keeps that"
      )

  defp another(keys), do: "another #{Enum.map_join(keys, ", ", &inspect/1)}"

  defp of_arguments(%{apply_children: :restart}, module, what),
    do: finding("children_applied", :info, module, what <> ": it is started again with them after the commit")

  defp of_arguments(%{apply_children: :keep}, module, what),
    do:
      finding(
        "child_spec_changed",
        :warn,
        module,
        what <>
          ": its supervisor starts it with them the next time; --apply-children=restart starts it again now"
      )

  defp of_arguments(_live, module, what),
    do: finding("child_spec_changed", :warn, module, what <> ", and its supervisor keeps those")

  # Those of an application's own tree stand in start/2, which at a restart is the image's. What it asks for by a module's name is the new code's.
  defp of_rules(%{apply_children: how}, {:init, 1}, module, what) when how != nil,
    do: finding("children_applied", :info, module, what <> ": from the commit on")

  defp of_rules(_live, {:start, 2}, module, what),
    do:
      finding(
        "supervisor_changed",
        :warn,
        module,
        what <>
          ", which is not applied to what it started; nor is it at a restart, where the image's start/2 runs, unless that asks for it by a module's name"
      )

  defp of_rules(_live, _root, module, what),
    do: finding("supervisor_changed", :warn, module, what <> ", which is not applied to what it started")

  # Of children that are made in a loop, how many there are is a number of its code.
  defp numbers(%{module: module} = pair, {function, arity} = root, %{listed: false, rules: []}, live) do
    [old, new] =
      for version <- [:old, :new], do: pair |> Pair.code(version) |> CodeFacts.reached(module, [root])

    cond do
      old == new ->
        []

      Constants.only_numbers?(old, new) ->
        [
          of_numbers(
            live,
            module,
            "#{function}/#{arity} has other numbers, as that of the children that it starts"
          )
        ]

      # It does the same, with others.
      Constants.other_names?(old, new) ->
        [
          of_numbers(
            live,
            module,
            "#{function}/#{arity} has other names, as those of the children that it starts"
          )
        ]

      true ->
        []
    end
  end

  defp numbers(_pair, _root, _told, _live), do: []

  defp of_numbers(%{apply_children: how}, module, what) when how != nil,
    do:
      finding(
        "children_applied",
        :info,
        module,
        what <> ": those of them that are new start after the commit, and none is ended for it"
      )

  defp of_numbers(_live, module, what),
    do: finding("supervisor_changed", :warn, module, what <> ": they are not applied to what it started")

  # The code that a root leads to, through all modules that change.
  defp reached(version, module, root, pairs), do: reached_from([{module, root}], version, pairs, %{})

  defp reached_from([], _version, _pairs, found), do: found

  defp reached_from([{module, function} = at | rest], version, pairs, found) do
    with false <- is_map_key(found, at),
         %{} = pair <- pairs[module],
         body when body != nil <- Pair.code(pair, version)[function] do
      next = for {m, f, a} <- CodeFacts.calls(body), is_map_key(pairs, m), do: {m, {f, a}}
      reached_from(next ++ rest, version, pairs, Map.put(found, at, body))
    else
      _ -> reached_from(rest, version, pairs, found)
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
      Enum.any?(live.children, fn %{start: {started, _, _}, id: id} = child ->
        Map.get(child, :runs, true) and module in [started, id]
      end)
  end

  defp name(pid) do
    case Process.info(pid, :registered_name) do
      {:registered_name, name} when is_atom(name) -> inspect(name)
      _ -> "a supervisor"
    end
  end
end

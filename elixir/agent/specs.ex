defmodule FlyDeployAgent.Specs do
  @moduledoc """
  What supervisors are told to start, and how, as far as the code shows it, see `FlyDeployAgent.Paths`.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Value}

  @starts [{Supervisor, :start_link, 2}, {Supervisor, :init, 2}, {:supervisor, :start_link, 2}]
  @alone [{DynamicSupervisor, :start_link, 1}, {DynamicSupervisor, :init, 1}]
  # What a specification says where it says nothing, but for what is told by another key.
  @defaults %{restart: :permanent, type: :worker}

  @doc "Whether both versions of a module give the same specification of their children."
  @spec same?(Pair.t()) :: boolean
  def same?(%{module: module} = pair) do
    [old, new] = for version <- [:old, :new], do: follow(pair, version, {module, :child_spec, 1})

    case {old, new} do
      {%{returns: [one], whole: true}, %{returns: [other], whole: true}} ->
        one |> spec() |> alike?(spec(other))

      _ ->
        false
    end
  end

  @doc "By which function, of whatever module, and under which id a child of the running version's `child_spec/1` is started; nil where that is not known."
  @spec start(Pair.t()) :: {mfa, atom} | nil
  def start(%{module: module} = pair) do
    with %{returns: [spec], whole: true} <- follow(pair, :old, {module, :child_spec, 1}),
         {:map, %{id: {:const, id}, start: {:tuple, [{:const, m}, {:const, f}, arguments]}}, _} <-
           Value.parts(spec),
         {arguments, true} when is_atom(id) and is_atom(m) and is_atom(f) <- Value.elements(arguments),
         do: {{m, f, length(arguments)}, id},
         else: (_ -> nil)
  end

  defp follow(%{module: module} = pair, version, {_, _, arity} = mfa) do
    program = Paths.alone(module, Pair.code(pair, version), [mfa])
    Paths.follow(program, mfa, List.duplicate(:any, arity))
  end

  defp spec(value) do
    case Value.parts(value) do
      {:map, values, true} ->
        values =
          values
          |> Map.delete(:modules)
          |> Map.reject(fn {key, value} -> value == {:const, Map.get(@defaults, key, :none)} end)

        {:map, values, true}

      value ->
        value
    end
  end

  defp alike?({:map, _, _} = one, {:map, _, _} = other), do: Value.like?(one, other)
  defp alike?(_one, _other), do: false

  @doc """
  What the function that starts children does otherwise: `added`, modules of children that it did not start, `names`, `{module, name}` of children under names that none had, `arguments`,
  modules of children with other arguments, `specs`, `{module, key}` of what their specifications say otherwise, and `rules`, options of
  supervisors; `listed` tells whether all children are known. Or `:unknown`. `given` is what is known of the function's arguments.
  """
  @spec compared(%{module => Pair.t()}, mfa, given :: [Value.t()]) ::
          %{
            added: [module],
            names: [{module, atom}],
            arguments: [module],
            specs: [{module, atom}],
            rules: [binary],
            listed: boolean
          }
          | :unknown
  def compared(pairs, root, given) do
    case for version <- [:old, :new], do: told(pairs, version, root, given) do
      [%{} = old, %{} = new] ->
        [before, now] = for %{children: children} <- [old, new], do: arguments(children)
        changed = for {m, all} <- now, m != :any, changed?(all, Map.get(before, m)), do: m
        names = for m <- changed, name <- names(now[m]) -- names(before[m]), do: {m, name}

        %{
          added:
            if(old.listed and :any not in given,
              do: Map.keys(new.children) -- [:any | Map.keys(old.children)],
              else: []
            ),
          names: names,
          arguments: changed -- Enum.map(names, &elem(&1, 0)),
          specs: for({m, all} <- new.children, key <- specs(all, Map.get(old.children, m)), do: {m, key}),
          rules: rules(new.rules -- old.rules, old.rules),
          listed: new.listed and old.listed
        }

      _ ->
        # The next one may be started with something else.
        any = Enum.map(given, fn _ -> :any end)
        if given == any, do: :unknown, else: compared(pairs, root, any)
    end
  end

  @doc "The options of supervisors that the functions of a module start, whenever they are called, and that the running version sets otherwise or not."
  @spec rules_changed(Pair.t()) :: [binary]
  def rules_changed(%{module: module, old: %{imports: imports}} = pair) do
    if Enum.any?(@starts ++ @alone, &(&1 in imports)) do
      [old, new] =
        for version <- [:old, :new] do
          code = Pair.code(pair, version)

          starting =
            for {{f, a}, body} <- code,
                Enum.any?(CodeFacts.calls(body), &(&1 in @starts or &1 in @alone)),
                do: {module, f, a}

          Enum.map(starting, &told(%{module => pair}, version, &1, List.duplicate(:any, elem(&1, 2))))
        end

      if old == [] or length(old) != length(new) or nil in old or nil in new do
        []
      else
        [before, now] = for all <- [old, new], do: Enum.flat_map(all, & &1.rules)
        rules(now -- before, before)
      end
    else
      []
    end
  end

  defp arguments(children),
    do: Map.new(children, fn {m, all} -> {m, for({arguments, _} <- all, do: arguments)} end)

  # What a specification says otherwise, of as many children.
  defp specs(all, before) when is_list(before) and length(all) == length(before) do
    for {{_, now}, {_, then}} <- Enum.zip(all, before),
        key <- Enum.uniq(Map.keys(now) ++ Map.keys(then)),
        not Value.like?(spec(now, key), spec(then, key)),
        uniq: true,
        do: key
  end

  defp specs(_all, _before), do: []

  # Where it says nothing, it says what it said.
  defp spec(spec, key), do: Map.get(spec, key, {:const, Map.get(@defaults, key)})

  # nil where there was no such child, of which more is told elsewhere.
  defp changed?(_all, nil), do: false

  defp changed?(all, before),
    do:
      length(all) == length(before) and
        not (all |> Enum.zip(before) |> Enum.all?(fn {one, other} -> Value.like?(one, other) end))

  defp names(arguments) do
    for argument <- arguments,
        {:tuple, [{:const, key}, {:const, name}]} <- argument |> Value.elements() |> elem(0),
        key in [:name, :id],
        is_atom(name),
        do: name
  end

  defp rules(new, old) do
    for {key, value} <- new,
        not Enum.any?(old, fn {k, v} -> k == key and Value.like?(value, v) end),
        uniq: true,
        do: rule(key, value)
  end

  defp rule(key, {:const, value}), do: "#{key}: #{inspect(value)}"
  defp rule(key, _value), do: "another #{key}"

  defp told(pairs, version, root, given) do
    program = Paths.program(&Pair.code_of(pairs, version, &1), [root])
    %{calls: calls, whole: whole} = Paths.follow(program, root, given)

    told =
      for {mfa, [children, options]} <- calls,
          mfa in @starts,
          Value.type(children) in [nil, :list],
          do: {Value.parts(children), Value.parts(options)}

    told = told ++ for {mfa, [options]} <- calls, mfa in @alone, do: {{:const, []}, Value.parts(options)}

    if whole and told != [],
      do: %{
        children:
          for({children, _} <- told, child <- children |> Value.elements() |> elem(0), do: child(child))
          |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)),
        listed: Enum.all?(told, fn {children, _} -> listed?(children) end),
        rules:
          for(
            {_, options} <- told,
            {:tuple, [{:const, key}, value]} <- options |> Value.elements() |> elem(0),
            do: {key, value}
          )
      }
  end

  defp listed?(children) do
    {children, all} = Value.elements(children)
    all and Enum.all?(children, &(elem(child(&1), 0) != :any))
  end

  # What a module that is named alone says of its children: its name or another one, and its own type.
  @its_own %{id: :any, type: :any}

  # A child's module, its arguments, and what else is said of it.
  defp child({:const, module}) when is_atom(module), do: {module, {{:const, []}, @its_own}}

  defp child({:tuple, [{:const, module}, argument]}),
    do: {module, {ordered(argument), @its_own}}

  # What child_spec/1 makes of one argument.
  defp child({:map, %{start: {:tuple, [{:const, module}, _, arguments]}} = values, _}) do
    spec = values |> Map.take([:id, :restart, :type]) |> Map.put_new(:id, :any)

    case Value.elements(arguments) do
      {[argument], true} -> {module, {ordered(argument), spec}}
      _ -> {module, {ordered(arguments), spec}}
    end
  end

  defp child(_other), do: {:any, {:any, %{}}}

  # Options may stand in any order, and one that is nil is none.
  defp ordered(list) do
    {elements, all} = Value.elements(list)

    if all and Enum.all?(elements, &match?({:tuple, [{:const, _}, _]}, &1)),
      do:
        elements
        |> Enum.reject(&match?({:tuple, [_, {:const, nil}]}, &1))
        |> Enum.sort()
        |> List.foldr({:const, []}, &{:cons, &1, &2}),
      else: list
  end
end

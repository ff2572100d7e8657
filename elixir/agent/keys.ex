defmodule FlyDeployAgent.Keys do
  @moduledoc """
  Rows of named tables that the new code reads by keys that no table has: rows that are there keep the keys that they were put under.
  """

  alias FlyDeployAgent.{CodeFacts, CodeFindings, Findings, Pair, Paths, StartRows, Value}

  # Those that raise where there is none, and others.
  @raising [{:ets, :lookup_element, 3}, {:ets, :update_counter, 3}]
  @reading [{:ets, :lookup, 2}, {:ets, :member, 2}, {:ets, :take, 2} | @raising]

  # All functions together.
  @time_ms 2_000

  @putting [{:ets, :insert, 2}, {:ets, :insert_new, 2}]

  @doc """
  The findings about keys that changed modules read, and the running versions of them do not; or which only a start of the new version would put.
  """
  @spec findings([Pair.t()], CodeFindings.live()) :: [Findings.finding()]
  def findings(pairs, live) do
    found = [replaced(pairs), raising(pairs), StartRows.missing(pairs, live)]

    for {module, how, name, key} <-
          found |> Enum.concat() |> Enum.uniq_by(fn {_, _, name, key} -> {name, key} end),
        do: finding(module, how, name, key)
  end

  defp replaced(pairs) do
    read =
      for %{old: %{}} = pair <- pairs,
          Enum.any?(@reading, &(&1 in pair.new.imports)),
          do: {pair, keys(pair, :old), keys(pair, :new)}

    before = for {_, old, _} <- read, {_, name, key} <- old, into: MapSet.new(), do: {name, key}

    for {%{module: module}, old, new} <- read,
        {mfa, name, key} <- new,
        not MapSet.member?(before, {name, key}),
        missing?(name, key),
        mfa in @raising or Enum.any?(old, &replaced?(&1, name, new)),
        uniq: true,
        do: {module, "reads", name, key}
  end

  # Functions that find nothing there by a key of their own, and can do nothing then but raise, whichever module reads it for them.
  defp raising(pairs) do
    until = System.monotonic_time(:millisecond) + @time_ms
    by_module = Map.new(pairs, &{&1.module, &1})

    readers =
      for %{module: module, new: %{imports: imports}} <- pairs,
          Enum.any?(@reading, &(&1 in imports)),
          do: module

    for %{old: %{}, module: module} = pair <- pairs,
        module in readers or Enum.any?(pair.new.imports, fn {m, _, _} -> m in readers end),
        {{f, a} = function, body} <- Pair.code(pair, :new),
        Pair.code(pair, :old)[function] not in [nil, body],
        System.monotonic_time(:millisecond) < until,
        root = {module, f, a},
        new = program(by_module, :new, root),
        Enum.any?(new, fn {_, {body, _}} -> Enum.any?(CodeFacts.calls(body), &(&1 in @reading)) end),
        {name, key} <- sought(new, root),
        raises?(new, root, {name, key}) and not raises?(program(by_module, :old, root), root, {name, key}),
        uniq: true,
        do: {module, "#{f}/#{a} can only raise without", name, key}
  end

  defp program(by_module, version, root) do
    Paths.program(&Pair.code_of(by_module, version, &1), [root])
  end

  defp sought(program, {_, _, a} = root) do
    calls = Paths.follow(program, root, List.duplicate(:any, a)).calls

    for {{:ets, :lookup, 2}, [{:const, name}, {:const, key}]} <- calls,
        is_atom(name) and missing?(name, key),
        not Enum.any?(calls, &puts?(&1, name, key)),
        uniq: true,
        do: {name, key}
  end

  # Where nothing is under that key, and not whatever is there.
  defp raises?(program, {_, _, a} = root, {name, key}) do
    arguments = List.duplicate(:any, a)

    nothing = fn
      {:ets, :lookup, 2}, [{:const, ^name}, {:const, ^key}] -> {:gives, {:const, []}}
      _mfa, _arguments -> nil
    end

    without = Paths.follow(program, root, arguments, %{read: nothing})
    without.whole and without.returns == [] and Paths.follow(program, root, arguments).returns != []
  end

  defp finding(module, how, name, key),
    do:
      Findings.finding(
        "table_changed",
        :warn,
        module,
        "#{how} #{told(key)} in the table #{inspect(name)}, where nothing has that key"
      )

  # A row that was read under another key, and no longer is.
  defp replaced?({_, name, key}, name, new),
    do: not Enum.any?(new, fn {_, n, k} -> {n, k} == {name, key} end) and not missing?(name, key)

  defp replaced?(_other, _name, _new), do: false

  defp missing?(name, key) do
    :ets.info(name, :protection) in [:public, :protected] and :ets.info(name, :size) > 0 and
      not :ets.member(name, key)
  rescue
    # It has gone meanwhile.
    ArgumentError -> false
  end

  # What is raised in a function that catches it does no harm, nor does what it puts there by itself.
  defp keys(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    roots =
      for {{f, a}, body} <- code,
          Enum.any?(CodeFacts.calls(body), &(&1 in @reading)),
          not Enum.any?(body, &(elem(&1, 0) in [:try, :catch])),
          do: {module, f, a}

    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        calls = Paths.follow(program, root, List.duplicate(:any, a)).calls,
        {mfa, [{:const, name}, {:const, key} | _]} <- calls,
        mfa in @reading and is_atom(name),
        not Enum.any?(calls, &puts?(&1, name, key)),
        uniq: true,
        do: {mfa, name, key}
  end

  defp puts?({mfa, [{:const, name}, rows]}, name, key) when mfa in @putting do
    case Value.parts(rows) do
      {:cons, _, _} = list -> list |> Value.elements() |> elem(0) |> Enum.any?(&row?(&1, key))
      row -> row?(row, key)
    end
  end

  defp puts?(_call, _name, _key), do: false

  defp row?({:tuple, [first | _]}, key), do: first == Value.parts({:const, key})
  defp row?(_other, _key), do: false

  defp told(key) when is_atom(key), do: inspect(key)
  defp told(_key), do: "a row"
end

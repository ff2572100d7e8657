defmodule FlyDeployAgent.Patterns do
  @moduledoc """
  Rows of tables, and entries of registries, that the new code looks for in another shape than those that are there have, and the
  running code found: nothing is found any more, and nothing raises.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Reads, Shapes, Value}

  # With a pattern, or patterns with conditions.
  @one [{:ets, :match, 2}, {:ets, :match_object, 2}, {:ets, :match_delete, 2}]
  @several [{:ets, :select, 2}, {:ets, :select_delete, 2}, {:ets, :select_count, 2}]
  @entries [{Registry, :lookup, 2}, {Registry, :dispatch, 3}]
  @all @one ++ @several ++ @entries

  @doc "The findings about what changed modules look for."
  @spec findings([Pair.t()]) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs) do
    for %{old: %{}, module: module} = pair <- pairs,
        Enum.any?(@all, &(&1 in pair.new.imports)),
        {old, new} = {sought(pair, :old), sought(pair, :new)},
        {function, kind, name, shape} <- new -- old,
        there = there(kind, name),
        there != [] and not Enum.any?(there, &found?(kind, &1, shape)),
        # What the same function looked for in its place, and does no more.
        {^function, ^kind, ^name, before} <- old -- new,
        Enum.any?(there, &found?(kind, &1, before)),
        uniq: true,
        do: %{name: "table_changed", severity: :warn, subject: inspect(module), detail: told(kind, name)}
  end

  defp sought(%{module: module} = pair, version) do
    code = Pair.code(pair, version)
    roots = for {{f, a}, body} <- code, Enum.any?(CodeFacts.calls(body), &(&1 in @all)), do: {module, f, a}
    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        {mfa, [{:const, name}, argument | _]} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        mfa in @all and is_atom(name),
        {kind, shape} <- shapes(mfa, Value.parts(argument)),
        uniq: true,
        do: {root, kind, name, shape}
  end

  defp shapes(mfa, pattern) when mfa in @one, do: row(pattern)

  defp shapes(mfa, patterns) when mfa in @several do
    case Value.elements(patterns) do
      {all, true} -> for {:tuple, [pattern, _, _]} <- all, shape <- row(pattern), do: shape
      _ -> []
    end
  end

  defp shapes(_mfa, key), do: [{:key, key}]

  defp row({:tuple, values}), do: [{:row, length(values)}]
  defp row(_pattern), do: []

  defp there(:row, name),
    do:
      if(:ets.whereis(name) == :undefined,
        do: [],
        else: name |> Shapes.rows() |> Enum.map(&tuple_size/1) |> Enum.uniq()
      )

  defp there(:key, name), do: for({:tuple, [key, _]} <- Reads.live({:registry, name}), do: key)

  defp found?(:row, size, sought), do: size == sought
  defp found?(:key, key, sought), do: Value.same(key, sought) != false and alike?(key, sought)

  # A key that is put together is another one than any that comes as it is.
  defp alike?({:tuple, values}, {:tuple, others}),
    do:
      length(values) == length(others) and
        Enum.all?(Enum.zip(values, others), fn {one, other} -> found?(:key, one, other) end)

  defp alike?(_key, _sought), do: true

  defp told(:row, name),
    do: "looks for rows of another size in the table #{inspect(name)} than those that are there"

  defp told(:key, name),
    do: "looks for keys of another shape in the registry #{inspect(name)} than those that are there"
end

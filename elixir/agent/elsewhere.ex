defmodule FlyDeployAgent.Elsewhere do
  @moduledoc """
  Tables and registries that the new code reads, in which nothing is, where the running code reads another one, in which something is:
  what is there does not move along.
  """

  alias FlyDeployAgent.{CodeFacts, Demands, Pair, Paths, Reads, Tables}

  # What reads a place finds there after these.
  @filling [{:ets, :insert, 2}, {:ets, :insert_new, 2}, {:ets, :new, 2}, {Registry, :register, 3}]

  @doc "The findings about what changed and new modules read; `removed` are those that the release has no more."
  @spec findings([Pair.t()], removed :: [{module, atom}], Demands.codes()) :: [
          FlyDeployAgent.Findings.finding()
        ]
  def findings(pairs, removed, codes) do
    reading = Enum.filter(pairs, fn %{new: new} -> reads?(new) end)
    removed = if reading == [], do: [], else: for({module, _app} <- removed, do: module)

    was =
      for(%{old: %{}} = pair <- pairs, reads?(pair.old), do: {pair.module, Pair.code(pair, :old)}) ++
        for module <- removed, code = codes.(:old, module), do: {module, code}

    before = if reading == [], do: [], else: Enum.flat_map(was, fn {module, code} -> read(module, code) end)
    # The running code read nothing: nothing has moved.
    now = if before == [], do: [], else: Enum.flat_map(reading, &read(&1.module, Pair.code(&1, :new)))
    [old, new] = for read <- [before, now], do: MapSet.new(read, &elem(&1, 0))

    rewritten =
      if before == [], do: [], else: for(%{old: %{}} = p <- pairs, name <- Tables.rewritten(p), do: name)

    for {{_, name} = source, {module, f, a}, false} <- now,
        source not in old and name not in rewritten and entries(source) == 0,
        {place, {reader, ^f, ^a}, _} <- before,
        reader == module or reader in removed,
        place not in new,
        count = entries(place),
        count > 0,
        uniq: true do
      %{
        name: "table_changed",
        severity: :warn,
        subject: inspect(module),
        detail:
          "#{f}/#{a} reads #{told(source)}, in which nothing is, and the running code reads #{told(place)}, in which #{number(count)}"
      }
    end
  end

  defp reads?(%{imports: imports}), do: Enum.any?(imports, &Reads.reads?/1)

  # By which functions, and whether these fill it themselves.
  defp read(module, code) do
    roots = for {{f, a}, body} <- code, Enum.any?(CodeFacts.calls(body), &Reads.reads?/1), do: {module, f, a}
    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        calls = Paths.follow(program, root, List.duplicate(:any, a)).calls,
        {mfa, arguments} <- calls,
        {kind, name} = source when kind in [:table, :registry] <- [Reads.source(mfa, arguments)],
        uniq: true,
        do: {source, root, Enum.any?(calls, &fills?(&1, name))}
  end

  defp fills?({mfa, [{:const, name} | _]}, name), do: mfa in @filling
  defp fills?(_call, _name), do: false

  defp entries({:table, name}) do
    case :ets.info(name, :size) do
      :undefined -> 0
      n -> n
    end
  end

  defp entries({:registry, name}) do
    Registry.count(name)
  rescue
    ArgumentError -> 0
  end

  defp told({:table, name}), do: "the table #{inspect(name)}"
  defp told({:registry, name}), do: "the registry #{inspect(name)}"

  defp number(1), do: "1 entry stays"
  defp number(count), do: "#{count} entries stay"
end

defmodule FlyDeployAgent.TableOwners do
  @moduledoc """
  Tables with a name that a process has made when it started, and that the new version of its module does not make: somebody else is to, who has
  started already. They go with their process, and its next start finds none.
  """

  alias FlyDeployAgent.{CodeFacts, Demands, Findings, Pair, Paths}

  @new {:ets, :new, 2}

  @doc "The findings about tables of processes of changed modules, `owners`, their modules by pid."
  @spec findings([Pair.t()], %{pid => module}, Demands.codes()) :: [Findings.finding()]
  def findings(pairs, owners, codes) do
    for %{module: module, old: %{imports: imports}} = pair <- pairs,
        @new in imports,
        {old, true} <- [made(module, :old, codes)],
        name <- old,
        owners[owner(name)] == module,
        # The owner's heir keeps it.
        :ets.info(name, :heir) == :none,
        {new, true} <- [made(module, :new, codes)],
        name not in new and named?(pairs, name),
        not gives_away?(pair),
        uniq: true do
      Findings.finding(
        "table_changed",
        :warn,
        module,
        "no longer makes the table #{inspect(name)} when it starts, and its process owns it: the table ends with that process, and nobody makes it again " <>
          "who has started already"
      )
    end
  end

  # The tables with a name that a start makes, and whether these are all.
  defp made(module, version, codes) do
    root = {module, :init, 1}
    program = Paths.program(&codes.(version, &1), [root])

    if is_map_key(program, root) do
      %{calls: calls, whole: whole} = Paths.follow(program, root, [:any])
      {for({@new, [{:const, name}, _]} <- calls, is_atom(name), do: name), whole}
    else
      {[], false}
    end
  end

  defp owner(name) do
    case :ets.info(name, :owner) do
      pid when is_pid(pid) -> pid
      _ -> nil
    end
  end

  # Whether the new code still has to do with it.
  defp named?(pairs, name) do
    Enum.any?(pairs, fn pair ->
      for({_, body} <- Pair.code(pair, :new), op <- body, do: op) |> Enum.any?(&names?(&1, name))
    end)
  end

  defp names?({:move, {:atom, name}, _}, name), do: true
  defp names?(_op, _name), do: false

  defp gives_away?(pair) do
    code = Pair.code(pair, :new)

    Enum.any?(CodeFacts.reached(code, pair.module, code_change: 3, code_change: 4), fn {_, body} ->
      {:ets, :give_away, 3} in CodeFacts.calls(body)
    end)
  end
end

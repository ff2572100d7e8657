defmodule FlyDeployAgent.Optional do
  @moduledoc """
  Callbacks that a module may have or not, and that a server of another module, which holds it by its name, asked for when it started: one that is
  added since is not called by those that run.
  """

  alias FlyDeployAgent.{Demands, Pair, Paths, Value}

  @asks {:erlang, :function_exported, 3}

  @doc "The findings about servers of modules that stay as they are; `states` are the shapes of theirs, by module."
  @spec findings([Pair.t()], %{module => [Value.t()]}, Demands.codes()) :: [map]
  def findings(pairs, states, codes) do
    added =
      for %{module: module, old: %{exports: old}, new: %{exports: new}} <- pairs,
          more = MapSet.difference(new, old),
          MapSet.size(more) > 0,
          into: %{},
          do: {module, more}

    for {server, shapes} <- if(added == %{}, do: %{}, else: states),
        held =
          for(shape <- shapes, name <- Value.atoms(shape), is_map_key(added, name), uniq: true, do: name),
        held != [],
        asked = asked(server, codes),
        module <- held,
        {f, a} <- asked,
        {f, a} in added[module],
        do: %{
          name: "init_changed",
          severity: :warn,
          subject: inspect(module),
          detail:
            "now has #{f}/#{a}; #{inspect(server)} asks for it when it starts, and running processes have found none"
        }
  end

  defp asked(server, codes) do
    root = {server, :init, 1}
    program = Paths.program(fn m -> if m == server, do: codes.(:new, m) end, [root])

    if is_map_key(program, root),
      do:
        for(
          {@asks, [_module, {:const, f}, {:const, a}]} <- Paths.follow(program, root, [:any]).calls,
          do: {f, a}
        ),
      else: []
  end
end

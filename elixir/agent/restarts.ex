defmodule FlyDeployAgent.Restarts do
  @moduledoc """
  Whether a supervisor could start its children again, by the arguments that it keeps: the new code may want others.
  """

  alias FlyDeployAgent.{Children, Pair, Paths, Value}

  @servers [GenServer, :gen_statem, Agent, Supervisor]

  @doc "The findings about children whose start, or `init/1`, does not take what their supervisor would give."
  @spec failing([Pair.t()], [Children.child()]) :: [FlyDeployAgent.Findings.finding()]
  def failing(pairs, children) do
    by_module = for %{module: module, old: %{}} = pair <- pairs, into: %{}, do: {module, pair}

    for %{start: {module, _, _} = start, arguments: arguments} <- children,
        pair = by_module[module],
        Pair.behaviours_lost(pair) == [],
        {m, f, a} <- refused(pair, start, arguments),
        uniq: true do
      %{
        name: "child_spec_changed",
        severity: :block,
        subject: inspect(m),
        detail:
          "#{f}/#{a} does not take what its supervisor would start it with: its next restart would fail, and end that supervisor"
      }
    end
  end

  defp refused(pair, start, arguments) do
    case followed(pair, :new, start, arguments) do
      [] -> []
      new -> new -- followed(pair, :old, start, arguments)
    end
    |> Enum.take(1)
  end

  # The functions that miss something in what they are given.
  defp followed(%{module: module} = pair, version, {_, f, a} = start, arguments) do
    program = Paths.alone(module, Pair.code(pair, version), [start, {module, :init, 1}])

    if is_map_key(program, {module, f, a}) do
      told = Paths.follow(program, start, arguments)

      inits =
        for {{m, _, _}, called} <- told.calls,
            m in @servers,
            argument <- given(called, module),
            do: Paths.follow(program, {module, :init, 1}, [argument])

      if Enum.all?([told | inits], & &1.whole),
        do: for(%{misses: misses} <- [told | inits], miss <- misses, uniq: true, do: miss.in),
        else: []
    else
      []
    end
  end

  # Names come before the module in OTP's own.
  defp given([{:const, module}, argument | _], module), do: [Value.parts(argument)]
  defp given([_name, {:const, module}, argument | _], module), do: [Value.parts(argument)]
  defp given(_arguments, _module), do: []
end

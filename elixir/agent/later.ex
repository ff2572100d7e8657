defmodule FlyDeployAgent.Later do
  @moduledoc """
  What the running code has others do later, and nobody can look at: timers' messages with structs of an old shape, and calls of functions
  that are gone, by timers and by the running code on other machines.
  """

  alias FlyDeployAgent.{CodeFacts, Pair, Paths, Value}

  # And which argument is the message.
  @messages %{
    {Process, :send_after, 3} => 1,
    {Process, :send_after, 4} => 1,
    {:erlang, :send_after, 3} => 2,
    {:erlang, :send_after, 4} => 2,
    {:erlang, :start_timer, 3} => 2,
    {:timer, :send_after, 2} => 1,
    {:timer, :send_after, 3} => 2,
    {:timer, :send_interval, 2} => 1,
    {:timer, :send_interval, 3} => 2
  }
  @calls [{:timer, :apply_after, 4}, {:timer, :apply_interval, 4}, {:timer, :apply_repeatedly, 4}]
  # On other nodes, which they name first.
  @remote [
    {:erpc, :call, 4},
    {:erpc, :call, 5},
    {:erpc, :cast, 4},
    {:erpc, :multicall, 4},
    {:erpc, :multicall, 5},
    {:erpc, :multicast, 4},
    {:rpc, :call, 4},
    {:rpc, :call, 5},
    {:rpc, :block_call, 4},
    {:rpc, :cast, 4},
    {:rpc, :async_call, 4},
    {:rpc, :multicall, 4},
    {:rpc, :multicall, 5},
    {Node, :spawn, 4},
    {Node, :spawn_link, 4},
    {:erlang, :spawn, 4},
    {:erlang, :spawn_link, 4}
  ]

  @doc "The findings about timers that the running code of `pairs` starts."
  @spec findings([Pair.t()], gone :: MapSet.t(mfa)) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, gone) do
    structs = Pair.fields_added(pairs)

    if structs == %{} and MapSet.size(gone) == 0,
      do: [],
      else:
        for(
          %{old: %{}} = pair <- pairs,
          call <- calls(pair),
          found <- told(call, pair, structs, gone),
          uniq: true,
          do: found
        )
  end

  defp calls(%{module: module, old: %{imports: imports}} = pair) do
    if Enum.any?(imports, &timer?/1) do
      code = Pair.code(pair, :old)
      roots = for {{f, a}, body} <- code, Enum.any?(CodeFacts.calls(body), &timer?/1), do: {module, f, a}
      program = Paths.alone(module, code, roots)

      for {_, _, a} = root <- roots,
          {mfa, _} = call <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
          timer?(mfa),
          uniq: true,
          do: call
    else
      []
    end
  end

  defp timer?(mfa), do: is_map_key(@messages, mfa) or mfa in @calls or mfa in @remote

  defp told({mfa, [_who, {:const, m}, {:const, f}, arguments | _]}, pair, _structs, gone)
       when mfa in @calls or mfa in @remote do
    with true <- mfa in @calls or Node.alive?(),
         {given, true} <- arguments |> Value.parts() |> Value.elements(),
         true <- {m, f, length(given)} in gone do
      who =
        if mfa in @calls,
          do: "#{inspect(pair.module)} has timers call it",
          else: "#{inspect(pair.module)} of machines that still run the old code calls it here"

      [
        finding(
          "mfa_gone",
          Exception.format_mfa(m, f, length(given)),
          "is no longer exported, and #{who}"
        )
      ]
    else
      _ -> []
    end
  end

  defp told({mfa, arguments}, pair, structs, _gone) do
    for struct <- arguments |> Enum.at(Map.get(@messages, mfa, 99), :any) |> Value.parts() |> structs(),
        fields = structs[struct],
        do:
          finding(
            "stale_struct",
            "%#{inspect(struct)}{} without #{Enum.map_join(fields, ", ", &inspect/1)}",
            "is in messages that #{inspect(pair.module)} sends later: those that are under way have the old shape"
          )
  end

  defp structs({:map, values, _}) do
    own = with {:const, struct} <- values[:__struct__], do: [struct], else: (_ -> [])
    own ++ (values |> Map.values() |> Enum.flat_map(&structs/1))
  end

  defp structs({:tuple, values}), do: Enum.flat_map(values, &structs/1)
  defp structs({:cons, head, tail}), do: structs(head) ++ structs(tail)
  defp structs(_value), do: []

  defp finding(name, subject, detail), do: %{name: name, severity: :warn, subject: subject, detail: detail}
end

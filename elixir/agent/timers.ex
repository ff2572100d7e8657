defmodule FlyDeployAgent.Timers do
  @moduledoc """
  Timers that the running code has started for itself, whose messages the new code drops with those that it does not know, because its own
  have other names: what comes again and again ends there. Where no other timer takes the place of one, it is not wanted any more.
  """

  alias FlyDeployAgent.{CodeFacts, Contexts, Messages, Pair, Paths, Value}

  # And which argument is the message.
  @timers %{
    {Process, :send_after, 3} => 1,
    {Process, :send_after, 4} => 1,
    {:erlang, :send_after, 3} => 2,
    {:erlang, :send_after, 4} => 2,
    {:timer, :send_interval, 1} => 1,
    {:timer, :send_interval, 2} => 1,
    {:timer, :send_interval, 3} => 2
  }
  @taking {:handle_info, 2}
  @state {:state}

  @doc "The findings about timers of `live`, the kinds of processes that run, by their modules."
  @spec findings([Pair.t()], %{module => atom}) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, live) do
    for %{old: %{}, module: module} = pair <- pairs,
        live[module] == :gen_server and timed?(pair.old) and timed?(pair.new),
        Pair.both?(pair, @taking) and not Pair.migrates?(pair, 3),
        dropped = dropped(pair, sent(pair, :old), sent(pair, :new)),
        dropped != [],
        do: %{
          name: "messages_changed",
          severity: :warn,
          subject: inspect(module),
          detail:
            "handle_info/2 drops #{Enum.map_join(dropped, ", ", &Messages.told/1)}, which timers of the running code send: what these do ends with the next one"
        }
  end

  @doc "Whether timers that the new version starts take the place of others, whose messages it still takes: they go on with the next one."
  @spec carried_on?(Pair.t()) :: boolean
  def carried_on?(pair) do
    with true <- timed?(pair.old) and timed?(pair.new) and Pair.both?(pair, @taking),
         [_ | _] = gone <- sent(pair, :old) -- sent(pair, :new),
         do:
           Enum.all?(gone, fn message ->
             pair |> both(:new, message) |> then(fn {own, others} -> own != others end)
           end),
         else: (_ -> false)
  end

  defp timed?(%{imports: imports}), do: Enum.any?(imports, &is_map_key(@timers, &1))

  defp sent(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    roots =
      for {{f, a}, body} <- code,
          Enum.any?(CodeFacts.calls(body), &is_map_key(@timers, &1)),
          do: {module, f, a}

    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        {mfa, arguments} <- Paths.follow(program, root, List.duplicate(:any, a)).calls,
        n = @timers[mfa],
        message = arguments |> Enum.at(n, :any) |> Value.parts() |> named(),
        uniq: true,
        do: message
  end

  defp named({:const, tag}) when is_atom(tag), do: tag
  defp named({:tuple, [{:const, tag} | rest]}) when is_atom(tag), do: {tag, length(rest) + 1}
  defp named(_message), do: nil

  defp dropped(pair, old, new) do
    if new -- old == [],
      do: [],
      else:
        for(
          message <- old -- new,
          {own, others} = both(pair, :old, message),
          own != others,
          {same, same} <- [both(pair, :new, message)],
          # It has a finding of its own.
          same != :raises,
          do: message
        )
  end

  # What is done with it, and with a message that no code names.
  defp both(%{module: module} = pair, version, message) do
    root = Tuple.insert_at(@taking, 0, module)
    program = Paths.alone(module, Pair.code(pair, version), [root])
    value = Messages.value(message)

    [own, others] =
      for sent <- [value, Contexts.other(value)], do: does(Paths.follow(program, root, [sent, @state]))

    {own, others}
  end

  defp does(%{returns: [], whole: true}), do: :raises

  defp does(%{returns: returns, calls: calls, whole: whole}),
    do: {Enum.sort(returns), calls |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort(), whole}
end

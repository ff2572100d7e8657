defmodule FlyDeployAgent.Asked do
  @moduledoc """
  What the new code asks of servers by their registered names, and the running code does not: a server that is not there, or one whose
  code has no clause for such a message.
  """

  alias FlyDeployAgent.{CodeFacts, Demands, Messages, Origin, Pair, Paths, Value}

  # And which callback takes the message.
  @asks %{
    {GenServer, :call, 2} => {:handle_call, 3},
    {GenServer, :call, 3} => {:handle_call, 3},
    {:gen_server, :call, 2} => {:handle_call, 3},
    {:gen_server, :call, 3} => {:handle_call, 3},
    {GenServer, :cast, 2} => {:handle_cast, 2},
    {:gen_server, :cast, 2} => {:handle_cast, 2}
  }
  # Who looks first whether there is such a process.
  @looks [{Process, :whereis, 1}, {GenServer, :whereis, 1}, {:erlang, :whereis, 1}]

  @doc "The findings about what changed modules ask."
  @spec findings([Pair.t()], Demands.codes()) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, codes) do
    for %{old: %{}} = pair <- pairs,
        asks?(pair.new),
        {callback, name, message} <- asked(pair, :new) -- asked(pair, :old),
        found <- told(pair, callback, name, message, codes),
        uniq: true,
        do: found
  end

  defp asks?(%{imports: imports}), do: Enum.any?(imports, &is_map_key(@asks, &1))

  # Of names and messages that the code shows.
  defp asked(pair, version) do
    code = Pair.code(pair, version)
    asking = for {f, body} <- code, Enum.any?(CodeFacts.calls(body), &is_map_key(@asks, &1)), do: f
    asked(pair, code, asking, :calls)
  end

  defp asked(%{module: module}, code, functions, which) do
    roots = for {f, a} <- functions, do: {module, f, a}
    program = Paths.alone(module, code, roots)

    for {_, _, a} = root <- roots,
        {mfa, [{:const, name}, message | _]} <-
          program |> Paths.follow(root, List.duplicate(:any, a)) |> Map.fetch!(which),
        callback = @asks[mfa],
        is_atom(name),
        sent = sent(message),
        uniq: true,
        do: {callback, name, sent}
  end

  defp sent({:const, tag}) when is_atom(tag), do: tag

  defp sent(message) do
    case Value.parts(message) do
      {:tuple, [{:const, tag} | rest]} when is_atom(tag) -> {tag, length(rest) + 1}
      _ -> nil
    end
  end

  defp told(%{module: module} = pair, {f, _} = callback, name, message, codes) do
    case Process.whereis(name) do
      nil ->
        # Its own process is started by others, of whom more is told elsewhere. A cast never exits.
        if f == :handle_cast or name == module or Enum.any?(@looks, &(&1 in pair.new.imports)) or
             caught?(pair, {callback, name, message}),
           do: [],
           else: [
             finding(
               "missing_process",
               module,
               "asks #{inspect(name)}, and no process has that name: this will exit"
             )
           ]

      pid ->
        if refuses?(pid, callback, message, codes),
          do: [
            finding(
              "message_refused",
              module,
              "sends #{Messages.told(message)} to #{inspect(name)}, whose #{f} has no clause for it: that would crash it"
            )
          ],
          else: []
    end
  end

  # Whichever way leads to it, from what others call.
  defp caught?(%{module: module, new: %{exports: exports}} = pair, asked) do
    code = Pair.code(pair, :new)
    within = for {_, body} <- code, {^module, f, a} <- CodeFacts.calls(body), into: MapSet.new(), do: {f, a}
    entries = for f <- Map.keys(code), f in exports or f not in within, do: f
    asked not in asked(pair, code, entries, :exposed)
  end

  defp refuses?(pid, callback, message, codes) do
    with {module, _, _} <- Origin.initial_call(pid),
         %{^callback => code} <- codes.(:new, module) do
      not Messages.taken?(code, {:x, 0}, Messages.value(message))
    else
      _ -> false
    end
  end

  defp finding(name, module, detail),
    do: %{name: name, severity: :warn, subject: inspect(module), detail: detail}
end

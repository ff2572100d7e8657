defmodule FlyDeployAgent.MessageFindings do
  @moduledoc """
  Messages that the callbacks of processes took, and no longer take, told by the code of both versions.
  """

  alias FlyDeployAgent.{CodeFindings, Demands, Findings, HandedOn, Messages, Pair, Paths, Senders, Starts}

  import FlyDeployAgent.Findings, only: [finding: 4]

  # Callbacks whose messages may have been sent, or be scheduled, before the upgrade.
  @taking [{{:handle_info, 2}, 0}, {{:handle_cast, 2}, 0}, {{:handle_call, 3}, 0}]
  @events [{{:handle_event, 2}, 0}, {{:handle_call, 2}, 0}, {{:handle_info, 2}, 0}]
  @page [{{:handle_event, 3}, 0}, {{:handle_in, 3}, 0}, {{:handle_async, 3}, 0}]

  @doc "The findings about a module of which `count` processes run."
  @spec all(Pair.t(), pos_integer, CodeFindings.live()) :: [Findings.finding()]
  def all(pair, count, live), do: messages_changed(pair, count, live) ++ timeouts_changed(pair, count)

  defp messages_changed(%{module: module} = pair, count, live) do
    for {{f, a} = callback, argument} <- taking(pair),
        Pair.both?(pair, callback),
        refused = refused(pair, callback, argument, kinds(argument)),
        refused = if(argument == 1, do: refused -- unsent(pair, callback, refused, live), else: refused),
        # Who sends such calls is not seen.
        refused = if(f in [:handle_call, :handle_cast], do: refused -- [:"any other"], else: refused),
        refused = if(f == :handle_call, do: sent(pair, refused, live), else: refused),
        refused =
          if(f == :handle_info and not Starts.waiting?(pair), do: refused -- [:timeout], else: refused),
        refused != [] do
      finding(
        "messages_changed",
        :warn,
        module,
        "#{f}/#{a} no longer has a clause for #{refused |> Enum.take(3) |> Enum.map_join(", ", &Messages.told/1)}: a message of this " <>
          "kind that is already queued or scheduled would crash its process (#{count} #{if count == 1, do: "is", else: "are"} running)"
      )
    end
  end

  defp sent(%{module: module} = pair, messages, live),
    do: Senders.sent(pair, messages, Demands.codes(live), module in Map.get(live, :waiting, []))

  # A state machine's calls of which the same is true.
  defp unsent(pair, callback, refused, live) do
    calls = if refused == [], do: [], else: refused -- refused(pair, callback, 1, kinds(:others))
    calls -- sent(pair, calls, live)
  end

  defp refused(pair, callback, argument, kinds) do
    [old, new] = for version <- [:old, :new], do: Pair.code(pair, version)[callback]

    if old != new and gives_up?(pair, callback),
      do: Messages.named(old, {:x, argument}),
      else:
        Messages.refused(old, new, {:x, argument}, kinds) ++
          HandedOn.refused(pair, callback, argument, kinds)
  end

  # The one that `use GenServer` brings raises, whatever comes.
  defp gives_up?(%{module: module} = pair, {f, a}) do
    [old, new] =
      for version <- [:old, :new] do
        root = {module, f, a}
        program = Paths.alone(module, Pair.code(pair, version), [root])
        Paths.follow(program, root, List.duplicate(:any, a))
      end

    new.whole and Enum.all?(new.returns, &bad?/1) and not Enum.all?(old.returns, &bad?/1)
  end

  # What it would give if it did not raise.
  defp bad?({:made, [{:const, :stop}, {:made, [{:const, bad} | _]} | _]}), do: bad in [:bad_call, :bad_cast]
  defp bad?(_returned), do: false

  # Those that run come at their time.
  defp timeouts_changed(%{module: module, old: %{behaviours: behaviours}} = pair, count) do
    function = {:handle_event, 4}

    names =
      if :gen_statem in behaviours and Pair.both?(pair, function),
        do: Messages.timeouts_refused(Pair.code(pair, :old)[function], Pair.code(pair, :new)[function]),
        else: []

    for name <- names,
        do:
          finding(
            "messages_changed",
            :warn,
            module,
            "handle_event/4 no longer has a clause for the timeout #{inspect(name)}: one that runs now would crash its process (#{Findings.number(count)})"
          )
  end

  @doc "What the type of a state machine's event may be, by its register."
  @spec kinds :: [map]
  def kinds, do: kinds(1)

  # A state machine's events come with their type.
  defp kinds(0), do: [%{}]

  defp kinds(1), do: kinds(:others) ++ [%{{:x, 0} => {:made, [{:tag, :call}, :any]}}]

  defp kinds(:others),
    do: for(type <- [:info, :cast, :internal, :timeout, :state_timeout], do: %{{:x, 0} => {:tag, type}})

  defp taking(%{old: %{behaviours: behaviours} = old}) do
    cond do
      :gen_statem in behaviours ->
        [
          {{:handle_event, 4}, 1}
          | for({f, 3} <- old.exports, f not in [:terminate, :code_change], do: {{f, 3}, 1})
        ]

      :gen_event in behaviours ->
        @events

      Enum.any?(behaviours, &(&1 in [Phoenix.LiveView, Phoenix.Channel])) ->
        @page ++ @taking

      true ->
        @taking
    end
  end
end

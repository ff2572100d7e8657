defmodule Ledger.Setup do
  @moduledoc "Starts everything, and tells tests about it."

  def run(accounts) do
    for n <- 1..accounts, do: {:ok, _} = DynamicSupervisor.start_child(Ledger.Accounts, {Ledger.Account, n})
    {:ok, _} = start({Ledger.Door, []})
    {:ok, _} = start({Ledger.Prices, []})
    {:ok, _} = start(%{id: :events, start: {:gen_event, :start_link, [{:local, Ledger.Events}]}})
    :ok = :gen_event.add_handler(Ledger.Events, Ledger.Audit, [])
    {:ok, _} = pulse()
  end

  @doc "Starts the Task that never ends, in the version that is loaded."
  def pulse do
    with pid when is_pid(pid) <- Process.whereis(Ledger.Pulse),
         do: Task.Supervisor.terminate_child(Ledger.Tasks, pid)

    Task.Supervisor.start_child(Ledger.Tasks, Ledger.Pulse, :run, [])
  end

  defp start(spec), do: DynamicSupervisor.start_child(Ledger.Accounts, spec)

  @doc "One line for each fact that an upgrade must keep or change, sorted."
  def facts do
    [
      "accounts=#{inspect(Enum.frequencies(for {_, s} <- states(), do: shape(s)))}",
      "sum=#{Enum.sum(for {_, s} <- states(), do: s.n)}",
      "pids=#{:erlang.phash2(for {pid, _} <- states(), do: pid)}",
      "suspended=#{length(suspended())}",
      "account=#{Ledger.Account.version()}",
      "door=#{inspect(:sys.get_state(Ledger.Door))} mode=#{Ledger.Door.push()}",
      "events=#{inspect(:gen_event.call(Ledger.Events, Ledger.Audit, :get))}",
      "prices=#{inspect(Agent.get(Ledger.Prices, & &1))} via=#{Ledger.Prices.version()}",
      "pulse=#{inspect(Process.whereis(Ledger.Pulse))} beats=#{Ledger.Pulse.beating?()}",
      "show=#{Ledger.Show.show({1, 2})} #{Ledger.Show.show(1)}",
      "snapshots=#{Enum.count(Process.list(), &snapshot?/1)}"
    ]
    |> Enum.join("\n")
  end

  defp states do
    for {_, pid, _, [Ledger.Account]} <- DynamicSupervisor.which_children(Ledger.Accounts),
        do: {pid, :sys.get_state(pid)}
  end

  defp shape(%{__struct__: module}), do: inspect(module)
  defp shape(map), do: inspect(Map.keys(map))

  def suspended do
    for pid <- Process.list(),
        {_, stack} <- [Process.info(pid, :current_stacktrace)],
        Enum.any?(stack, &match?({:sys, f, _, _} when f in [:suspend_loop, :suspend_loop_hib], &1)),
        do: pid
  end

  defp snapshot?(pid) do
    case Process.info(pid, :dictionary) do
      {_, dictionary} -> Enum.any?(dictionary, &match?({_, {:state, _}}, &1))
      nil -> false
    end
  end
end

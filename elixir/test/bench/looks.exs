# What it costs to look at processes, beside other ways to find the same, in one run: `make bench-looks`.

defmodule FlyDeployAgent.LooksBench do
  alias FlyDeployAgent.{Births, Processes, Queues, Vitals, Watch}

  defmodule Server do
    use GenServer
    def init(state), do: {:ok, state}
    def state(keys), do: Map.new(1..keys, &{&1, "value #{&1}"})
  end

  @times 11

  def run do
    agents()
    births()
    vitals()
  end

  # What the agent does every two seconds while a machine is staged or watched, where the window has as many processes as are looked
  # at, and the VM 100,000 more.
  defp vitals do
    table = Watch.open(self())
    targets = for _ <- 1..2_000, do: %{pid: spawn_link(fn -> Process.sleep(:infinity) end), module: Server}
    pids = for %{pid: pid} <- targets, do: pid
    begun = Vitals.start()

    look = fn ->
      Watch.renew(table)
      Vitals.look(begun, table, targets)
      Queues.look(%{}, pids, :after)
    end

    compare("vitals and mailboxes of 2,000 processes", [
      {"a look", look},
      {"of them the vitals", fn -> Vitals.look(begun, table, targets) end}
    ])

    used = for _ <- 1..@times, do: cpu(look)
    us = Enum.at(Enum.sort(used), div(@times, 2))
    IO.puts("  CPU time: #{us / 1000} ms every 2 s, #{Float.round(us / 20_000, 3)} % of a core")
    event = %{level: :info, msg: {:string, "a line"}, meta: %{pid: self()}}
    {us, _} = :timer.tc(fn -> for _ <- 1..100_000, do: FlyDeployAgent.Supervisors.filter(event, table) end)
    IO.puts("  an event of the log that is none of ours: #{us / 100_000} us")
    Watch.close()
  end

  # Of this VM, in microseconds for each call: its clock counts milliseconds.
  defp cpu(fun) do
    {before, _} = :erlang.statistics(:runtime)
    for _ <- 1..20, do: fun.()
    {now, _} = :erlang.statistics(:runtime)
    (now - before) * 1000 / 20
  end

  defp agents do
    changed = %{Server => %{code_change: [3], behaviours: [GenServer], vsn: 1}}
    agents = for _ <- 1..500, {:ok, pid} <- [Agent.start_link(fn -> Server.state(2_000) end)], do: pid
    named = for _ <- 1..500, {:ok, pid} <- [Agent.start_link(Server, :state, [2_000])], do: pid
    servers = for _ <- 1..500, {:ok, pid} <- [GenServer.start_link(__MODULE__.Server, nil)], do: pid

    compare("500 Agents with 2,000 keys each, of anonymous functions", [
      {"looked at", fn -> {[], []} = Processes.scan(agents, changed, []) end},
      {"looked at, of named functions", fn -> {[_ | _], []} = Processes.scan(named, changed, []) end},
      {"as many GenServers looked at", fn -> {[_ | _], []} = Processes.scan(servers, changed, []) end},
      {"their backtraces", fn -> for pid <- agents, do: Process.info(pid, :backtrace) end}
    ])
  end

  defp births do
    for _ <- 1..100_000, do: spawn_link(fn -> Process.sleep(:infinity) end)
    known = Births.list()
    listed = Births.known(Process.list())

    compare("births among 100,000 processes", [
      {"by their numbers", fn -> Births.born(known) end},
      {"by a list of all", fn -> Births.born(listed) end}
    ])
  end

  # Round after round, so that what else the computer does meets all of them; the ratio is to the first.
  defp compare(title, ways) do
    IO.puts(title)
    rounds = for _ <- 1..@times, do: for({_, fun} <- ways, do: fun |> :timer.tc() |> elem(0))
    medians = rounds |> Enum.zip_with(&Enum.at(Enum.sort(&1), div(@times, 2)))

    for {{name, _}, us} <- Enum.zip(ways, medians),
        do: IO.puts("  #{name}: #{us / 1000} ms, × #{Float.round(us / max(hd(medians), 1), 1)}")
  end
end

FlyDeployAgent.LooksBench.run()

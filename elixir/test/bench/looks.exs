# What it costs to look at processes, beside other ways to find the same, in one run: `make bench-looks`.

defmodule FlyDeployAgent.LooksBench do
  alias FlyDeployAgent.{Births, Processes}

  defmodule Server do
    use GenServer
    def init(state), do: {:ok, state}
    def state(keys), do: Map.new(1..keys, &{&1, "value #{&1}"})
  end

  @times 11

  def run do
    agents()
    births()
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

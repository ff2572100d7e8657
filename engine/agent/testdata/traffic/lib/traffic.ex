defmodule Traffic.Application do
  @moduledoc "Servers and their callers, for upgrades while calls are under way."
  use Application

  def start(_type, _args) do
    children = [
      {DynamicSupervisor, name: Traffic.Servers, strategy: :one_for_one, max_restarts: 1_000},
      {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Traffic.Supervisor)
  end
end

defmodule Traffic.Server do
  use GenServer
  @vsn "1"
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, %{name: name, v: 1}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def handle_call({:run, fun}, _from, s), do: {:reply, fun.(), s}
end

# Has its client function in its own module.
defmodule Traffic.Own do
  use GenServer
  @vsn "1"
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, %{name: name, v: 1}}
  def handle_call(:state, _from, s), do: {:reply, s, s}

  def ask(name) do
    %{v: v} = GenServer.call(name, :state)
    {:ok, v}
  end
end

defmodule Traffic.Other do
  use GenServer
  @vsn "1"
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, %{name: name, v: 1}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
end

# No supervisor waits with these.
defmodule Traffic.Orphan do
  use GenServer
  @vsn "1"
  def init(x), do: {:ok, {1, x}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
end

# The answer returns into this module, as it does in most code.
defmodule Traffic.Client do
  @vsn "1"
  def ask(name) do
    s = GenServer.call(name, :state)
    {:ok, s}
  end
end

# A server of a module that no upgrade changes, which asks another one through one that changes.
defmodule Traffic.Between do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, name}

  def handle_call(:ask, _from, s),
    do: {:reply, Traffic.Client.ask(:"server_#{:rand.uniform(20)}"), s}
end

# The answer does not: nobody who waits runs this module.
defmodule Traffic.Tail do
  @vsn "1"
  def ask(name), do: GenServer.call(name, :state)
end

# Functions that belong to the version that made them.
defmodule Traffic.Functions do
  @vsn "1"
  def make, do: fn x -> {1, x} end
  def capture, do: &local/1
  defp local(x), do: {1, x}
end

defmodule Traffic.Tour do
  @moduledoc "What tests start and ask."

  def start(module, prefix, count) do
    for n <- 1..count do
      name = :"#{prefix}_#{n}"
      spec = %{id: name, start: {module, :start_link, [name]}, restart: :permanent}
      {:ok, _} = DynamicSupervisor.start_child(Traffic.Servers, spec)
    end
  end

  def stop do
    for {_, pid, _, _} <- DynamicSupervisor.which_children(Traffic.Servers),
        do: DynamicSupervisor.terminate_child(Traffic.Servers, pid)

    if boss = Process.whereis(:boss), do: Process.exit(boss, :kill)
  end

  @doc "Callers of `ask.(n)`, under a process that counts those that end and remembers the longest call."
  def callers(count, ask) do
    test = self()
    :persistent_term.put(:longest, :atomics.new(1, []))

    spawn(fn ->
      Process.flag(:trap_exit, true)
      Process.register(self(), :boss)
      for n <- 1..count, do: spawn_link(fn -> call(ask, n) end)
      send(test, :calling)
      count(0)
    end)

    receive do: (:calling -> :ok)
  end

  defp call(ask, n) do
    {us, _} = :timer.tc(fn -> ask.(n) end)
    longest = :persistent_term.get(:longest)
    if us > :atomics.get(longest, 1), do: :atomics.put(longest, 1, us)
    Process.sleep(1)
    call(ask, n)
  end

  @doc "The longest call so far, in microseconds."
  def longest, do: :atomics.get(:persistent_term.get(:longest), 1)

  defp count(ended) do
    receive do
      {:EXIT, _, _} -> count(ended + 1)
      {:ended, from} -> send(from, {:ended, ended}) && count(ended)
    end
  end

  def ended do
    send(:boss, {:ended, self()})
    receive do: ({:ended, ended} -> ended)
  end

  @doc "Ends the callers, and gives how many had ended before."
  def hang_up do
    boss = Process.whereis(:boss)
    ref = Process.monitor(boss)
    ended = ended()
    Process.exit(boss, :kill)
    receive do: ({:DOWN, ^ref, _, _, _} -> ended)
  end

  def pids(prefix, count), do: for(n <- 1..count, do: Process.whereis(:"#{prefix}_#{n}"))

  def versions(prefix, count) do
    1..count |> Enum.map(&GenServer.call(:"#{prefix}_#{&1}", :state).v) |> Enum.uniq()
  end

  def suspended do
    for pid <- Process.list(),
        {_, stack} <- [Process.info(pid, :current_stacktrace)],
        Enum.any?(stack, &match?({:sys, f, _, _} when f in [:suspend_loop, :suspend_loop_hib], &1)),
        do: pid
  end
end

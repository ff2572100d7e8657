# A server that does in code_change what its state says. Later versions of it come from the test.
defmodule Traffic.Fuzz do
  use GenServer
  @vsn "1"
  def version, do: 1
  def start_link({name, plan}), do: GenServer.start_link(__MODULE__, plan, name: name)
  def init(plan), do: {:ok, %{plan: plan, v: 1}}
  def handle_call({:work, ms}, _from, s), do: {:reply, Process.sleep(ms), s}
  def handle_call(:state, _from, s), do: {:reply, s, s}

  def ask(name) do
    s = GenServer.call(name, :state, :infinity)
    {:ok, s.v}
  end
end

# Nobody starts it before the window.
defmodule Traffic.Late do
  use GenServer
  @vsn "1"
  def init(_), do: {:ok, %{v: 1}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
end

defmodule Traffic.Noise do
  @moduledoc "Everything that may happen to a window, at random, and what must be true afterwards."

  @servers 40

  @doc "Starts servers with random plans, most of them harmless, and those who disturb them."
  def start(seed, troubles) do
    :rand.seed(:exsss, {seed, 1, 1})
    Enum.each(processes(Traffic.Late), &end_of/1)

    for n <- 1..@servers do
      plan = if n <= troubles, do: trouble(:rand.uniform(6)), else: :ok
      spec = %{id: n, start: {Traffic.Fuzz, :start_link, [{name(n), plan}]}}
      {:ok, _} = DynamicSupervisor.start_child(Traffic.Servers, spec)
    end

    seeds = for _ <- 1..8, do: :rand.uniform(1_000_000)
    test = self()

    spawn(fn ->
      Process.register(self(), :noise)
      for {seed, n} <- Enum.with_index(seeds), do: spawn_link(fn -> noise(seed, n) end)
      send(test, :noisy)
      Process.sleep(:infinity)
    end)

    receive do: (:noisy -> :ok)
  end

  defp trouble(1), do: :raise
  defp trouble(2), do: :hang
  defp trouble(3), do: {:slow, :rand.uniform(300)}
  defp trouble(4), do: :die
  defp trouble(5), do: {:call, name(:rand.uniform(@servers))}
  defp trouble(6), do: {:compute, :rand.uniform(1_500)}

  defp name(n), do: :"fuzz_#{n}"
  defp any, do: name(:rand.uniform(@servers))

  defp noise(seed, n) do
    :rand.seed(:exsss, {seed, 2, 2})
    Process.flag(:trap_exit, false)
    disturb(n)
  end

  # Callers, those who keep servers busy, who kill them, and who give birth to others without a supervisor.
  defp disturb(n) when n in 0..3, do: forever(fn -> quietly(fn -> Traffic.Fuzz.ask(any()) end) end, 2)

  defp disturb(n) when n in 4..5 do
    forever(fn -> quietly(fn -> GenServer.call(any(), {:work, :rand.uniform(200)}, :infinity) end) end, 100)
  end

  defp disturb(6), do: forever(fn -> if pid = Process.whereis(any()), do: Process.exit(pid, :kill) end, 150)

  defp disturb(7) do
    forever(
      fn ->
        {:ok, pid} = GenServer.start(Traffic.Fuzz, :ok)
        spawn(fn -> Process.sleep(:rand.uniform(2_000)) && Process.exit(pid, :kill) end)
      end,
      20
    )
  end

  defp forever(fun, upto_ms) do
    fun.()
    Process.sleep(:rand.uniform(upto_ms))
    forever(fun, upto_ms)
  end

  defp quietly(fun) do
    fun.()
  catch
    :exit, _ -> :gone
  end

  @doc "Ends the noise, gives everybody time to answer, and tells what is wrong."
  def wrong do
    if noise = Process.whereis(:noise), do: end_of(noise)
    version = Traffic.Fuzz.version()

    for pid <- processes(Traffic.Fuzz) ++ processes(Traffic.Late), wrong = wrong(pid, version), wrong != nil, do: {pid, Process.info(pid, :registered_name), wrong}
  end

  defp processes(module) do
    for pid <- Process.list(),
        {:dictionary, dictionary} <- [Process.info(pid, :dictionary)],
        {^module, _, _} <- [dictionary[:"$initial_call"]],
        do: pid
  end

  defp wrong(pid, version) do
    case GenServer.call(pid, :state, 10_000) do
      %{v: ^version} -> left(pid)
      %{v: other} -> {:half_migrated, other, version}
    end
  catch
    :exit, {:timeout, _} -> {:no_answer, Process.info(pid, [:current_stacktrace, :message_queue_len])}
    :exit, _ -> nil
  end

  defp left(pid) do
    with {:dictionary, dictionary} <- Process.info(pid, :dictionary),
         [_ | _] = left <- for({key, {:state, _}} <- dictionary, do: key),
         do: {:left, left},
         else: (_ -> nil)
  end

  defp end_of(pid) do
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
  end
end

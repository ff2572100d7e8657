# Prints what this OTP tells of processes in different situations, for FlyDeployAgent.BacktraceTest:
#   elixir record.exs >OTP.txt

defmodule FlyDeployAgent.BacktraceTest.Server do
  use GenServer
  def init(state), do: {:ok, state}
  def handle_call(:hibernate, _from, s), do: {:reply, :ok, s, :hibernate}
  def handle_call(:deep, {asker, _}, s), do: {:reply, deep(10, asker), s}
  defp deep(0, asker), do: tap(0, fn _ -> wait(asker) end)
  defp deep(n, asker), do: 1 + deeper(n - 1, asker)
  defp deeper(n, asker), do: 1 + deep(n - 1, asker)

  defp wait(asker) do
    send(asker, :deep)
    receive do: (:go -> :ok)
  end
end

defmodule FlyDeployAgent.BacktraceTest.Statem do
  @behaviour :gen_statem
  def callback_mode, do: :handle_event_function
  def init(data), do: {:ok, :idle, data}
  def handle_event(_, _, _, _), do: :keep_state_and_data
end

alias FlyDeployAgent.BacktraceTest.{Server, Statem}

backtrace = fn pid -> pid |> Process.info(:backtrace) |> elem(1) end
show = fn name, text -> IO.puts("=== #{name}\n" <> text) end

inside = fn pid ->
  test = self()

  tell = fn state ->
    send(test, {:text, backtrace.(self())})
    state
  end

  :sys.replace_state(pid, tell)
  receive do: ({:text, text} -> text)
end

# Names and states that are modules with callbacks themselves, and a text like a backtrace's, must not mislead.
state = %{module: Supervisor, text: "\n\ny(0)     {server_data,fun 'Elixir.Agent.Server':handle_call/3"}
{:ok, server} = GenServer.start_link(Server, state, name: Supervisor)
show.("gen_server waits", backtrace.(server))
show.("gen_server is asked", inside.(server))

Task.start_link(fn ->
  Process.register(self(), :asker)
  GenServer.call(server, :deep)
end)

Process.sleep(100)
show.("gen_server deep inside of a callback", backtrace.(server))
send(server, :go)

:ok = GenServer.call(server, :hibernate)
Process.sleep(100)
show.("gen_server hibernates", backtrace.(server))
show.("gen_server hibernates, is asked", inside.(server))

{:ok, statem} = :gen_statem.start_link({:local, Agent.Server}, Statem, state, [])
show.("gen_statem waits", backtrace.(statem))
show.("gen_statem is asked", inside.(statem))
{:ok, statem} = :gen_statem.start_link(Statem, state, hibernate_after: 0)
Process.sleep(100)
show.("gen_statem hibernates", backtrace.(statem))
show.("gen_statem hibernates, is asked", inside.(statem))

{:ok, agent} = Agent.start_link(fn -> state end)
show.("Agent waits", backtrace.(agent))

{:ok, caller} =
  Task.start_link(fn -> [GenServer.call(agent, {:get, fn _ -> Process.sleep(:infinity) end})] end)

Process.sleep(100)
show.("Task waits for an Agent", backtrace.(caller))

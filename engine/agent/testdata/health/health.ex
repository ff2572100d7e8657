# What health_test.go upgrades from version 1 to 2, as HEALTH says: nothing here has a code_change, and version 2 wants states that
# version 1 has not made.

defmodule Health.Server do
  @version System.fetch_env!("HEALTH")

  def version, do: @version

  defmacro __using__(_) do
    quote do
      use GenServer
      def start_link(_ \\ []), do: GenServer.start_link(__MODULE__, %{}, name: __MODULE__)
      def init(state), do: {:ok, state}
      def version, do: unquote(@version)
      defoverridable init: 1
    end
  end
end

defmodule Health.Cart do
  use Health.Server

  if Health.Server.version() == "2",
    do: def(handle_cast(:step, state), do: {:noreply, %{state | step: 2}}),
    else: def(handle_cast(:step, state), do: {:noreply, state})
end

# As a LiveView does, it renders what it holds.
defmodule Health.Page do
  use Health.Server
  def handle_info(:render, state), do: {:noreply, send(self(), {:page, render(state)}) && state}
  def handle_info({:page, _}, state), do: {:noreply, state}

  if Health.Server.version() == "2",
    do: defp(render(state), do: "total #{Map.fetch!(state, :total)}"),
    else: defp(render(_state), do: "no total")
end

# Ends in good order, and is started again each time.
defmodule Health.Quitter do
  use Health.Server

  if Health.Server.version() == "2",
    do: def(handle_cast(:step, state), do: {:stop, :normal, state}),
    else: def(handle_cast(:step, state), do: {:noreply, state})
end

# Its supervisor gives up.
defmodule Health.Doomed do
  use Health.Server

  if Health.Server.version() == "2",
    do: def(handle_cast(:step, _state), do: raise("doomed")),
    else: def(handle_cast(:step, state), do: {:noreply, state})
end

# Crashes all the time, in both versions.
defmodule Health.Loop do
  use Health.Server

  def init(state) do
    Process.send_after(self(), :crash, 100)
    {:ok, state}
  end

  def handle_info(:crash, _state), do: raise("as always")
end

# A noisy application: tasks that nobody looks after crash all the time, in both versions.
defmodule Health.Noise do
  def start, do: spawn(&loop/0)
  def version, do: Health.Server.version()

  def loop do
    spawn(__MODULE__, :work, [nil])
    Process.sleep(120)
    __MODULE__.loop()
  end

  def work(nil), do: raise("noise of version #{version()}")
end

defmodule Health.Run do
  def start do
    supervise(Health.Supervisor, [Health.Cart, Health.Page, Health.Quitter], max_restarts: 3, max_seconds: 3_600)
    supervise(Health.Fragile, [Health.Doomed], max_restarts: 1, max_seconds: 3_600)
    supervise(Health.Patient, [Health.Loop], max_restarts: 1_000, max_seconds: 1)
    Health.Noise.start()
  end

  # Not linked to whoever asks for it.
  defp supervise(name, children, limits) do
    starter = self()

    spawn(fn ->
      {:ok, _} = Supervisor.start_link(children, [strategy: :one_for_one, name: name] ++ limits)
      send(starter, :started)
      Process.flag(:trap_exit, true)
      Process.sleep(:infinity)
    end)

    receive do
      :started -> :ok
    end
  end

  def version, do: Health.Server.version()
end

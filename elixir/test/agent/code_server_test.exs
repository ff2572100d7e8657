Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.CodeServerTest do
  # Nobody else can load code meanwhile.
  use ExUnit.Case

  alias FlyDeployAgent.{Cell, Loader, Processes, Windows}

  defmodule Server do
    use GenServer
    @vsn "1"
    def init(state), do: {:ok, state}
    def handle_call(:get, _from, s), do: {:reply, s, s}
    def handle_cast(fun, s), do: {:noreply, tap(s, fun)}
    def code_change("1", s, _), do: {:ok, s + 1}
  end

  @changed %{Server => %{code_change: [3], behaviours: [], vsn: "1"}}

  # Holds the code server until it is told to let it go.
  defp holder do
    spawn(fn ->
      receive do
        {:hold, from} ->
          :erlang.suspend_process(Process.whereis(:code_server))
          send(from, :held)

          receive do
            :let_go -> :ok
          after
            60_000 -> :ok
          end
      end
    end)
  end

  defp until_spent(cell), do: if(Cell.spent_us(cell) < 50_000, do: until_spent(cell), else: :ok)

  test "one that became busy while processes were suspended loads nothing, and is not waited for" do
    Windows.load_all()
    {:ok, pid} = GenServer.start(Server, 1)
    {targets, []} = Processes.scan([pid], @changed, [])

    window =
      Windows.new(
        targets: targets,
        changed: @changed,
        suspend_ms: 60_000,
        max_suspend_ms: 600_000,
        loader_ms: 500
      )

    holder = holder()

    GenServer.cast(pid, fn _state ->
      send(holder, {:hold, self()})
      receive do: (:held -> until_spent(window.cell))
    end)

    result = Windows.run(window)
    send(holder, :let_go)
    assert %{outcome: :failed, failures: [%{reason: "code_server_busy"}]} = result
    assert Loader.answers?(60_000)
    assert GenServer.call(pid, :get) == 1
  end
end

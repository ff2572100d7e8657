defmodule FlyDeployAgent.RenamedTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Renamed

  defmodule Server do
    use GenServer
    def init(state), do: {:ok, state}
  end

  defmodule Statem do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(data), do: {:ok, :idle, data}
    def handle_event(_, _, _, _), do: :keep_state_and_data
  end

  # A literal would not count.
  defp many, do: Enum.to_list(1..60_000)

  defp server(state \\ nil) do
    {:ok, pid} = GenServer.start_link(Server, state)
    process(pid)
  end

  defp statem(data \\ nil) do
    {:ok, pid} = :gen_statem.start_link(Statem, data, [])
    process(pid)
  end

  defp process(pid), do: %{pid: pid, asleep: false, group: :same}
  defp told(processes), do: Renamed.callbacks(processes)

  test "a large process is not asked where small ones of its group tell the same" do
    small = for _ <- 1..3, do: server()
    # It is no Server: nobody has asked it.
    large = statem(many())
    assert told([large | small]) == Map.new([large | small], &{&1.pid, {:gen_server, Server}})
    assert told([large]) == %{large.pid => {:gen_statem, Statem}}
    assert told([%{large | group: :other} | small])[large.pid] == {:gen_statem, Statem}
  end

  test "where the small ones differ, or do not tell, all are asked" do
    large = statem(many())
    assert told([server(), statem(), large])[large.pid] == {:gen_statem, Statem}

    silent = spawn_link(fn -> receive do: (:go -> :ok) end)
    assert told([process(silent), large]) == %{large.pid => {:gen_statem, Statem}}
  end

  test "of many small ones some are asked" do
    all = for _ <- 1..80, do: server()
    assert told(all) == Map.new(all, &{&1.pid, {:gen_server, Server}})
  end
end

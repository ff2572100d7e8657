Code.require_file("windows.exs", __DIR__)

defmodule FlyDeployAgent.WaitingTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Waiting, Window, Windows}

  defmodule Asks do
    use GenServer
    def init(whom), do: {:ok, whom}
    def handle_call(:ask, _from, whom), do: {:reply, GenServer.call(whom, :ask, :infinity), whom}
  end

  test "who is in a call to a suspended process waits for it, also through others" do
    suspended = start_supervised!({Agent, fn -> 1 end})
    :ok = :sys.suspend(suspended)
    between = start_supervised!(%{id: 1, start: {GenServer, :start_link, [Asks, suspended]}})
    asks = spawn_link(fn -> GenServer.call(between, :ask, :infinity) end)

    await(fn -> Waiting.for_suspended(between) end)
    assert Waiting.for_suspended(between) == suspended
    await(fn -> Waiting.for_suspended(asks) end)
    assert Waiting.for_suspended?(asks)
    assert Waiting.for_suspended(suspended) == nil
    # A rollback, which keeps whom it waits for suspended, does not wait for it to leave old code.
    {_ms, hopeless?} = Window.patience(Windows.new(), [])
    assert hopeless?.(between) and hopeless?.(asks)
    refute hopeless?.(self())

    :ok = :sys.resume(suspended)
    await(fn -> not Waiting.for_suspended?(between) end)
  end

  test "who waits for somebody who only works, or for a message, does not" do
    test = self()
    busy = start_supervised!({Agent, fn -> 1 end})

    asks =
      spawn_link(fn ->
        Agent.update(busy, fn s ->
          send(test, :busy)
          receive do: (:go -> s)
        end)
      end)

    assert_receive :busy
    waits = spawn_link(fn -> receive do: (:go -> :ok) end)
    refute Waiting.for_suspended?(asks)
    refute Waiting.for_suspended?(waits)
    for pid <- [busy, waits], do: send(pid, :go)
  end

  defp await(fun) do
    unless fun.() do
      Process.sleep(1)
      await(fun)
    end
  end
end

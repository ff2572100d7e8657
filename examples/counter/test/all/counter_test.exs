defmodule CounterTest do
  use ExUnit.Case

  test "every number has a counter, in order" do
    assert Enum.map(Counter.all(), &elem(&1, 0)) == Enum.to_list(1..1000)
    assert Counter.fetch(0) == :error
    assert {:ok, pid} = Counter.fetch(1000)
    assert {1000, pid} == List.last(Counter.all())
  end

  test "a counter counts, and a sweep adds all of them up" do
    {1000, before} = Counter.sweep()
    {:ok, pid} = Counter.fetch(3)
    count = Counter.Server.count(pid)
    assert Counter.Server.increment(pid) == count + 1
    assert Counter.sweep() == {1000, before + 1}
  end

  test "a sweep can be spread over time" do
    started = System.monotonic_time(:millisecond)
    assert {1000, _total} = Counter.sweep(100)
    assert System.monotonic_time(:millisecond) - started >= 100
  end

  test "a counter that crashes starts again from nothing, under its number" do
    {:ok, pid} = Counter.fetch(17)
    1 = Counter.Server.increment(pid)
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^ref, :process, ^pid, :killed}
    assert await(fn -> match?({:ok, other} when other != pid, Counter.fetch(17)) end)
    {:ok, pid} = Counter.fetch(17)
    assert Counter.Server.count(pid) == 0
  end

  test "states are of this version's shape, told apart by a vsn" do
    shape = Counter.State.__struct__().shape
    assert "#{shape}.0.0" == Counter.Version.number()

    for module <- [Counter.Server, Counter.State, Counter.Heartbeat, Counter.Version] do
      assert module.module_info(:attributes)[:vsn] == [shape]
    end

    assert Enum.all?(Counter.states(), fn {number, _pid, state} -> state.shape == shape and state.number == number end)
  end

  test "ten increments make a milestone" do
    {:ok, pid} = Counter.fetch(29)
    before = Counter.Journal.report().milestones
    for _ <- 1..10, do: Counter.Server.increment(pid)
    assert Counter.Journal.report().milestones == before + 1
  end

  test "a turn of the gate opens and closes it" do
    %{state: :closed, turns: turns} = Counter.Gate.report()
    assert Counter.Gate.turn() == :open
    assert Counter.Gate.turn() == :closed
    assert %{state: :closed, turns: later} = Counter.Gate.report()
    assert later == turns + 2
  end

  test "the task is no OTP process: it only notices stray messages" do
    before = Counter.HTTP.Views.task()
    send(before.pid, {:system, {self(), make_ref()}, :suspend})
    assert %{pid: pid, stray: stray} = Counter.HTTP.Views.task()
    assert pid == before.pid
    assert stray == before.stray + 1
    assert %{pid: other} = Counter.HTTP.Views.restart_task()
    assert other != pid
    assert await(fn -> Process.whereis(Counter.Heartbeat) == other end)
    assert %{pid: ^other, stray: 0} = Counter.HTTP.Views.task()
  end

  # Polls a condition that another process brings about.
  defp await(condition, left \\ 500) do
    cond do
      condition.() -> true
      left == 0 -> false
      true -> Process.sleep(10) && await(condition, left - 1)
    end
  end
end

defmodule Counter.CarelessV4Test do
  use ExUnit.Case

  # What version 1 left behind.
  @state_v1 %{__struct__: Counter.State, number: 1, count: 37, shape: 1}

  test "the best counter is remembered" do
    {:ok, pid} = Counter.fetch(7)
    for _ <- 1..3, do: Counter.Server.increment(pid)
    assert {_number, count} = Counter.Best.best()
    assert count >= 3
  end

  test "no code_change brings the new field, and an increment needs it" do
    assert Counter.Server.code_change(1, @state_v1, []) == {:ok, @state_v1}

    assert_raise KeyError, fn -> Counter.Server.handle_call(:increment, {self(), make_ref()}, @state_v1) end
  end

  test "no code_change/4 brings the gate's new key, and a turn needs it" do
    refute function_exported?(Counter.Gate, :code_change, 4)
    assert_raise KeyError, fn -> Counter.Gate.closed({:call, {self(), make_ref()}}, :turn, %{shape: 1, turns: 3}) end
  end
end

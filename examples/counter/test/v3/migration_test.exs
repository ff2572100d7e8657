defmodule Counter.MigrationV3Test do
  use ExUnit.Case

  @state_v1 %{__struct__: Counter.State, number: 1, count: 37, shape: 1}
  @state_v2 %{__struct__: Counter.State, number: 1, count: 37, shape: 2, milestone: Counter.Milestone.at(37)}

  test "most counters migrate, from version 1 and from version 2" do
    for {vsn, old} <- [{1, @state_v1}, {2, @state_v2}] do
      assert {:ok, migrated} = Counter.Server.code_change(vsn, old, [])
      assert migrated == Counter.State.new(1, 37)
      refute migrated.even?
    end
  end

  test "every 500th counter raises, and stays suspended with its old state" do
    {:ok, pid} = Counter.fetch(500)
    old = %{@state_v1 | number: 500}
    state = Counter.Server.state(pid)
    :ok = :sys.suspend(pid)
    :sys.replace_state(pid, fn _state -> old end)
    assert {:error, {:EXIT, {%RuntimeError{message: message}, _stack}}} = :sys.change_code(pid, Counter.Server, 1, [])
    assert message == "counter 500 cannot take shape 3: its book is closed"
    assert :sys.get_state(pid) == old
    :sys.replace_state(pid, fn _state -> state end)
    :ok = :sys.resume(pid)
  end
end

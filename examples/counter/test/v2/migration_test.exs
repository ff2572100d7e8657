defmodule Counter.MigrationV2Test do
  use ExUnit.Case

  # As version 1 leaves it: the struct without the key that version 2 added.
  @state_v1 %{__struct__: Counter.State, number: 1, count: 37, shape: 1}

  test "a counter's milestone is worked out from its count" do
    {:ok, pid} = Counter.fetch(1)
    assert :ok = migrate(pid, Counter.Server, @state_v1)
    assert Counter.Server.state(pid) == Counter.State.new(1, 37)
    assert %{passed: 3, next: 40} = Counter.Server.state(pid).milestone
    assert Counter.Server.increment(pid) == 38
  end

  test "a gate keeps its state and splits its turns" do
    for {state, turns, opened, closed} <- [{:open, 7, 4, 3}, {:closed, 8, 4, 4}, {:closed, 0, 0, 0}] do
      assert :ok = migrate(Process.whereis(Counter.Gate), Counter.Gate, {state, %{shape: 1, turns: turns}})
      assert %{state: ^state, opened: ^opened, closed: ^closed, turns: ^turns} = Counter.Gate.report()
    end
  end

  test "the journal goes on counting" do
    pid = Process.whereis(Counter.Journal)
    :ok = :sys.suspend(pid)
    :sys.replace_state(pid, fn {Counter.Journal, id, _state} -> {Counter.Journal, id, %{shape: 1, milestones: 5}} end)
    assert :ok = :sys.change_code(pid, Counter.Journal, 1, [])
    :ok = :sys.resume(pid)
    assert Counter.Journal.report() == %{shape: 2, milestones: 5, last: nil}
    Counter.Journal.milestone(3, 20)
    assert Counter.Journal.report() == %{shape: 2, milestones: 6, last: "counter 3 at 20"}
  end

  defp migrate(pid, module, old_state) do
    :ok = :sys.suspend(pid)
    :sys.replace_state(pid, fn _state -> old_state end)
    answer = :sys.change_code(pid, module, 1, [])
    :ok = :sys.resume(pid)
    answer
  end
end

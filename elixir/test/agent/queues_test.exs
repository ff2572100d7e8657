defmodule FlyDeployAgent.QueuesTest do
  # The handler of the log has a name.
  use ExUnit.Case

  alias FlyDeployAgent.{Cell, Queues, State, Vitals, Watch}

  # A process that reads nothing.
  setup do
    pid = start_supervised!({Task, fn -> Process.sleep(:infinity) end})
    {:ok, pid: pid, targets: [%{pid: pid, module: Shop.Cart}]}
  end

  defp fill(pid, n), do: for(n <- 1..n, do: send(pid, n))

  defp looks(seen, pid, phase, growth),
    do:
      Enum.reduce(growth, seen, fn n, seen ->
        n > 0 && fill(pid, n)
        Queues.look(seen, [pid], phase)
      end)

  test "a mailbox that grows look by look is told", %{pid: pid, targets: targets} do
    seen = looks(%{}, pid, :after, [300, 50, 50])
    assert Queues.told(seen, targets) == []
    seen = looks(seen, pid, :after, [50])
    assert Queues.told(seen, targets) == [%{module: "Shop.Cart", length: 450}]
  end

  test "one that is long and does not grow, or grows and is short, is not", %{pid: pid, targets: targets} do
    assert %{} |> looks(pid, :after, [10, 10, 10, 10, 10]) |> Queues.told(targets) == []
    assert %{} |> looks(pid, :after, [900, 0, 0, 0, 0, 0]) |> Queues.told(targets) == []
  end

  test "one that grew before the commit is not told after it", %{pid: pid, targets: targets} do
    seen = looks(%{}, pid, :before, [300, 50, 50, 50])
    assert seen |> looks(pid, :after, [50, 50, 50, 50]) |> Queues.told(targets) == []
  end

  test "one that has been read, or has ended, is forgotten", %{pid: pid} do
    seen = looks(%{}, pid, :after, [300, 50])
    stop_supervised!(Task)
    assert Queues.look(seen, [pid], :after) == %{}
  end

  test "an agent looks every two seconds, also while crashes have it write its status all the time", %{
    pid: pid,
    targets: targets
  } do
    fill(pid, 300)
    now = System.monotonic_time(:millisecond)
    watch = Watch.open(self())
    on_exit(&Watch.close/0)

    s = %State{
      order: nil,
      dir: "",
      cell: Cell.new(),
      deadline: now,
      guardian: self(),
      watch: watch,
      vitals: Vitals.start(),
      boot: "1-2",
      state: :committed,
      result: %{targets: targets},
      published: now,
      looked: now + 60_000
    }

    assert State.look(s).queues == %{}
    assert %{queues: %{^pid => {300, 0}}} = looked = State.look(%{s | looked: now - 2_001})
    assert looked.looked >= now
    assert %{told: %{memory: _}, before: nil} = looked.vitals
    assert %{told: told, before: told} = State.last_look(looked).vitals
  end
end

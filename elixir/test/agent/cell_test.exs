defmodule FlyDeployAgent.CellTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Cell

  defp window(steps) do
    cell = Cell.new()
    for step <- steps, do: Cell.enter(cell, step)
    cell
  end

  defp told(steps, outcome),
    do: for(p <- Cell.phases(window(steps), outcome), p.status != "skipped", do: {p.name, p.status})

  test "a step that is entered again keeps its first time" do
    cell = window([:suspending])
    at = Cell.at(cell, :suspending)
    Process.sleep(1)
    Cell.enter(cell, :suspending)
    assert Cell.at(cell, :suspending) == at
    assert Cell.step(cell) == :suspending
    assert_in_delta at, System.os_time(:microsecond), 1_000_000
  end

  test "the phases of a commit" do
    assert told([:suspending, :swapping, :migrating, :finishing, :resuming, :done], :committed) ==
             [{"suspension", "done"}, {"code_load", "done"}, {"migration", "done"}, {"resume", "done"}]
  end

  test "pages are rendered before the resume, and told of last" do
    steps = [:suspending, :swapping, :migrating, :finishing, :rendering]
    assert {"liveview", "done"} in told(steps ++ [:resuming, :done], :committed)
    assert {"liveview", "failed"} in told(steps ++ [:rolling_back, :resuming, :done], :rolled_back)
    skipped = List.last(Cell.phases(window([:suspending, :swapping, :resuming, :done]), :failed))
    assert skipped == %{name: "liveview", status: "skipped", at_us: 0, us: 0}
  end

  test "the phase that failed is the last that was reached" do
    assert told([:suspending, :resuming, :done], :failed) == [{"suspension", "failed"}, {"resume", "done"}]

    assert told([:suspending, :swapping, :resuming, :done], :failed) ==
             [{"suspension", "done"}, {"code_load", "failed"}, {"resume", "done"}]

    assert told([:suspending, :swapping, :migrating, :rolling_back, :resuming, :done], :rolled_back) ==
             [
               {"suspension", "done"},
               {"code_load", "done"},
               {"migration", "failed"},
               {"rollback", "done"},
               {"resume", "done"}
             ]
  end

  test "phases lie within the window and do not overlap" do
    cell = window([:suspending, :swapping, :migrating, :resuming, :done])
    phases = cell |> Cell.phases(:committed) |> Enum.reject(&(&1.status == "skipped"))

    for [a, b] <- Enum.chunk_every(phases, 2, 1, :discard), do: assert(a.at_us + a.us <= b.at_us)
  end

  test "the second swap counts to code_load, so that all phases together are the window" do
    cell = window([:suspending, :swapping, :migrating, :finishing, :rendering, :resuming, :done])

    assert Enum.sum(Enum.map(Cell.phases(cell, :committed), & &1.us)) ==
             Cell.at(cell, :done) - Cell.at(cell, :suspending)
  end

  test "the budget is spent by all attempts together, what is told is the longest, and pauses count for nothing" do
    cell = Cell.new()
    assert {Cell.spent_us(cell), Cell.longest_us(cell)} == {0, 0}
    Cell.open(cell, now() - 3_000_000)
    # While processes are suspended, it grows.
    assert Cell.spent_us(cell) >= 3_000_000
    Cell.close(cell)
    first = Cell.spent_us(cell)
    assert Cell.longest_us(cell) == first
    Process.sleep(2)
    assert Cell.spent_us(cell) == first

    Cell.open(cell, now() - 1_000_000)
    # It was begun too early: from here on they are suspended.
    Cell.open(cell, now() - 500_000)
    Cell.close(cell)
    second = Cell.spent_us(cell) - first
    assert second >= 500_000
    assert Cell.longest_us(cell) == max(first, second)
    # A successor that resumes all once more.
    done = Cell.at(cell, :done)
    Cell.close(cell)
    assert {Cell.spent_us(cell), Cell.at(cell, :done)} == {first + second, done}
    assert done - Cell.at(cell, :suspending) == second
  end

  defp now, do: System.monotonic_time(:microsecond)

  test "a successor goes on counting" do
    cell = Cell.new()
    assert for(_ <- 1..3, do: Cell.next_seq(cell)) == [1, 2, 3]
    assert Task.await(Task.async(fn -> Cell.next_seq(cell) end)) == 4
  end
end

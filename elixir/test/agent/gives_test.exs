defmodule FlyDeployAgent.GivesTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Gives, Value}

  @integer {:is, :integer}

  test "elements of sorted sets and trees" do
    set = Value.of(:gb_sets.from_list([{2, :b}, {1, :a}]))
    tree = Value.of(:gb_trees.from_orddict([{1, {:x, "y"}}]))

    assert {:either, [{:tuple, [@integer, {:atom, _}]}]} = Gives.of({:gb_sets, :smallest, 1}, [set])

    assert {:either, [{:made, [{:tuple, [@integer, _]}, ^set]}]} =
             Gives.of({:gb_sets, :take_smallest, 1}, [set])

    assert {:either, [{:cons, {:tuple, [@integer, _]}, :any}]} = Gives.of({:gb_sets, :to_list, 1}, [set])
    assert {:either, [{:made, [@integer, value]}]} = Gives.of({:gb_trees, :smallest, 1}, [tree])
    assert Gives.of({:gb_trees, :get, 2}, [:any, tree]) == {:either, [value]}

    assert {:either, [{:made, [_, ^value]}, {:const, :none}]} =
             Gives.of({:gb_trees, :lookup, 2}, [:any, tree])

    assert Gives.of({:gb_trees, :take_smallest, 1}, [tree]) == {:either, [{:made, [@integer, value, tree]}]}

    for empty <- [:gb_sets.new(), :gb_trees.empty(), {1, 2}, :none],
        do: assert(Gives.of({:gb_sets, :smallest, 1}, [Value.of(empty)]) == nil)
  end
end

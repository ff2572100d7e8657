defmodule FlyDeployAgent.ReadsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Reads, Value}

  test "elements that are written to and are not there" do
    table = :ets.new(:short, [:public])
    :ets.insert(table, {:a})

    for {f, operations, misses} <- [
          {:update_counter, {:const, 1}, 2},
          {:update_counter, {:const, [{1, 0}, {3, 1}]}, 3},
          {:update_counter, {:made, [{:const, 4}, :any]}, 4},
          {:update_counter, :any, nil},
          {:update_element, {:made, [{:const, 2}, :any]}, 2},
          {:update_element, {:made, [{:const, 1}, :any]}, nil}
        ] do
      found = Reads.held({:ets, f, 3}, [Value.of(table), {:const, :a}, operations], %{})
      assert {f, operations, found} == {f, operations, misses && {:misses, {{:arity, misses, 1}, false}}}
    end
  end

  test "rows that are too large to be looked at may have any key" do
    table = :ets.new(:large, [:public])
    :ets.insert(table, {:a, 1})

    read = fn function, rest ->
      Reads.held({:ets, function, 1 + length(rest)}, [Value.of(table) | rest], %{})
    end

    assert {:gives, {:cons, {:tuple, [_, {:is, :integer}]}, :any}} = read.(:lookup, [{:const, :a}])

    Process.delete({Reads, table})
    :ets.delete_all_objects(table)
    :ets.insert(table, [:b | Enum.to_list(1..70)] |> List.to_tuple())
    assert read.(:lookup, [{:const, :b}]) == {:gives, {:cons, :any, :any}}
    assert read.(:lookup_element, [{:const, :b}, {:const, 2}]) == nil
  end
end

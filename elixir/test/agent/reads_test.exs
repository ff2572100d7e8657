defmodule FlyDeployAgent.ReadsTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Reads, Value}

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

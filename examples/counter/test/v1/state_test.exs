defmodule Counter.StateV1Test do
  use ExUnit.Case, async: true

  test "shape 1 holds number and count" do
    assert %Counter.State{number: 4} == %{__struct__: Counter.State, number: 4, count: 0, shape: 1}
    assert Counter.Describe.describe(%Counter.State{number: 4, count: 12}) == "counter 4 at 12"
  end
end

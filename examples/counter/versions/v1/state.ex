defmodule Counter.State do
  @moduledoc "What a counter holds. `shape` says which version of this struct a state was made for."

  @vsn 1

  @enforce_keys [:number]
  defstruct [:number, count: 0, shape: 1]
end

defimpl Counter.Describe, for: Counter.State do
  def describe(state), do: "counter #{state.number} at #{state.count}"
end

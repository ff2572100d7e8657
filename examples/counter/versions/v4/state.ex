defmodule Counter.State do
  @moduledoc """
  What a counter holds. `shape` says which version of this struct a state was made for; shape 4 knows how far each increment counts.
  """

  @vsn 4

  @enforce_keys [:number]
  defstruct [:number, count: 0, step: 1, shape: 4]
end

defimpl Counter.Describe, for: Counter.State do
  def describe(state), do: "counter #{state.number} at #{state.count}"
end

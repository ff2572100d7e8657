defmodule Counter.State do
  @moduledoc """
  What a counter holds. `shape` says which version of this struct a state was made for; shape 2 knows its milestones.
  """

  alias Counter.Milestone

  @vsn 2

  @enforce_keys [:number, :milestone]
  defstruct [:number, :milestone, count: 0, shape: 2]

  def new(number, count), do: %__MODULE__{number: number, count: count, milestone: Milestone.at(count)}
end

defimpl Counter.Describe, for: Counter.State do
  def describe(state), do: "counter #{state.number} at #{state.count}, #{Counter.Describe.describe(state.milestone)}"
end

defmodule Counter.State do
  @moduledoc """
  What a counter holds. `shape` says which version of this struct a state was made for; shape 2 knows its milestones,
  shape 3 whether its count is even.
  """

  alias Counter.Milestone

  @vsn 3

  @enforce_keys [:number, :milestone, :even?]
  defstruct [:number, :milestone, :even?, count: 0, shape: 3]

  def new(number, count) do
    %__MODULE__{number: number, count: count, milestone: Milestone.at(count), even?: rem(count, 2) == 0}
  end
end

defimpl Counter.Describe, for: Counter.State do
  def describe(state), do: "counter #{state.number} at #{state.count}, #{Counter.Describe.describe(state.milestone)}"
end

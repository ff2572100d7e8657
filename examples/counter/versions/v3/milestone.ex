defmodule Counter.Milestone do
  @moduledoc "New in version 2: which multiples of ten a counter has passed, and which comes next."

  @vsn 2

  @enforce_keys [:passed, :next]
  defstruct [:passed, :next]

  def at(count) do
    passed = div(count, 10)
    %__MODULE__{passed: passed, next: (passed + 1) * 10}
  end
end

defimpl Counter.Describe, for: Counter.Milestone do
  def describe(milestone), do: "#{milestone.passed} milestones passed, the next at #{milestone.next}"
end

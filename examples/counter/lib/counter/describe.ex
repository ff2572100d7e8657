defprotocol Counter.Describe do
  @moduledoc """
  Describes a value in a few words. Version 2 adds an implementation, so that its consolidated protocol is another
  module than version 1's.
  """

  @doc "A description for people."
  @spec describe(t) :: String.t()
  def describe(value)
end

defimpl Counter.Describe, for: Integer do
  def describe(integer), do: "the number #{integer}"
end

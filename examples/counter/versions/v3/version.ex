defmodule Counter.Version do
  @moduledoc "The version of the code that is loaded, whatever release booted."

  @vsn 3

  def number, do: "3.0.0"
end

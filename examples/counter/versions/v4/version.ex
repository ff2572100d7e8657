defmodule Counter.Version do
  @moduledoc "The version of the code that is loaded, whatever release booted."

  @vsn 4

  def number, do: "4.0.0"
end

defmodule Counter.Version do
  @moduledoc "The version of the code that is loaded, whatever release booted."

  @vsn 2

  def number, do: "2.0.0"
end

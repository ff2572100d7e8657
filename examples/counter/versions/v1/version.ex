defmodule Counter.Version do
  @moduledoc "The version of the code that is loaded, whatever release booted."

  @vsn 1

  def number, do: "1.0.0"
end

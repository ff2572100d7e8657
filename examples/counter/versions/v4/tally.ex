defmodule Counter.Tally do
  @moduledoc """
  Counts sweeps in an `Agent`. It passes module, function and arguments instead of anonymous functions, as `Agent`'s
  documentation advises for code that is upgraded while it runs.
  """

  use Agent

  @vsn 1

  def start_link(_arg), do: Agent.start_link(__MODULE__, :zero, [], name: __MODULE__)

  def add(sweeps), do: Agent.update(__MODULE__, __MODULE__, :plus, [sweeps])
  def sum, do: Agent.get(__MODULE__, __MODULE__, :itself, [])

  @doc false
  def zero, do: 0
  @doc false
  def plus(tally, sweeps), do: tally + sweeps
  @doc false
  def itself(tally), do: tally
end

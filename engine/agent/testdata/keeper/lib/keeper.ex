defmodule Keeper do
  @moduledoc "A process of another application of the umbrella."
  use GenServer
  @version String.to_integer(System.get_env("ZOO", "1"))
  @vsn @version

  def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)
  def init(_), do: {:ok, {__MODULE__, [@version]}}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def code_change(_old, {module, versions}, _extra), do: {:ok, {module, [@version | versions]}}
end

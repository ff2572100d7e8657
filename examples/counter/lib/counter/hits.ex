defmodule Counter.Hits do
  @moduledoc "Counts the requests of each endpoint in an ETS table, which survives upgrades like any process's state."

  use GenServer

  def start_link(_arg), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  def add(endpoint), do: :ets.update_counter(__MODULE__, endpoint, 1, {endpoint, 0})

  def all, do: Map.new(:ets.tab2list(__MODULE__))

  @impl GenServer
  def init(nil) do
    table = :ets.new(__MODULE__, [:named_table, :public, write_concurrency: true])
    {:ok, table}
  end
end

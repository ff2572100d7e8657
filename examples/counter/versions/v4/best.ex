defmodule Counter.Best do
  @moduledoc "New in version 4: remembers the highest count, and whose it is. It has to be started, which no hot upgrade does."

  use GenServer

  @vsn 4

  def start_link(_arg), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  def offer(number, count), do: GenServer.cast(__MODULE__, {:offer, number, count})

  @doc "The number of the counter with the highest count, and that count; nil before the first one."
  def best, do: GenServer.call(__MODULE__, :best)

  @impl GenServer
  def init(nil), do: {:ok, nil}

  @impl GenServer
  def handle_call(:best, _from, best), do: {:reply, best, best}

  @impl GenServer
  def handle_cast({:offer, number, count}, {_number, highest}) when count > highest, do: {:noreply, {number, count}}
  def handle_cast({:offer, number, count}, nil), do: {:noreply, {number, count}}
  def handle_cast({:offer, _number, _count}, best), do: {:noreply, best}
end

defmodule Bench.Servers do
  @moduledoc "Owns the processes that the upgrades migrate."
  use GenServer

  def start_link(count), do: GenServer.start_link(__MODULE__, count, name: __MODULE__)

  @doc "The processes, with their callback modules."
  def all, do: GenServer.call(__MODULE__, :all, :infinity)

  @doc "Gives the first `count` processes a state with a list of `length`, at 16 bytes each, on their own heaps."
  def enlarge(count, length) do
    for {pid, _} <- Enum.take(all(), count), do: GenServer.call(pid, {:enlarge, length}, :infinity)
    :ok
  end

  @doc "Takes from the first process what its migration needs."
  def spoil, do: all() |> hd() |> elem(0) |> GenServer.call(:spoil)

  @impl true
  def init(count) do
    modules = Bench.Modules.callbacks()

    {:ok,
     for n <- 1..count do
       module = Enum.at(modules, rem(n, length(modules)))
       {:ok, pid} = GenServer.start_link(module, n)
       {pid, module}
     end}
  end

  @impl true
  def handle_call(:all, _from, servers), do: {:reply, servers, servers}
end

defmodule Counter.Upgrades do
  @moduledoc "Listens to the hot upgrades of its node, and remembers when one begins, and how it ended."

  use GenServer

  def start_link(_arg), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "What was told of upgrades since the start, the first first."
  def all, do: GenServer.call(__MODULE__, :all)

  @impl GenServer
  def init(nil) do
    FlyDeploy.subscribe()
    {:ok, []}
  end

  @impl GenServer
  def handle_call(:all, _from, upgrades), do: {:reply, Enum.reverse(upgrades), upgrades}

  @impl GenServer
  def handle_info({:fly_deploy, event, info}, upgrades) do
    {:noreply, [%{event: event, version: info.version, processes: Map.get(info, :processes, 0)} | upgrades]}
  end
end

defmodule Counter.Pool do
  @moduledoc "Supervises the counters, numbered from 1."

  use Supervisor

  def start_link(counters), do: Supervisor.start_link(__MODULE__, counters, name: __MODULE__)

  @impl Supervisor
  def init(counters) do
    children = for number <- 1..counters//1, do: Supervisor.child_spec({Counter.Server, number}, id: number)
    Supervisor.init(children, strategy: :one_for_one)
  end
end

defmodule Changes.Application do
  use Application

  def start(_type, _args) do
    children = [
      {DynamicSupervisor, name: Changes.Dynamic, strategy: :one_for_one},
      {Changes.Child, :child},
      {Changes.Sup, []},
      {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Changes.Top)
  end
end

defmodule Changes.Setup do
  @moduledoc "Starts what the table of changes is about."

  def run do
    for n <- 1..20, do: {:ok, _} = start({Changes.Counter, n})
    for n <- 1..2, do: {:ok, _} = start({Changes.Cart, n})
    {:ok, _} = start({Changes.Beh, nil})
    {:ok, _} = start({Changes.Door, nil})
    {:ok, _} = start({Changes.Wrapper, Changes.Callbacks})
    {:ok, _} = start({Agent, fn -> %{last: %Changes.State{name: "secret"}} end})
    :ok
  end

  defp start(spec), do: DynamicSupervisor.start_child(Changes.Dynamic, spec)
end

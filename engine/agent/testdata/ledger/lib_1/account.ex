defmodule Ledger.Account do
  use GenServer
  @vsn "1"

  def version, do: 1
  def start_link(n), do: GenServer.start_link(__MODULE__, n, name: {:via, Registry, {Ledger.Names, n}})
  def add(n, amount), do: GenServer.call({:via, Registry, {Ledger.Names, n}}, {:add, amount})

  @impl true
  def init(n), do: {:ok, %{id: n, n: n}}

  @impl true
  def handle_call({:add, amount}, _from, s), do: {:reply, s.n + amount, %{s | n: s.n + amount}}

  # The way back from 2, for tests that go to and fro.
  @impl true
  def code_change("2", %{id: id, n: n}, []), do: {:ok, %{id: id, n: n}}
end

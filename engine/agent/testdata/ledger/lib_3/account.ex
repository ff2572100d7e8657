defmodule Ledger.Account do
  use GenServer
  @vsn "3"

  def version, do: 3
  def start_link(n), do: GenServer.start_link(__MODULE__, n, name: {:via, Registry, {Ledger.Names, n}})
  def add(n, amount), do: GenServer.call({:via, Registry, {Ledger.Names, n}}, {:add, amount})

  @impl true
  def init(n), do: {:ok, {:v3, n}}

  @impl true
  def handle_call({:add, amount}, _from, s), do: {:reply, amount, s}

  @impl true
  def code_change(_vsn, %{id: id}, []) when rem(id, 97) == 0, do: raise("account cannot be migrated")

  def code_change(_vsn, %{id: id, n: n}, []) when rem(id, 89) == 0,
    do: {:ok, Map.fetch!(%{secret: "s3cr3t", n: n}, :missing)}

  def code_change(_vsn, %{id: id, n: n}, []), do: {:ok, {:v3, {id, n}}}
end

defmodule Ledger.Account do
  use GenServer
  @vsn "2"
  defstruct [:id, n: 0, currency: :eur]

  def version, do: 2
  def start_link(n), do: GenServer.start_link(__MODULE__, n, name: {:via, Registry, {Ledger.Names, n}})
  def add(n, amount), do: GenServer.call({:via, Registry, {Ledger.Names, n}}, {:add, amount})

  @impl true
  def init(n), do: {:ok, %__MODULE__{id: n, n: n}}

  @impl true
  def handle_call({:add, amount}, _from, s),
    do: {:reply, Ledger.Money.plus(s.n, amount), %{s | n: Ledger.Money.plus(s.n, amount)}}

  @impl true
  def code_change("1", %{id: id, n: n}, []),
    do: {:ok, %__MODULE__{id: id, n: n, currency: Ledger.Money.default()}}
end

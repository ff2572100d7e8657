defmodule Changes.Application do
  use Application
  require Logger

  # The children are as they were.
  def start(_type, _args) do
    Logger.info("starting")

    children = [
      {DynamicSupervisor, strategy: :one_for_one, name: Changes.Dynamic},
      {Changes.Child, :child},
      {Changes.Sup, []},
      {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Changes.Top)
  end
end

defmodule Changes.State do
  defstruct [:milestone, :name, count: 0]
end

defmodule Changes.Unused do
  defstruct [:new]
end

defmodule Changes.Counter do
  use GenServer
  @vsn 2
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %Changes.State{name: name}}
  def handle_call(:add, _from, state), do: {:reply, :ok, more(state)}
  def code_change(_old, state, _extra), do: {:ok, Map.put_new(state, :milestone, nil)}
  defp more(state), do: %{state | count: state.count + 1}
end

defmodule Changes.Child do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, {:name, name}, name}
  def ask(name), do: GenServer.call(name, :name)
end

defmodule Changes.Sup do
  use Supervisor
  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg, name: __MODULE__)

  def init(_arg),
    do: Supervisor.init([{Registry, keys: :unique, name: Changes.Names}], strategy: :one_for_one)

  def about, do: "other names"
end

defmodule Changes.Door do
  @behaviour :gen_statem
  def child_spec(arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
  def start_link(arg), do: :gen_statem.start_link(__MODULE__, arg, [])
  def callback_mode, do: :state_functions
  def init(_), do: {:ok, :closed, 0}
  def closed({:call, from}, :state, data), do: {:keep_state, data + 1, [{:reply, from, {:closed, data}}]}
end

defmodule Changes.Price do
  @doc "What a thing costs."
  def of(name), do: max(byte_size(name), 1)
  def old(name), do: of(name)
  def discount(name), do: div(of(name), 2)
end

defmodule Changes.Cart do
  use GenServer
  @vsn 2
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %{name: name, items: [], coupon: nil}}
  def handle_call(:total, _from, state), do: {:reply, {state.items, state.coupon}, state}
  def code_change(_old, state, _extra), do: {:ok, Map.put_new(state, :coupon, nil)}
end

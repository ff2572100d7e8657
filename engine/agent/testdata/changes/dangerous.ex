defmodule Changes.Application do
  use Application

  def start(_type, _args) do
    children = [
      {DynamicSupervisor, name: Changes.Dynamic, strategy: :one_for_one},
      {Changes.Child, :child},
      {Changes.Sup, []},
      {Task.Supervisor, name: Changes.Tasks},
      {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Changes.Top)
  end
end

defmodule Changes.State do
  defstruct [:name, :milestone, count: 0]
end

defmodule Changes.Counter do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %Changes.State{name: name}}
  def handle_call(:add, _from, state), do: {:reply, state.milestone, %{state | count: state.count + 1}}
end

defmodule Changes.Child do
  use GenServer
  def child_spec(name), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [name, []]}}
  def start_link(name, opts), do: GenServer.start_link(__MODULE__, {name, opts}, name: name)
  def init({name, _opts}), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end

defmodule Changes.Sup do
  use Supervisor
  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg, name: __MODULE__)

  def init(_arg),
    do: Supervisor.init([{Registry, keys: :unique, name: Changes.Names}], strategy: :one_for_all)

  def about, do: "names"
end

defmodule Changes.Beh do
  @behaviour :gen_statem
  def child_spec(arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
  def start_link(arg), do: :gen_statem.start_link(__MODULE__, arg, [])
  def callback_mode, do: :handle_event_function
  def init(name), do: {:ok, :idle, name}
  def handle_event({:call, from}, :name, _state, name), do: {:keep_state_and_data, [{:reply, from, name}]}
end

defmodule Changes.Door do
  @behaviour :gen_statem
  def child_spec(arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
  def start_link(arg), do: :gen_statem.start_link(__MODULE__, arg, [])
  def callback_mode, do: :handle_event_function
  def init(_), do: {:ok, :closed, 0}
  def handle_event({:call, from}, :state, state, data), do: {:keep_state, data, [{:reply, from, state}]}
end

defmodule Changes.Callbacks do
  def new, do: %{total: 7}
  def get(state), do: state.total
  def code_change(_old, %{count: count}, _extra), do: {:ok, %{total: count}}
end

defmodule Changes.Price do
  def of(name), do: byte_size(name)
end

defmodule Changes.Cart do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %{name: name, items: [], coupon: nil}}
  def handle_call(:total, _from, state), do: {:reply, {state.items, state.coupon}, state}
end

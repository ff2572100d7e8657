defmodule Changes.State do
  defstruct [:name, count: 0]
end

defmodule Changes.Counter do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %Changes.State{name: name}}
  def handle_call(:add, _from, state), do: {:reply, :ok, %{state | count: state.count + 1}}
end

defmodule Changes.Child do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end

defmodule Changes.Sup do
  use Supervisor
  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg, name: __MODULE__)

  def init(_arg),
    do: Supervisor.init([{Registry, keys: :unique, name: Changes.Names}], strategy: :one_for_one)

  def about, do: "names"
end

defmodule Changes.Beh do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end

defmodule Changes.Door do
  @behaviour :gen_statem
  def child_spec(arg), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}}
  def start_link(arg), do: :gen_statem.start_link(__MODULE__, arg, [])
  def callback_mode, do: :state_functions
  def init(_), do: {:ok, :closed, 0}
  def closed({:call, from}, :state, data), do: {:keep_state, data, [{:reply, from, :closed}]}
end

defmodule Changes.Wrapper do
  use GenServer
  def start_link(module), do: GenServer.start_link(__MODULE__, module)
  def init(module), do: {:ok, %{inner: {module, module.new()}}}
  def handle_call(:get, _from, %{inner: {module, inner}} = state), do: {:reply, module.get(inner), state}
end

defmodule Changes.Callbacks do
  def new, do: %{count: 7}
  def get(state), do: state.count
  def code_change(_old, state, _extra), do: {:ok, state}
end

defmodule Changes.Price do
  def of(name), do: byte_size(name)
  def old(name), do: of(name)
end

defmodule Changes.Shop do
  def price(name), do: Changes.Price.old(name) + 1
end

defmodule Changes.Cart do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %{name: name, items: []}}
  def handle_call(:total, _from, state), do: {:reply, state.items, state}
end

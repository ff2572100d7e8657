Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.CodeFindingsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFindings, Pair, Versions}

  @server """
  defmodule T.Server do
    use GenServer
    def start_link(name), do: GenServer.start_link(__MODULE__, name)
    def init(name), do: {:ok, %{name: name}}
    def handle_call(:name, _from, state), do: {:reply, state.name, state}
    def greet(name), do: "hello " <> greeting(name) <> "!"
    defp greeting(name), do: for <<c <- name>>, into: "", do: <<c + 1>>
  end
  """

  @door """
  defmodule T.Door do
    @behaviour :gen_statem
    def start_link(name), do: :gen_statem.start_link(__MODULE__, name, [])
    def callback_mode, do: :state_functions
    def init(_), do: {:ok, :closed, nil}
    def closed({:call, from}, :open, data), do: {:next_state, :open, data, [{:reply, from, :ok}]}
    def open({:call, from}, :state, data), do: {:keep_state, data, [{:reply, from, :open}]}
  end
  """

  @app """
  defmodule T.Worker do
    use GenServer
    def start_link(name), do: GenServer.start_link(__MODULE__, name)
    def init(name), do: {:ok, name}
  end

  defmodule T.App do
    use Application
    def start(_type, _args) do
      children = [
        {Registry, keys: :unique, name: T.Registry},
        {T.Worker, System.get_env("HOME")}
      ]
      Supervisor.start_link(children, strategy: :one_for_one)
    end
  end
  """

  @supervisor """
  defmodule T.Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(_arg), do: Supervisor.init(children(), strategy: :one_for_one)
    def about, do: "a supervisor"
    defp children, do: [{Registry, keys: :unique, name: T.Registry}, {Task.Supervisor, name: T.Tasks}]
  end
  """

  @clock """
  defmodule T.Clock do
    use GenServer
    def init(_), do: {:ok, %{n: 0, at: nil}}
    def handle_call(:now, _from, state), do: {:reply, state.n, state}
    def handle_info(:tick, %{at: nil} = state), do: {:noreply, %{state | n: state.n + 1}}
    def handle_info({:set, n}, state) when is_integer(n), do: {:noreply, %{state | n: n}}
    def handle_info({:set, n, at}, state), do: {:noreply, %{state | n: n, at: at}}
    def handle_info({ref, :ok}, state) when is_reference(ref), do: {:noreply, state}
    def handle_info("text", state), do: {:noreply, state}
  end
  """

  @page """
  defmodule T.Page do
    @behaviour Phoenix.LiveView
    def mount(_params, _session, socket), do: {:ok, socket}
    def render(assigns), do: assigns
    def handle_event("inc", _params, socket), do: {:noreply, socket}
    def handle_event("increase-by", %{"n" => _}, socket), do: {:noreply, socket}
    def handle_event("reset", _params, %{assigns: _} = socket), do: {:noreply, socket}
  end
  """

  @conn """
  defmodule T.Conn do
    @behaviour :gen_statem
    def callback_mode, do: [:handle_event_function, :state_enter]
    def init(host), do: {:ok, :down, host}
    def handle_event(:enter, _from, :down, host), do: {:keep_state, host, [{:state_timeout, 1_000, :retry}]}
    def handle_event(:enter, _from, :up, host), do: {:keep_state, host}
    def handle_event(:state_timeout, :retry, :down, host), do: {:next_state, :up, host}
  end
  """

  @timed """
  defmodule T.Timed do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(host), do: {:ok, :down, host}
    def handle_event(:info, :fail, _, host), do: {:keep_state, host, [{{:timeout, :retry}, 60_000, nil}]}
    def handle_event({:timeout, :backoff}, _, _, host), do: {:keep_state, host}
    def handle_event({:timeout, :retry}, _, _, host), do: {:keep_state, host}
  end
  """

  @caster """
  defmodule T.Caster do
    use GenServer
    def init(n), do: {:ok, n}
    def handle_cast({:run, n}, state), do: {:noreply, state + n}
  end
  """

  @sorter """
  defmodule T.Sorter do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, :on, %{}}
    def handle_event({:call, from}, message, _, data), do: call(message, from, data)
    def handle_event(:cast, message, _, data), do: cast(message, data)
    def handle_event(:info, _, _, _), do: :keep_state_and_data
    defp call(:crates, from, data), do: {:keep_state, data, {:reply, from, map_size(data)}}
    defp cast({:drop, key}, data), do: {:keep_state, Map.delete(data, key)}
    defp cast({:sync, _}, data), do: {:keep_state, level(data, :low)}
    defp level(data, :low), do: data
    defp level(data, :high), do: data
  end
  """

  @boot """
  defmodule T.Boot do
    use GenServer
    def init(ids), do: {:ok, ids, {:continue, :boot}}
    def handle_continue(:boot, ids) do
      {:ok, _} = Supervisor.start_link(for(i <- ids, do: {Agent, fn -> i end}), strategy: :one_for_one)
      {:noreply, ids}
    end
    def about, do: "boots"
  end
  """

  @kinds """
  defmodule T.Kinds do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(arg), do: Supervisor.init([{Registry, keys: :unique, name: T.Registry}] ++ more(arg), strategy: :one_for_one)
    defp more(%{peer: false}), do: []
    defp more(arg), do: [{Agent, fn -> arg end}]
  end
  """

  @cache """
  defmodule T.Cache do
    def child_spec(_), do: %{id: T.Registry, start: {Registry, :start_link, [[keys: :unique]]}}
    def ttl, do: nil
  end
  """

  @named """
  defmodule T.Named do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg, name: T.Named)
    def init(_arg), do: Supervisor.init([Supervisor.child_spec({Task.Supervisor, []}, id: :tasks)], strategy: :one_for_one)
  end
  """

  @pool """
  defmodule T.Pool do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(_arg), do: Supervisor.init(for(n <- 1..2, do: {Task.Supervisor, name: {T.Tasks, n}}), strategy: :one_for_one)
  end
  """

  @typed """
  defmodule T.Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(_arg) do
      task = %{id: :tasks, start: {Task.Supervisor, :start_link, [[name: T.Tasks]]}, type: :supervisor, restart: :permanent}
      Supervisor.init([task], strategy: :one_for_one)
    end
  end
  """

  @loader """
  defmodule T.Loader do
    use GenServer
    def init(name), do: {:ok, %{name: name, home: System.get_env("HOME")}}
    def handle_call(:home, _from, state), do: {:reply, state.home, state}
    def handle_cast(:look, state), do: look() && {:noreply, state}
    defp look, do: Task.start(File, :ls, ["."])
  end
  """

  @ticking """
  defmodule T.Ticking do
    use GenServer
    def init(n) do
      {:ok, _} = Registry.register(T.Topics, "rooms:\#{n}", nil)
      Process.send_after(self(), :tick, 1_000)
      {:ok, n}
    end
    def handle_info(:tick, n) do
      Process.send_after(self(), :tick, 1_000)
      {:noreply, n + 1}
    end
    def handle_info(_other, n), do: {:noreply, n}
  end
  """

  # What runs, of the modules above.
  defp live,
    do: %{
      processes: %{
        T.Clock => 1,
        T.Page => 1,
        T.Conn => 1,
        T.Timed => 1,
        T.Caster => 1,
        T.Sorter => 1,
        T.Boot => 1,
        T.Loader => 1,
        T.Ticking => 1,
        T.Server => 200,
        T.Door => 3,
        T.Worker => 1
      },
      children: [
        %{supervisor: self(), start: {T.Server, :start_link, 1}, id: nil, arguments: [{:atom, :one}]},
        %{supervisor: self(), start: {Registry, :start_link, 1}, id: T.Registry, arguments: []},
        %{supervisor: self(), start: {Task.Supervisor, :start_link, 1}, id: T.Tasks, arguments: []},
        %{supervisor: self(), start: {T.Worker, :start_link, 1}, id: T.Worker, arguments: []}
      ],
      supervisors: [T.Sup, T.Named, T.Pool, T.Kinds],
      arguments: %{T.Kinds => [{:map, %{peer: {:const, false}}, true}]},
      applications: [T.App]
    }

  # {what is done, source, [{what is replaced, by what}], findings}
  @changes [
    {"a private function is added", @server,
     [
       {"  def greet",
        "  defp more(x), do: {x, \"much more\", fn y -> x + y end}\n  def zeta(x), do: more(x)\n  def greet"}
     ], []},
    {"a comment and blank lines are added", @server, [{"  def init", "\n\n  # How it starts.\n  def init"}],
     []},
    {"a function of the public API is added", @server, [{"  def greet", "  def bye, do: :bye\n  def greet"}],
     []},
    {"what a helper gives is changed", @server, [{"c + 1", "c + 2"}], []},
    {"a clause is added to a callback", @server,
     [{"  def greet", "  def handle_cast(:stop, state), do: {:stop, :normal, state}\n  def greet"}], []},
    {"a module is added", @server,
     [
       {"defmodule T.Server",
        "defmodule T.New do\n  use GenServer\n  def init(x), do: {:ok, x}\nend\n\ndefmodule T.Server"}
     ], []},
    {"an ordinary change of init/1", @server, [{"%{name: name}}", "%{name: name, at: 1}}"}], []},
    {"it starts with another number of arguments", @server,
     [
       {"start_link(name), do: GenServer.start_link(__MODULE__, name)",
        "start_link(name, opts), do: GenServer.start_link(__MODULE__, name, opts)"}
     ], [{"child_start_gone", :block, "a supervisor starts it by start_link/1"}]},
    {"the behaviour becomes gen_statem", @server,
     [
       {"use GenServer", "@behaviour :gen_statem\n  def callback_mode, do: :handle_event_function"},
       {"{:ok, %{name: name}}", "{:ok, :idle, name}"},
       {"def handle_call(:name, _from, state), do: {:reply, state.name, state}",
        "def handle_event(_, _, _, data), do: {:keep_state, data}"}
     ], [{"behaviour_changed", :block, "200 running processes"}]},
    {"use GenServer is written out", @server,
     [
       {"use GenServer", "@behaviour :gen_server\n  def handle_cast(_, state), do: {:noreply, state}"}
     ], []},
    {"it makes a table when it starts", @server,
     [{"def init(name), do: {", "def init(name), do: :ets.new(T.Names, [:named_table]) && {"}],
     [{"init_changed", :warn, ":ets.new/2"}]},
    {"it makes a table when it starts, and when its code changes", @server,
     [
       {"def init(name), do: {", "def init(name), do: table() && {"},
       {"  def greet",
        "  defp table, do: :ets.new(T.Names, [:named_table])\n  def code_change(_, state, _), do: table() && {:ok, state}\n  def greet"}
     ], []},
    {"it puts a handler of events into another's place when it starts", @server,
     [
       {"def init(name), do: {",
        "def init(name), do: :gen_event.swap_handler(T.Bus, {T.A, []}, {T.B, []}) && {"}
     ], [{"init_changed", :warn, "swap_handler/3 (T.Bus, {T.A, …}, {T.B, …})"}]},
    {"it runs a task when it starts", @server,
     [{"def init(name), do: {", "def init(name), do: Task.start(File, :ls, [\".\"]) && {"}],
     [{"init_changed", :warn, "Task.start/3"}]},
    {"it runs a task when it starts, as it does whenever it is told to", @loader,
     [{"def init(name), do: {", "def init(name), do: look() && {"}], []},
    {"its restart changes", @server, [{"use GenServer", "use GenServer, restart: :temporary"}],
     [{"child_spec_changed", :warn, "child_spec/1"}]},
    {"another callback mode, and no code_change", @door,
     [
       {":state_functions", ":handle_event_function"},
       {"def closed({:call, from}, :open, data)", "def handle_event({:call, from}, :open, :closed, data)"},
       {"def open({:call, from}, :state, data)", "def handle_event({:call, from}, :state, :open, data)"}
     ], [{"callback_mode_changed", :block, "3 processes without code_change/4"}]},
    {"another callback mode, with a code_change", @door,
     [
       {":state_functions", ":handle_event_function"},
       {"def closed({:call, from}, :open, data)", "def handle_event({:call, from}, :open, :closed, data)"},
       {"def open({:call, from}, :state, data)",
        "def code_change(_, state, data, _), do: {:ok, state, data}\n  def handle_event({:call, from}, :state, :open, data)"}
     ], []},
    {"a gen_statem changes, its mode does not", @door,
     [{"[{:reply, from, :open}]", "[{:reply, from, {:open, 2}}]"}], []},
    {"a state is gone", @door, [{"def closed(", "def shut("}], [{"messages_changed", :warn, "closed/3"}]},
    {"a timer's message has another name", @clock, [{":tick,", ":tock,"}],
     [{"messages_changed", :warn, "no longer has a clause for :tick:"}]},
    {"a message has another element", @clock,
     [{"{:set, n}, state) when is_integer(n)", "{:set, n, nil, nil}, state)"}],
     [{"messages_changed", :warn, "no longer has a clause for {:set, _}: a message"}]},
    {"a message has another name, and there is a clause for everything", @clock,
     [{":tick,", ":tock,"}, {"info(\"text\", state)", "info(_, state)"}], []},
    {"clauses in another order, one more, other bodies", @clock,
     [
       {"def handle_info(:tick, %{at: nil} = state), do: {:noreply, %{state | n: state.n + 1}}",
        "def handle_info(:more, s), do: {:stop, :normal, s}"},
       {"def handle_info(\"text\"",
        "def handle_info(:tick, state), do: {:noreply, state}\n  def handle_info(\"text\""}
     ], []},
    {"a clause matches more of the state", @clock, [{"%{at: nil} = state", "%{at: nil, n: 0} = state"}], []},
    {"a page's event has another name", @page, [{"increase-by", "increase-to"}],
     [{"messages_changed", :warn, "no longer has a clause for \"increase-by\""}]},
    {"a page's events in another order, and one more", @page,
     [
       {"  def handle_event(\"inc\", _params, socket), do: {:noreply, socket}\n", ""},
       {"%{assigns: _} = socket), do: {:noreply, socket}",
        "socket), do: {:noreply, socket}\n    def handle_event(<<\"in\", _::binary>>, _params, socket), do: {:noreply, socket}"}
     ], []},
    {"a state machine's timeout has another name", @conn, [{":retry", ":again"}],
     [{"messages_changed", :warn, "no longer has a clause for :retry"}]},
    {"another time until a timeout", @conn, [{"1_000", "2_000"}], []},
    {"its name is another", @server,
     [{"start_link(__MODULE__, name)", "start_link(__MODULE__, name, name: T.Clerk)"}],
     [{"init_changed", :warn, "registers as T.Clerk"}]},
    {"messages of its own, where `use GenServer` took and logged all", @server,
     [{"  def greet", "  def handle_info(:tick, state), do: {:noreply, state}\n  def greet"}], []},
    {"a supervisor's name is put together", @named, [{"name: T.Named", "name: :\"named_\#{arg}\""}],
     [{"init_changed", :warn, "registers as another name"}]},
    {"a supervisor's name may be given", @named,
     [{"name: T.Named", "name: Keyword.get(arg, :name, T.Named)"}], []},
    {"a child has another id", @named, [{"id: :tasks", "id: :jobs"}],
     [{"child_spec_changed", :warn, "starts Task.Supervisor with another :id"}]},
    {"a child's specification in other words", @named,
     [
       {"Supervisor.child_spec({Task.Supervisor, []}, id: :tasks)",
        "%{id: :tasks, start: {Task.Supervisor, :start_link, [[]]}, restart: :permanent}"}
     ], []},
    {"another number of children", @pool, [{"1..2", "1..4"}],
     [{"supervisor_changed", :warn, "init/1 has other numbers"}]},
    {"as many children, in other words", @pool,
     [
       {"for(n <- 1..2, do: {Task.Supervisor, name: {T.Tasks, n}})",
        "Enum.map(1..2, fn n -> {Task.Supervisor, name: {T.Tasks, n}} end)"}
     ], []},
    {"its start goes on with something new", @server,
     [
       {"{:ok, %{name: name}}", "{:ok, %{name: name}, {:continue, :load}}"},
       {"  def greet",
        "  def handle_continue(:load, s), do: {:noreply, Map.put(s, :home, System.get_env(\"HOME\"))}\n  def greet"}
     ], [{"init_changed", :warn, "goes on in handle_continue/2"}]},
    {"its start goes on with what it did itself", @loader,
     [
       {"{:ok, %{name: name, home: System.get_env(\"HOME\")}}",
        "{:ok, %{name: name, home: nil}, {:continue, :load}}"},
       {"  def handle_call",
        "  def handle_continue(:load, s), do: {:noreply, %{s | home: System.get_env(\"HOME\")}}\n  def handle_call"}
     ], []},
    {"a child that starts nothing takes another's place", @app,
     [
       {"defmodule T.App",
        "defmodule T.Once do\n  use GenServer\n  def start_link(x), do: GenServer.start_link(__MODULE__, x)\n  def init(_), do: :ignore\nend\n\ndefmodule T.App"},
       {"{T.Worker,", "T.Once,\n{T.Worker,"}
     ], []},
    {"a timer begins when it starts", @clock,
     [{"def init(_), do: {", "def init(_), do: Process.send_after(self(), :tick, 10) && {"}],
     [{"init_changed", :warn, "send_after/3 (:tick)"}]},
    {"a child's name is another", @app, [{"name: T.Registry", "name: T.Names"}],
     [{"children_changed", :block, "start/2 starts Registry as T.Names"}]},
    {"a child's options are others", @app, [{"keys: :unique", "keys: :duplicate"}],
     [{"child_spec_changed", :warn, "starts Registry with other arguments"}]},
    {"a child's options in another order", @app,
     [{"keys: :unique, name: T.Registry", "name: T.Registry, keys: :unique"}], []},
    {"an application's supervisor has other limits", @app,
     [{"strategy: :one_for_one", "strategy: :one_for_one, max_restarts: 9"}],
     [{"supervisor_changed", :warn, "start/2 sets max_restarts: 9"}]},
    {"child_spec/1 is written out", @server,
     [
       {"use GenServer",
        "use GenServer\n  def child_spec(a), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [a]}, type: :worker}"}
     ], []},
    {"its start takes another argument than its supervisor has", @server,
     [{"def init(name), do: {", "def init(%{name: name}), do: {"}],
     [{"child_spec_changed", :block, "init/1 does not take what its supervisor would start it with"}]},
    {"a supervisor with the same children in other words", @supervisor,
     [
       {"Supervisor.init(children(), strategy: :one_for_one)",
        "(fn -> all = children(); Supervisor.init(all, [strategy: :one_for_one]) end).()"}
     ], []},
    {"a timer that begins with it has another name, and both are taken", @ticking,
     [{":tick, ", ":tock, "}, {"handle_info(:tock, n)", "handle_info(m, n) when m in [:tick, :tock]"}], []},
    {"it subscribes to a topic with another beginning", @ticking, [{"\"rooms:", "\"room:v2:"}],
     [{"init_changed", :warn, "Registry.register/3"}]},
    {"it subscribes to the same topic, put together otherwise", @ticking,
     [{"\"rooms:\#{n}\"", "\"rooms:\" <> Integer.to_string(n)"}], []},
    {"a child is added", @app, [{"{T.Worker,", "{Task.Supervisor, name: T.More},\n{T.Worker,"}],
     [{"children_changed", :block, "Task.Supervisor"}]},
    {"a child with a module of its own is added", @app,
     [
       {"defmodule T.App",
        "defmodule T.New do\n  use GenServer\n  def init(x), do: {:ok, x}\nend\n\ndefmodule T.App"},
       {"{T.Worker,", "T.New,\n{T.Worker,"}
     ], [{"children_changed", :block, "start/2 starts T.New, which is not running:"}]},
    {"a child with a specification is added", @app,
     [
       {"defmodule T.App",
        "defmodule T.New do\n  use GenServer\n  def init(x), do: {:ok, x}\nend\n\ndefmodule T.App"},
       {"{T.Worker,", "%{id: :new, start: {T.New, :start_link, [1]}},\n{T.Worker,"}
     ], [{"children_changed", :block, "T.New"}]},
    {"a child of a module without child_spec/1 is added", @app,
     [
       {"{T.Worker,",
        "%{id: :new, start: {:gen_event, :start_link, [System.get_env(\"HOME\")]}},\n{T.Worker,"}
     ], [{"children_changed", :block, ":gen_event"}]},
    {"a child is removed", @app, [{",\n      {T.Worker, System.get_env(\"HOME\")}", ""}],
     [{"children_changed", :block, "start/2 no longer starts T.Worker, which is running:"}]},
    {"children in another order", @app,
     [
       {"{Registry, keys: :unique, name: T.Registry},\n      {T.Worker, System.get_env(\"HOME\")}",
        "{T.Worker, System.get_env(\"HOME\")},\n      {Registry, keys: :unique, name: T.Registry}"}
     ], []},
    {"the application says something when it starts", @app,
     [{"    children =", "    require Logger\n    Logger.info(\"starting\")\n    children ="}], []},
    {"a state machine no longer knows a timeout that it starts", @timed,
     [{"  def handle_event({:timeout, :retry}, _, _, host), do: {:keep_state, host}\n", ""}],
     [{"messages_changed", :warn, "timeout :retry"}]},
    {"a timeout does something else", @timed,
     [{":retry}, _, _, host), do: {:keep_state, host}", ":retry}, _, _, host), do: {:keep_state, [host]}"}],
     []},
    {"a cast is a call now, and the casts that are under way find none", @caster,
     [
       {"handle_cast({:run, n}, state), do: {:noreply, state + n}",
        "handle_call({:run, n}, _from, state), do: {:reply, :ok, state + n}"}
     ], [{"messages_changed", :warn, "handle_cast/2 no longer has a clause for {:run, _}"}]},
    {"the application attaches to telemetry when it starts", @app,
     [{"    children =", "    :telemetry.attach(:x, [:x], &T.Worker.init/1, nil)\n    children ="}],
     [{"init_changed", :warn, ":telemetry.attach/4"}]},
    {"a supervisor's other functions change", @supervisor, [{"a supervisor", "the supervisor"}], []},
    {"a supervisor's strategy changes", @supervisor, [{":one_for_one", ":one_for_all"}],
     [{"supervisor_changed", :warn, "init/1"}]},
    {"a supervisor's child by its module alone, with what that says of it", @typed,
     [
       {"%{id: :tasks, start: {Task.Supervisor, :start_link, [[name: T.Tasks]]}, type: :supervisor, restart: :permanent}",
        "{Task.Supervisor, name: T.Tasks}"}
     ], []},
    {"a message is handed on to a function that has no clause for it any more", @sorter,
     [
       {"  defp cast({:drop, key}, data), do: {:keep_state, Map.delete(data, key)}\n", ""},
       {"  defp cast({:sync",
        "  defp call({:drop, key}, _, data), do: {:keep_state, Map.delete(data, key)}\n  defp cast({:sync"}
     ], [{"messages_changed", :warn, "for {:drop, _}"}]},
    {"a call to a state machine, in the module that makes it", @sorter,
     [
       {"  def handle_event({:call, from}, message",
        "  def size(p), do: :gen_statem.call(p, :boxes)\n  def handle_event({:call, from}, message"},
       {"defp call(:crates,", "defp call(:boxes,"}
     ], []},
    {"it has one elsewhere", @sorter,
     [
       {"  defp cast({:drop, key}, data), do: {:keep_state, Map.delete(data, key)}\n", ""},
       {"  def handle_event(:info, _",
        "  def handle_event(_, {:drop, key}, _, data), do: {:keep_state, Map.delete(data, key)}\n  def handle_event(:info, _"},
       {"  def handle_event(:cast, message, _, data)",
        "  def handle_event(:cast, {:sync, _} = message, _, data)"}
     ], []},
    {"a function that gets no message has a clause less", @sorter,
     [{"  defp level(data, :high), do: data\n", ""}], []},
    {"children of another module, by a specification of this one, get other options", @cache,
     [{"keys: :unique]", "keys: :unique, partitions: 4]"}],
     [{"child_spec_changed", :warn, "child_spec/1 differs"}]},
    {"a function beside a specification", @cache, [{"ttl, do: nil", "ttl, do: 5"}], []},
    {"a server starts supervisors that allow more restarts", @boot,
     [{"strategy: :one_for_one)", "strategy: :one_for_one, max_restarts: 10)"}],
     [{"supervisor_changed", :warn, "starts supervisors with max_restarts: 10"}]},
    {"a server that starts supervisors", @boot, [{"\"boots\"", "\"boot\""}], []},
    {"a child that is left out by what the supervisor was started with", @kinds,
     [
       {"++ more(arg)", "++ [{Agent, fn -> arg end}]"},
       {"  defp more(%{peer: false}), do: []\n  defp more(arg), do: [{Agent, fn -> arg end}]\n", ""}
     ], [{"children_changed", :block, "starts Agent"}]},
    {"an option that is nil", @kinds, [{"name: T.Registry}", "name: T.Registry, meta: arg[:meta]}"}], []},
    {"a supervisor gets a child", @supervisor,
     [
       {"{Task.Supervisor, name: T.Tasks}",
        "{Task.Supervisor, name: T.Tasks}, {Task.Supervisor, name: T.More}"}
     ], [{"children_changed", :block, "Task.Supervisor"}]}
  ]

  # No module is loaded on demand, as in a release.
  setup_all do
    {:module, _} = Code.ensure_loaded(Task.Supervisor)

    %{
      versions:
        Map.new(
          [
            @server,
            @door,
            @clock,
            @page,
            @conn,
            @timed,
            @caster,
            @sorter,
            @boot,
            @kinds,
            @cache,
            @app,
            @supervisor,
            @named,
            @pool,
            @typed,
            @loader,
            @ticking
          ],
          &{&1, Versions.beams(&1)}
        )
    }
  end

  for {{what, _, _, findings}, n} <- Enum.with_index(@changes) do
    @case_number n
    test "#{what}: #{Enum.map_join(findings, ", ", &elem(&1, 0))}#{if findings == [], do: "nothing"}",
         context do
      {_, source, edits, findings} = Enum.at(@changes, @case_number)
      pairs = Versions.pairs(context.versions[source], source |> Versions.edited(edits) |> Versions.beams())
      found = CodeFindings.all(pairs, live())

      assert for(f <- found, do: {f.name, f.severity}) ==
               for({name, severity, _} <- findings, do: {name, severity})

      for {f, {_, _, evidence}} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
      # What does not run cannot break.
      assert CodeFindings.all(pairs, %{processes: %{}, children: [], supervisors: [], applications: []}) == []
    end
  end

  # `--apply-children`: of an application's tree only where its module tells the children.
  test "children that are applied are no blockers", context do
    telling =
      String.replace(@app, "    def start(_type, _args) do\n      children = [", "  def children do\n      [",
        global: false
      )

    telling =
      if telling == @app,
        do:
          String.replace(@app, "  def start(_type, _args) do\n    children = [", "  def children do\n    ["),
        else: telling

    telling =
      String.replace(
        telling,
        "    Supervisor.start_link(children, strategy: :one_for_one)\n  end",
        "  end\n\n  def start(_, _), do: Supervisor.start_link(__MODULE__.children(), strategy: :one_for_one)"
      )

    more = {"{T.Worker,", "{Task.Supervisor, name: T.More},\n{T.Worker,"}

    for {source, edits, how, {name, severity, evidence}} <- [
          {telling, [more], :keep,
           {"children_applied", :info,
            "start/2 starts Task.Supervisor, which is not running: after the commit"}},
          {telling, [more], nil, {"children_changed", :block, "a hot upgrade starts and stops no children"}},
          {@app, [more], :keep, {"children_changed", :block, "a hot upgrade starts and stops no children"}},
          {telling, [{"strategy: :one_for_one", "strategy: :one_for_one, max_restarts: 9"}], :keep,
           {"supervisor_changed", :warn, "which is not applied to what it started; nor is it at a restart"}},
          {telling, [{"keys: :unique", "keys: :duplicate"}], :keep,
           {"child_spec_changed", :warn, "--apply-children=restart starts it again now"}},
          {telling, [{"keys: :unique", "keys: :duplicate"}], :restart,
           {"children_applied", :info, "it is started again with them after the commit"}},
          {@supervisor,
           [
             {"{Task.Supervisor, name: T.Tasks}",
              "{Task.Supervisor, name: T.Tasks}, {Task.Supervisor, name: T.More}"}
           ], :keep, {"children_applied", :info, "init/1 starts Task.Supervisor"}},
          {@supervisor, [{":one_for_one", ":one_for_all"}], :keep,
           {"children_applied", :info, "init/1 sets strategy: :one_for_all: from the commit on"}},
          {@pool, [{"1..2", "1..3"}], :keep,
           {"children_applied", :info, "those of them that are new start after the commit, and none is ended"}},
          {@pool, [{"1..2", "1..3"}], nil, {"supervisor_changed", :warn, "they are not applied"}},
          {@typed, [{"restart: :permanent", "restart: :transient"}], :keep,
           {"children_applied", :info, "with another :restart than it runs with: from the commit on"}},
          {@typed, [{"restart: :permanent", "restart: :transient"}], nil,
           {"child_spec_changed", :warn, "its supervisor keeps that"}},
          {@typed, [{"id: :tasks", "id: :jobs"}], :keep,
           {"child_spec_changed", :warn, "with another :id than it runs with: it is started beside"}}
        ] do
      pairs =
        Versions.pairs(
          context.versions[source] || Versions.beams(source),
          source |> Versions.edited(edits) |> Versions.beams()
        )

      assert [found] = CodeFindings.all(pairs, Map.put(live(), :apply_children, how))
      assert {found.name, found.severity} == {name, severity}
      assert found.detail =~ evidence
      assert [%{root: {module, _, _}}] = found.trees
      assert module in [T.App, T.Sup, T.Pool]
    end
  end

  test "the same version, written by hand, says that the state is the same" do
    source = String.replace(@server, "use GenServer", "use GenServer\n  @vsn 1")

    migrating =
      String.replace(
        source,
        "  def greet",
        "  def code_change(_, s, _), do: {:ok, Map.put(s, :at, 1)}\n  def greet"
      )

    pair = fn old, new ->
      [pair] = Versions.pairs(Versions.beams(old), Versions.beams(new))
      pair
    end

    refute Pair.migrates?(pair.(source, migrating), 3)
    assert Pair.migrates?(pair.(source, String.replace(migrating, "@vsn 1", "@vsn 2")), 3)
    # Without @vsn every version differs. The code_change of `use GenServer` does nothing.
    assert Pair.migrates?(pair.(@server, String.replace(migrating, "@vsn 1", "")), 3)
    refute Pair.migrates?(pair.(@server, String.replace(@server, "c + 1", "c + 2")), 3)
  end

  @around """
  defmodule T.Setup do
    def tables, do: :ets.new(:t_around, [:named_table, :public])
    def more, do: nil
  end

  defmodule T.Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)
    def init(_arg) do
      T.Setup.more()
      Supervisor.init([Task.Supervisor], strategy: :one_for_one)
    end
  end

  defmodule T.App do
    use Application
    def start(_, _) do
      T.Setup.tables()
      T.Sup.start_link(nil)
    end
  end
  """

  # {what, edits, what the findings tell}
  @around_changes [
    {"nothing new", [{"more, do: nil", "more, do: 1"}], []},
    {"a supervisor makes a table itself",
     [{"    T.Setup.more()\n", "    :ets.new(:t_around_2, [:named_table])\n"}],
     ["T.Sup: now calls :ets.new/2 (:t_around_2)"]},
    {"a module that the application calls puts a term",
     [{"def tables, do: ", "def tables, do: :persistent_term.put(:t_around, 1) && "}],
     ["T.App: now calls :persistent_term.put/2 (:t_around)"]},
    {"a table that the supervisor makes now, in place of the application",
     [{"    T.Setup.tables()\n", ""}, {"    T.Setup.more()\n", "    T.Setup.tables()\n"}], []},
    {"a table that is there is made by another function",
     [{"def tables, do: :ets.new", "def tables, do: table()\n  def table, do: :ets.new"}], []}
  ]

  test "what applications and supervisors do when they start, or have changed modules do" do
    old = Versions.beams(@around)
    :ets.new(:t_around, [:named_table, :public])

    for {what, edits, told} <- @around_changes do
      pairs = Versions.pairs(old, @around |> Versions.edited(edits) |> Versions.beams())
      by_module = Map.new(pairs, &{&1.module, &1})

      codes = fn version, module ->
        if(is_map_key(by_module, module),
          do: Pair.code_of(by_module, version, module),
          else: code(old[module])
        )
      end

      live = %{processes: %{}, children: [], supervisors: [T.Sup], applications: [T.App], codes: codes}
      found = CodeFindings.all(pairs, live)

      assert {what, for(%{name: "init_changed"} = f <- found, do: "#{f.subject}: #{f.detail}") |> Enum.sort()} ==
               {what, for(text <- told, do: "#{text} when it starts; running processes have not done that")}
    end
  end

  defp code(beam) do
    {:ok, code} = FlyDeployAgent.CodeFacts.functions(beam)
    code
  end

  # The application's module stays as it is, and lies in a file.
  @tag :tmp_dir
  test "children that an unchanged application has from a module that changes", %{tmp_dir: dir} do
    source = """
    defmodule T.Kids do
      def all, do: [{Task.Supervisor, name: T.KidTasks}]
      def size, do: 1
    end

    defmodule T.KidApp do
      use Application
      def start(_, _), do: Supervisor.start_link(T.Kids.all(), strategy: :one_for_one)
    end
    """

    old = Versions.beams(source)
    File.write!(Path.join(dir, "Elixir.T.KidApp.beam"), old[T.KidApp])
    {:module, _} = dir |> Path.join("Elixir.T.KidApp") |> String.to_charlist() |> :code.load_abs()
    live = %{processes: %{}, children: [], supervisors: [], applications: [T.KidApp]}

    found = fn from, to ->
      pairs = Versions.pairs(old, source |> String.replace(from, to) |> Versions.beams())
      # Compiling it has loaded it from no file.
      {:module, _} = dir |> Path.join("Elixir.T.KidApp") |> String.to_charlist() |> :code.load_abs()
      CodeFindings.all(pairs, live)
    end

    added = found.("T.KidTasks}]", "T.KidTasks}, {Registry, keys: :unique, name: T.KidNames}]")
    assert [%{name: "children_changed", subject: "T.KidApp", detail: detail}] = added
    assert detail =~ "starts Registry, which is not running"
    assert found.("size, do: 1", "size, do: 2") == []
  after
    :code.purge(T.KidApp)
    :code.delete(T.KidApp)
  end
end

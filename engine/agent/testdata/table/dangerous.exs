# Changes that break what runs, or are not applied to it.

server = """
defmodule T.State do
  defstruct [:name, count: 0]
end

defmodule T.Server do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name, name: __MODULE__)
  def init(name), do: {:ok, %T.State{name: name}}
  def handle_call(:count, _from, state), do: {:reply, state.count, state}
  def handle_call(:name, _from, %{name: name} = state), do: {:reply, name, state}
  def handle_cast(:add, state), do: {:noreply, %{state | count: state.count + 1}}
  def handle_info(:tick, state), do: {:noreply, state}
  def handle_info(_other, state), do: {:noreply, state}
end
"""

map = """
defmodule T.Map do
  use GenServer
  def init(name), do: {:ok, %{name: name, items: [], limits: %{min: 0}}}
  def handle_call(:items, _from, state), do: {:reply, state.items, state}
  def handle_call(:min, _from, state), do: {:reply, state.limits.min, state}
  def handle_info(:tick, state), do: {:noreply, state}
end
"""

pair = """
defmodule T.Pair do
  use GenServer
  def init(name), do: {:ok, {name, 0}}
  def handle_call(:next, _from, {name, n}), do: {:reply, {name, n}, {name, n + 1}}
end
"""

door = """
defmodule T.Door do
  @behaviour :gen_statem
  def callback_mode, do: :state_functions
  def init(name), do: {:ok, :closed, %{name: name, n: 0}}
  def closed({:call, from}, :push, data), do: {:next_state, :open, %{data | n: data.n + 1}, [{:reply, from, :ok}]}
  def open({:call, from}, :push, data), do: {:next_state, :closed, data, [{:reply, from, :ok}]}
end
"""

worker = """
defmodule T.Worker do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end
"""

app =
  worker <>
    """
    defmodule T.App do
      use Application

      def start(_type, _args) do
        children = [{T.Worker, :one}, {Task.Supervisor, name: T.Tasks}]
        Supervisor.start_link(children, strategy: :one_for_one, name: T.Top)
      end

      def limit, do: 3
      def size, do: 2
      def run, do: Task.Supervisor.async(T.Tasks, fn -> true end) |> Task.await()
    end
    """

cache = """
defmodule T.Cache do
  use GenServer
  def init(_), do: {:ok, :ets.new(T.Cache, [:named_table, :public])}
  def put(key, value), do: :ets.insert(T.Cache, {key, value})
  def get(key), do: hd(for {_, value} <- :ets.lookup(T.Cache, key), do: value)
end
"""

loop = """
defmodule T.Loop do
  def loop(n) do
    receive do
      {:get, from} -> send(from, {self(), n})
    end

    loop(n)
  end
end
"""

soak = &Map.put(&1, :soak, true)

row = fn finds, what, old, new, run, look ->
  %{finds: List.wrap(finds), what: what, old: old, new: new, run: run, look: look}
end

on_server = &row.(&1, &2, server, &3, "start(T.Server, \"me\")", &4)
on_map = &row.(&1, &2, map, &3, "start(T.Map, \"me\")", &4)
on_door = &row.(&1, &2, door, &3, "statem(T.Door, 1)", ":gen_statem.call(it, :push) == :ok and :gen_statem.call(it, :push) == :ok")
on_app = &row.(&1, &2, app, &3, "app(T.App)", &4)
on_cache = &row.(&1, &2, cache, &3, "pid = start(T.Cache, nil); T.Cache.put(:a, 1); pid", &4)

[
  # -- what processes hold
  on_server.("stale_struct", "a field of a struct is read", [{"count: 0", "count: 0, at: 1"}, {"state.count, state", "state.at + state.count, state"}], "ask(it, :count) >= 0"),
  row.(
    "stale_struct",
    "an agent holds a struct",
    server <> "defmodule T.Store do\n  def put(state), do: Agent.start(fn -> state end)\n  def get(pid), do: Agent.get(pid, & &1.count)\nend\n",
    [{"count: 0", "count: 0, at: 1"}, {"& &1.count", "& &1.at"}],
    "elem(T.Store.put(struct!(T.State, name: 1)), 1)",
    "is_integer(T.Store.get(it))"
  ),
  row.(
    "stale_struct",
    "a table holds a struct",
    server <> "defmodule T.Store do\n  def get, do: hd(for {_, s} <- :ets.lookup(T.Store, 1), do: s.count)\nend\n",
    [{"count: 0", "count: 0, at: 1"}, {"s.count", "s.at"}],
    ":ets.insert(:ets.new(T.Store, [:named_table, :public]), {1, struct!(T.State, name: 1)})",
    "is_integer(T.Store.get())"
  ),
  soak.(row.(
    "stale_struct",
    "a persistent term holds a struct",
    server <> "defmodule T.Store do\n  def get, do: :persistent_term.get(T.Store).count\nend\n",
    [{"count: 0", "count: 0, at: 1"}, {").count", ").at"}],
    ":persistent_term.put(T.Store, struct!(T.State, name: 1))",
    "is_integer(T.Store.get())"
  )),
  on_server.("stale_shape", "the state's struct has another name", [{"T.State", "T.Data"}, {"%{name: name} = state", "%T.Data{name: name} = state"}], "ask(it, :name) == \"me\""),
  on_map.("stale_shape", "a key is set at the start and read", [{"items: [],", "items: [], at: 0,"}, {"state.items, state", "{state.at, state.items}, state"}], "ask(it, :items) != nil"),
  soak.(on_map.("stale_shape", "a key is set at the start and matched", [{"items: [],", "items: [], at: 0,"}, {":tick, state), do", ":tick, %{at: _} = state), do"}], "takes?(it, :tick)")),
  soak.(on_map.("stale_shape", "a key has another name", [{"items: [],", "all: [],"}, {"state.items, state", "state.all, state"}], "ask(it, :items) == []")),
  on_map.("stale_shape", "a key of a map within the state", [{"%{min: 0}", "%{min: 0, max: 9}"}, {"state.limits.min", "state.limits.max"}], "is_integer(ask(it, :min))"),
  soak.(on_map.("stale_shape", "a key that a function has to have", [{"items: [],", "items: [], at: 0,"}, {"state.items, state", "Map.fetch!(state, :at), state"}], "ask(it, :items) != nil")),
  soak.(on_map.("stale_shape", "a helper takes another key", [{"state.items, state}", "items(state), state}\n  defp items(state), do: state.all"}, {"items: [],", "all: [],"}], "ask(it, :items) == []")),
  on_map.("stale_shape", "a number stands where an atom stood", [{"items: [],", "items: 0,"}, {"{:reply, state.items, state}", "{:reply, state.items + 1, state}"}], "ask(it, :items) != nil"),
  row.("stale_shape", "a tuple gets a further element", pair, [{"{name, 0}", "{name, 0, []}"}, {"{name, n}), do: {:reply, {name, n}, {name, n + 1}}", "{name, n, l}), do: {:reply, {name, n}, {name, n + 1, l}}"}], "start(T.Pair, 1)", "{1, _} = ask(it, :next); true"),
  soak.(row.("stale_shape", "a tuple becomes a map", pair, [{"{name, 0}", "%{name: name, n: 0}"}, {"{name, n}), do: {:reply, {name, n}, {name, n + 1}}", "%{n: n} = s), do: {:reply, {s.name, n}, %{s | n: n + 1}}"}], "start(T.Pair, 1)", "{1, _} = ask(it, :next); true")),
  soak.(row.("stale_shape", "a map becomes a struct", map, [{"defmodule T.Map do", "defmodule T.Items do\n  defstruct [:name, items: [], limits: %{min: 0}]\nend\n\ndefmodule T.Map do"}, {"%{name: name, items: [], limits: %{min: 0}}", "%T.Items{name: name}"}, {":items, _from, state", ":items, _from, %T.Items{} = state"}], "start(T.Map, 1)", "ask(it, :items) == []")),
  soak.(row.(
    "stale_shape",
    "an agent's map gets a key",
    "defmodule T.Store do\n  def start, do: Agent.start(fn -> %{n: 0} end)\n  def get(pid), do: Agent.get(pid, & &1.n)\nend\n",
    [{"%{n: 0}", "%{n: 0, m: 1}"}, {"& &1.n", "& &1.m"}],
    "elem(T.Store.start(), 1)",
    "is_integer(T.Store.get(it))"
  )),
  on_door.("stale_shape", "a state machine's data gets a key", [{"n: 0}", "n: 0, m: 1}"}, {"data.n + 1", "data.n + data.m"}]),
  row.(
    "stale_shape",
    "another module reads a server's state, which itself stays as it is",
    "defmodule T.Score do\n  def of(game), do: game.points\nend\n\ndefmodule T.Game do\n  use GenServer\n  def init(_), do: {:ok, %{game: %{points: 1}}}\n" <>
      "  def handle_call(:score, _from, s), do: {:reply, T.Score.of(s.game), s}\nend\n",
    [{"game.points", "game.points * game.level"}],
    "start(T.Game, nil)",
    "is_integer(ask(it, :score))"
  ),
  row.(
    "stale_shape",
    "the elements of a list get a key",
    "defmodule T.Cart do\n  use GenServer\n  def init(_), do: {:ok, %{items: [%{name: :tea}]}}\n" <>
      "  def handle_call(:names, _from, s), do: {:reply, Enum.map(s.items, & &1.name), s}\nend\n",
    [{"%{name: :tea}", "%{name: :tea, price: 1}"}, {"& &1.name", "& &1.price"}],
    "start(T.Cart, nil)",
    "is_list(ask(it, :names))"
  ),
  soak.(row.(
    "stale_shape",
    "a queue becomes a list",
    "defmodule T.Queue do\n  use GenServer\n  def init(_), do: {:ok, %{jobs: :queue.new()}}\n  def handle_call(:jobs, _from, s), do: {:reply, :queue.len(s.jobs), s}\nend\n",
    [{":queue.new()", "[]"}, {":queue.len(s.jobs)", "length(s.jobs)"}],
    "start(T.Queue, nil)",
    "ask(it, :jobs) == 0"
  )),
  # -- messages
  on_map.("messages_changed", "a timer's message has another name", [{":tick", ":tock"}], "takes?(it, :tick)"),
  on_server.("messages_changed", "there is no clause for everything any more", [{"  def handle_info(_other, state), do: {:noreply, state}\n", ""}], "takes?(it, {:nodeup, node()})"),
  soak.(on_server.("messages_changed", "a cast gets an argument", [{"(:add, state), do: {:noreply, %{state | count: state.count + 1}}", "({:add, n}, state), do: {:noreply, %{state | count: state.count + n}}"}], "takes?(it, {:\"$gen_cast\", :add})")),
  soak.(on_door.("messages_changed", "a state has another name", [{"closed", "shut"}])),
  # -- behaviours
  row.("behaviour_changed", "a server becomes a state machine", worker, "defmodule T.Worker do\n  @behaviour :gen_statem\n  def callback_mode, do: :handle_event_function\n  def init(name), do: {:ok, :idle, name}\n  def start_link(name), do: :gen_statem.start_link(__MODULE__, name, [])\n  def handle_event({:call, from}, :name, _, name), do: {:keep_state_and_data, [{:reply, from, name}]}\nend\n", "start(T.Worker, 1)", "ask(it, :name) == 1"),
  on_door.("callback_mode_changed", "another callback mode", [{":state_functions", ":handle_event_function"}, {"closed({:call, from}, :push, data)", "handle_event({:call, from}, :push, :closed, data)"}, {"def open({:call, from}, :push, data)", "def handle_event({:call, from}, :push, :open, data)"}]),
  # -- supervisors
  on_app.("child_start_gone", "another number of arguments to start", [{"start_link(name), do: GenServer.start_link(__MODULE__, name)", "start_link(name, opts), do: GenServer.start_link(__MODULE__, name, opts)"}, {"use GenServer", "use GenServer\n  def child_spec(n), do: %{id: T.Worker, start: {T.Worker, :start_link, [n, []]}}"}], "restarts?(T.Top, T.Worker)"),
  on_app.("child_spec_changed", "a child's init takes another argument", [{"def init(name), do: {:ok, name}", "def init(%{name: name}), do: {:ok, name}"}, {"{T.Worker, :one}", "{T.Worker, %{name: :one}}"}], "restarts?(T.Top, T.Worker)"),
  soak.(on_app.("child_spec_changed", "a child is not to be restarted any more", [{"  use GenServer\n", "  use GenServer, restart: :temporary\n"}], "restart = fn spec -> Map.get(spec, :restart, :permanent) end; restart.(T.Worker.child_spec(1)) == restart.(elem(:supervisor.get_childspec(T.Top, T.Worker), 1))")),
  on_app.("children_changed", "a child is added", [{"{T.Worker, :one},", "{T.Worker, :one}, {Registry, keys: :unique, name: T.Names},"}, {"def run, do: ", "def run, do: Registry.lookup(T.Names, 1) == [] and "}], "T.App.run()"),
  soak.(on_app.("children_changed", "a child has another name", [{"T.Tasks", "T.Jobs"}], "T.App.run()")),
  soak.(on_app.("children_changed", "a child is removed", [{", {Task.Supervisor, name: T.Tasks}]", "]"}, {"size, do: 2", "size, do: 1"}], "length(Supervisor.which_children(T.Top)) == T.App.size()")),
  on_app.("supervisor_changed", "another number of restarts", [{"strategy: :one_for_one", "strategy: :one_for_one, max_restarts: 100"}, {"limit, do: 3", "limit, do: 100"}], "elem(:sys.get_state(T.Top), 5) == T.App.limit()"),
  soak.(row.("supervisor_changed", "another strategy of a supervisor with a module", worker <> "defmodule T.Sup do\n  use Supervisor\n  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)\n  def init(arg), do: Supervisor.init([{T.Worker, arg}], strategy: strategy())\n  def strategy, do: :one_for_one\nend\n", [{":one_for_one", ":rest_for_one"}], "elem(T.Sup.start_link(1), 1)", "elem(:sys.get_state(it), 2) == T.Sup.strategy()")),
  soak.(row.("children_changed", "a supervisor with a module gets a child", worker <> "defmodule T.Sup do\n  use Supervisor\n  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)\n  def init(arg), do: Supervisor.init([{T.Worker, arg}], strategy: :one_for_one)\n  def size, do: 1\nend\n", [{"[{T.Worker, arg}]", "[{T.Worker, arg}, {Task.Supervisor, name: T.Tasks}]"}, {"size, do: 1", "size, do: 2"}], "elem(T.Sup.start_link(1), 1)", "length(Supervisor.which_children(it)) == T.Sup.size()")),

  # -- what is done once
  on_map.("init_changed", "its start makes a table that it uses", [{"def init(name), do: {", "def init(name), do: :ets.new(T.Names, [:named_table]) && {"}, {"{:reply, state.items, state}", "{:reply, :ets.tab2list(T.Names), state}"}], "ask(it, :items) == []"),
  soak.(on_server.(["init_changed", "missing_process"], "it is registered under another name", [{"name: __MODULE__", "name: T.Clerk"}, {"  def handle_info(:tick", "  def count, do: GenServer.call(T.Clerk, :count)\n  def handle_info(:tick"}], "if(function_exported?(T.Server, :count, 0), do: T.Server.count() == 0, else: true)")),
  soak.(on_server.("init_changed", "it is registered in a registry", [{"name: __MODULE__", "name: {:via, Registry, {T.Names, :me}}"}, {"  def handle_info(:tick", "  def count, do: GenServer.call({:via, Registry, {T.Names, :me}}, :count)\n  def handle_info(:tick"}], "if(function_exported?(T.Server, :count, 0), do: T.Server.count() == 0, else: true)")),
  on_map.("init_changed", "its start begins a timer", [{"def init(name), do: {", "def init(name), do: Process.send_after(self(), :tick, 0) && {"}, {":tick, state), do: {:noreply, state}", ":tick, state), do: {:noreply, %{state | items: [:tick | state.items]}}"}, {"def handle_call(:min", "def started, do: [:tick]\n  def handle_call(:min"}], "ask(it, :items) == if(function_exported?(T.Map, :started, 0), do: T.Map.started(), else: [])"),
  soak.(on_map.("init_changed", "its start puts something into its dictionary", [{"def init(name), do: {", "def init(name), do: Process.put(:limit, 3) || {"}, {"{:reply, state.items, state}", "{:reply, List.duplicate(1, Process.get(:limit)), state}"}], "ask(it, :items) |> is_list()")),
  soak.(row.("init_changed", "a persistent term has another key", "defmodule T.Rates do\n  use GenServer\n  def init(_), do: {:ok, :persistent_term.put({T.Rates, :old}, 3)}\n  def get, do: :persistent_term.get({T.Rates, :old})\nend\n", [{":old", ":new"}], "start(T.Rates, nil)", "T.Rates.get() == 3")),
  soak.(row.(["init_changed", "table_changed"], "a server is in a registry under another key", "defmodule T.Room do\n  use GenServer\n  def init(id), do: {:ok, Registry.register(T.Rooms, {:room, id}, nil)}\n  def count(id), do: length(Registry.lookup(T.Rooms, {:room, id}))\nend\n", [{"{:room, id}", "{:place, id}"}], "{:ok, r} = Registry.start_link(keys: :unique, name: T.Rooms); Process.unlink(r); start(T.Room, 1)", "T.Room.count(1) == 1")),
  row.("missing_setting", "a setting that nobody has set", "defmodule T.Config do\n  def level, do: Application.get_env(:changes, :t_level, 3)\nend\n", [{"get_env(:changes, :t_level, 3)", "fetch_env!(:changes, :t_level)"}], "nil", "T.Config.level() == 3"),

  # -- functions
  row.("mfa_gone", "a function in a table is gone", "defmodule T.Jobs do\n  def work(n), do: n\nend\n", [{"work(n)", "perform(n)"}], ":ets.insert(:ets.new(T.Table, [:named_table, :public]), {:job, {T.Jobs, :work, [1]}})", "[{:job, {m, f, a}}] = :ets.lookup(T.Table, :job); apply(m, f, a) == 1"),
  soak.(row.("mfa_gone", "a handler has no default argument any more", "defmodule T.Jobs do\n  def work(n, m \\\\ 1), do: n + m\nend\n", [{" \\\\ 1", ""}], ":ets.insert(:ets.new(T.Table, [:named_table, :public]), {:job, &T.Jobs.work/1})", "[{:job, f}] = :ets.lookup(T.Table, :job); f.(1) == 2")),
  row.("undefined_function", "a module that does not change calls what is gone", "defmodule T.Price do\n  def of(n), do: n\nend\n\ndefmodule T.Shop do\n  def sell(n), do: T.Price.of(n)\nend\n", "defmodule T.Price do\n  def for(n), do: n\nend\n\ndefmodule T.Shop do\n  def sell(n), do: T.Price.of(n)\nend\n", "nil", "T.Shop.sell(1) == 1"),
  row.("module_in_use", "a module is removed that runs", worker <> "defmodule T.Other do\n  def f, do: 1\nend\n", "defmodule T.Other do\n  def f, do: 2\nend\n", "start(T.Worker, 1)", "ask(it, :name) == 1 and listed?(T.Worker)"),
  row.(["not_migrated", "stale_shape"], "a server hides its callback module, which declares nothing", "defmodule T.Wrapper do\n  use GenServer\n  def init(m), do: {:ok, {m, m.new()}}\n  def handle_call(:get, _from, {m, s}), do: {:reply, m.get(s), {m, s}}\nend\n\ndefmodule T.Callbacks do\n  def new, do: %{n: 7}\n  def get(s), do: s.n\nend\n", [{"%{n: 7}", "%{t: 7}"}, {"s.n", "s.t"}, {"  def new", "  def code_change(_, %{n: n}, _), do: {:ok, %{t: n}}\n  def new"}], "start(T.Wrapper, T.Callbacks)", "ask(it, :get) == 7"),
  row.("hidden_process", "a loop stays in its old code", loop, [{"{self(), n}", "{self(), n + 1}"}, {"  def loop", "  def version, do: 2\n  def loop"}], "spawn(T.Loop, :loop, [1])", "send(it, {:get, self()}); receive(do: ({^it, n} -> n == if(function_exported?(T.Loop, :version, 0), do: 2, else: 1)))"),
  soak.(row.("hidden_process", "a loop takes its old state into the new code", String.replace(loop, "    loop(n)", "    __MODULE__.loop(n)"), [{"def loop(n)", "def loop({n, _})"}], "spawn(T.Loop, :loop, [1])", "for(_ <- 1..2, do: send(it, {:get, self()})); receive(do: ({^it, 1} -> :ok)); ref = Process.monitor(it); receive(do: ({^it, 1} -> true; {:DOWN, ^ref, _, _, _} -> false))")),
  row.("impl_gone", "a protocol's implementation is removed", "defprotocol T.Size do\n  def of(x)\nend\n\ndefmodule T.Box do\n  defstruct n: 1\nend\n\ndefimpl T.Size, for: T.Box do\n  def of(box), do: box.n\nend\n\ndefmodule T.Keeper do\n  use GenServer\n  def init(x), do: {:ok, x}\n  def handle_call(:size, _from, x), do: {:reply, T.Size.of(x), x}\nend\n", [{"\ndefimpl T.Size, for: T.Box do\n  def of(box), do: box.n\nend\n", ""}], "start(T.Keeper, struct!(T.Box))", "ask(it, :size) == 1"),

  # -- tables
  on_cache.("table_changed", "rows get a further element", [{"{key, value})", "{key, value, 0})"}, {"{_, value} <-", "{_, value, _} <-"}], "T.Cache.get(:a) == 1"),
  soak.(on_cache.("table_changed", "keys are of another kind", [{"{key, value})", "{{:key, key}, value})"}, {"lookup(T.Cache, key)", "lookup(T.Cache, {:key, key})"}], "T.Cache.get(:a) == 1")),
  soak.(on_cache.("table_changed", "others may not write any more", [{":public", ":protected"}, {"  def get", "  def protection, do: :protected\n  def get"}], ":ets.info(T.Cache, :protection) == if(function_exported?(T.Cache, :protection, 0), do: T.Cache.protection(), else: :public)")),
  soak.(on_cache.(["init_changed", "table_changed"], "the table has another name", [{"T.Cache, [", "T.Store, ["}, {"(T.Cache, key", "(T.Store, key"}, {"(T.Cache, {key", "(T.Store, {key"}], "T.Cache.get(:a) == 1"))
]

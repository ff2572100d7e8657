# Changes that break nothing: the plan neither warns of them nor blocks them.

server = """
defmodule T.State do
  defstruct [:name, count: 0]
end

defmodule T.Server do
  use GenServer
  require Logger
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, %T.State{name: name}}
  def handle_call(:count, _from, state), do: {:reply, state.count, state}
  def handle_call(:name, _from, %{name: name} = state), do: {:reply, greet(name), state}
  def handle_cast(:add, state), do: {:noreply, %{state | count: state.count + 1}}

  def handle_info(:tick, state) do
    Logger.debug("tick")
    Process.send_after(self(), :tick, 60_000)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}
  defp greet(name), do: "hello " <> name
end
"""

use_it = """
GenServer.cast(it, :add)
is_integer(ask(it, :count)) and is_binary(ask(it, :name)) and takes?(it, :tick) and takes?(it, :what)
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

sup = """
defmodule T.Child do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end

defmodule T.Sup do
  use Supervisor
  def start_link(arg), do: Supervisor.start_link(__MODULE__, arg)

  def init(arg) do
    children = [{T.Child, arg}, {Task.Supervisor, name: T.Tasks}]
    Supervisor.init(children, strategy: :one_for_one)
  end
end
"""

app = """
defmodule T.Child do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, name)
  def init(name), do: {:ok, name}
  def handle_call(:name, _from, name), do: {:reply, name, name}
end

defmodule T.App do
  use Application

  def start(_type, _args) do
    children = [{T.Child, :one}, {Task.Supervisor, name: T.Tasks}]
    Supervisor.start_link(children, strategy: :one_for_one, name: T.Top)
  end
end
"""

map = """
defmodule T.Map do
  use GenServer
  def init(name), do: {:ok, %{name: name, items: []}}
  def handle_call(:items, _from, state), do: {:reply, state.items, state}
  def handle_cast({:put, item}, state), do: {:noreply, %{state | items: [item | state.items]}}
end
"""

ask_map = "GenServer.cast(it, {:put, 1}); is_list(ask(it, :items))"

soak = &Map.put(&1, :soak, true)
harmless = fn what, old, edits, run, look -> %{what: what, old: old, new: edits, run: run, look: look} end
on_server = &harmless.(&1, server, &2, "start(T.Server, \"me\")", use_it)
on_map = &harmless.(&1, map, &2, "start(T.Map, \"me\")", ask_map)

[
  on_server.("a private function", [
    {"  defp greet(name), do: \"hello \" <> name", "  defp greet(name), do: polite(name)\n  defp polite(name), do: \"hello \" <> name"}
  ]),
  on_server.("comments and blank lines", [{"  def init", "\n  # How it begins.\n  def init"}]),
  on_server.("docs, types and specs", [
    {"  use GenServer", "  @moduledoc \"A server.\"\n  use GenServer\n  @type t :: %T.State{}\n  @spec init(term) :: {:ok, t}"}
  ]),
  soak.(on_server.("log texts", [{"Logger.debug(\"tick\")", "Logger.info(\"it ticks: \#{state.name}\")"}])),
  soak.(on_server.("another layout", [
    {"  def handle_call(:count, _from, state), do: {:reply, state.count, state}",
     "  def handle_call(\n        :count,\n        _from,\n        state\n      ) do\n    {:reply, state.count, state}\n  end"}
  ])),
  on_server.("a function of the API", [{"  defp greet", "  def count(pid), do: GenServer.call(pid, :count)\n  defp greet"}]),
  soak.(on_server.("a function of the API that nobody calls is gone", [{"  def start_link(name), do: GenServer.start_link(__MODULE__, name)\n", ""}])),
  soak.(on_server.("a new message", [
    {"  def handle_cast(:add", "  def handle_cast({:add, n}, state), do: {:noreply, %{state | count: state.count + n}}\n  def handle_cast(:add"}
  ])),
  on_server.("what a helper gives", [{"\"hello \"", "\"good morning, \""}]),
  soak.(on_server.("the interval of a timer", [{"60_000", "30_000"}])),
  soak.(on_server.("clauses instead of access", [
    {"def handle_call(:count, _from, state), do: {:reply, state.count, state}",
     "def handle_call(:count, _from, %T.State{count: n} = s), do: {:reply, n, s}"}
  ])),
  soak.(on_server.("a struct's fields in another order, and one with its name", [{"[:name, count: 0]", "[count: 0, name: nil]"}])),
  on_server.("another default of a struct's field", [{"count: 0", "count: 1"}]),
  on_server.("a struct gets a field, and the code_change that sets it", [
    {"[:name, count: 0]", "[:name, :at, count: 0]"},
    {"  defp greet", "  def code_change(_old, state, _extra), do: {:ok, Map.put_new(state, :at, 0)}\n  defp greet"},
    {"{:reply, state.count, state}", "{:reply, state.at + state.count, state}"}
  ]),
  soak.(on_server.("a struct that nobody holds", [{"defmodule T.Server", "defmodule T.Other do\n  defstruct [:a, b: 1]\nend\n\ndefmodule T.Server"}])),
  harmless.(
    "a field with a default of a struct that nobody holds",
    server <> "\ndefmodule T.Point do\n  defstruct x: 0\nend\n",
    [{"x: 0", "x: 0, y: 0"}],
    "start(T.Server, \"me\")",
    use_it
  ),
  on_server.("a module", [
    {"defmodule T.Server", "defmodule T.New do\n  use GenServer\n  def init(x), do: {:ok, x}\nend\n\ndefmodule T.Server"}
  ]),
  on_server.("its init is written differently", [
    {"def init(name), do: {:ok, %T.State{name: name}}", "def init(name) do\n    state = struct!(T.State, name: name)\n    {:ok, state}\n  end"}
  ]),
  on_map.("a key that is asked for with a default", [{"{:reply, state.items, state}", "{:reply, Map.get(state, :all, state.items), state}"}]),
  soak.(on_map.("a key that its start sets and nobody needs", [{"items: []}}", "items: [], at: 0}}"}])),
  on_map.("a key that is set when it is needed", [
    {"{:noreply, %{state | items: [item | state.items]}}",
     "{:noreply, state |> Map.put(:last, item) |> kept(item)}\n  defp kept(state, item), do: %{state | items: [item | state.items], last: item}"}
  ]),
  soak.(on_map.("a key that comes with a new message and is read by a later one", [
    {"  def handle_cast", "  def handle_info({:open, port}, state), do: {:noreply, Map.put(state, :port, port)}\n" <>
      "  def handle_info(:close, %{port: port} = state), do: {:noreply, %{state | port: {:closed, port}}}\n  def handle_cast"}
  ])),
  soak.(on_map.("a case with a branch for states without the key", [
    {"{:reply, state.items, state}", "{:reply, case(state, do: (%{at: at} -> {at, []}; %{items: items} -> items)), state}"}
  ])),
  soak.(on_map.("a new message that reads what is there", [
    {"  def handle_cast", "  def handle_call(:count, _from, %{items: items} = s), do: {:reply, {s.name, length(items)}, s}\n  def handle_cast"}
  ])),
  soak.(on_map.("a loop over what is there", [
    {"{:reply, state.items, state}", "{:reply, for({key, _value} <- state, key == :items, do: key), state}"}
  ])),
  soak.(on_map.("a key that may be missing, in a rescue and behind a question", [
    {"{:reply, state.items, state}", "{:reply, if(is_map_key(state, :at), do: [state.at], else: try(do: state.all, rescue: (KeyError -> []))), state}"}
  ])),
  on_map.("a key with a code_change that brings it", [
    {"items: []}}", "items: [], at: 0}}"},
    {"{:reply, state.items, state}", "{:reply, Enum.drop(state.items, state.at), state}"},
    {"  def handle_cast", "  def code_change(_, state, _), do: {:ok, Map.put(state, :at, 0)}\n  def handle_cast"}
  ]),
  on_map.("the state becomes a tuple, with a code_change", [
    {"%{name: name, items: []}}", "{name, []}}"},
    {"{:reply, state.items, state}", "{:reply, elem(state, 1), state}"},
    {"def handle_cast({:put, item}, state), do: {:noreply, %{state | items: [item | state.items]}}",
     "def handle_cast({:put, item}, {name, items}), do: {:noreply, {name, [item | items]}}\n  def code_change(_, %{name: n, items: i}, _), do: {:ok, {n, i}}"}
  ]),
  harmless.("a state machine's actions", door, [{"%{data | n: data.n + 1}", "%{data | n: data.n + 2}"}], "statem(T.Door, 1)", ":gen_statem.call(it, :push) == :ok"),
  soak.(harmless.(
    "a state machine's mode is written as a list",
    door,
    [{"do: :state_functions", "do: [:state_functions]"}],
    "statem(T.Door, 1)",
    ":gen_statem.call(it, :push) == :ok"
  )),
  harmless.(
    "a supervisor with the same children in other words",
    sup,
    [
      {"    children = [{T.Child, arg}, {Task.Supervisor, name: T.Tasks}]\n    Supervisor.init(children, strategy: :one_for_one)",
       "    # What runs below.\n    all = below(arg)\n    Supervisor.init(all, strategy: :one_for_one)\n  end\n\n  defp below(arg) do\n    require Logger\n    Logger.debug(\"starting\")\n    [{T.Child, arg}, {Task.Supervisor, name: T.Tasks}]"}
    ],
    "elem(T.Sup.start_link(:one), 1)",
    "restarts?(it, T.Child)"
  ),
  soak.(harmless.(
    "a child of a supervisor of its own module changes",
    sup,
    [{"{:reply, name, name}", "{:reply, {name, 2}, name}"}],
    "sup([{T.Child, :one}])",
    "restarts?(it, T.Child)"
  )),
  soak.(harmless.(
    "the application logs when it starts",
    app,
    [{"    children = [", "    require Logger\n    Logger.info(\"starting\")\n    children = ["}],
    "app(T.App)",
    "restarts?(T.Top, T.Child)"
  )),
  soak.(harmless.(
    "child_spec/1 is written out",
    app,
    [{"  use GenServer\n", "  use GenServer\n  def child_spec(arg), do: %{id: T.Child, start: {T.Child, :start_link, [arg]}}\n"}],
    "app(T.App)",
    "restarts?(T.Top, T.Child)"
  )),
  harmless.(
    "a module that nothing runs or calls is removed",
    "defmodule T.Kept do\n  def f, do: 1\nend\n\ndefmodule T.Gone do\n  def f, do: 1\nend\n",
    "defmodule T.Kept do\n  def f, do: 2\nend\n",
    "nil",
    "T.Kept.f() > 0"
  ),
  soak.(harmless.(
    "a function in a table is still there",
    "defmodule T.Jobs do\n  def work(n), do: n\nend\n",
    "defmodule T.Jobs do\n  def work(n), do: twice(n)\n  defp twice(n), do: 2 * n\nend\n",
    ":ets.insert(:ets.new(T.Table, [:named_table, :public]), {:job, {T.Jobs, :work, [1]}})",
    "[{:job, {m, f, a}}] = :ets.lookup(T.Table, :job); is_integer(apply(m, f, a))"
  )),
  soak.(harmless.(
    "rows of the same shape",
    """
    defmodule T.Cache do
      use GenServer
      def init(_), do: {:ok, :ets.new(T.Cache, [:named_table, :public])}
      def put(key, value), do: :ets.insert(T.Cache, {key, value, 0})
      def get(key), do: hd(for {_, value, _} <- :ets.lookup(T.Cache, key), do: value)
    end
    """,
    [{"{key, value, 0}", "{key, value, System.system_time()}"}],
    "pid = start(T.Cache, nil); T.Cache.put(:a, 1); pid",
    "T.Cache.get(:a) == 1"
  )),
  soak.(harmless.(
    "a task's module, which nothing loops in",
    "defmodule T.Task do\n  def run, do: receive(do: (:stop -> :ok))\nend\n",
    "defmodule T.Task do\n  def run, do: receive(do: (:stop -> :done))\nend\n",
    "spawn(T.Task, :run, [])",
    "Process.alive?(it)"
  )),
  harmless.(
    "a loop whose module changes elsewhere",
    """
    defmodule T.Loop do
      def loop(n) do
        receive do
          {:get, from} -> send(from, {self(), n})
        end

        loop(n)
      end

      def about, do: 1
    end
    """,
    [{"do: 1", "do: 2"}],
    "spawn(T.Loop, :loop, [1])",
    "send(it, {:get, self()}); receive(do: ({^it, 1} -> true))"
  ),
  soak.(harmless.(
    "a setting that is there",
    "defmodule T.Config do\n  def level, do: Application.get_env(:kernel, :logger_level)\nend\n",
    "defmodule T.Config do\n  def level, do: Application.fetch_env!(:kernel, :logger_level)\nend\n",
    "nil",
    "is_atom(T.Config.level())"
  )),
  soak.(harmless.(
    "an agent's functions",
    """
    defmodule T.Store do
      def start, do: Agent.start(fn -> %{n: 0} end)
      def get(pid), do: Agent.get(pid, & &1.n)
    end
    """,
    [{"& &1.n", "fn state -> state.n + 1 end"}],
    "elem(T.Store.start(), 1)",
    "is_integer(T.Store.get(it))"
  ))
]

# Changes as they stand in the histories of public projects, told anew, of what moves: into other modules, tables, functions and shapes. Only the soak has them.

d = fn finds, what, old, new, run, look ->
  %{soak: true, finds: finds, what: what, old: old, new: new, run: run, look: look}
end

[
  d.(["stale_shape"], "what terminate takes is at another place of the state", """
  defmodule T.Fwd do
    use GenServer
    def init({name, prev}), do: {:ok, %{previous: {name, prev}, replies: %{}}}
    def handle_call(:n, _, s), do: {:reply, 1, s}
    def terminate(_, %{previous: {name, prev}}), do: :ets.insert(:t_term, {name, prev})
  end
  """, [{"%{previous: {name, prev}, replies: %{}}", "%{name: name, previous: prev}"}, {"%{previous: {name, prev}})", "%{name: name, previous: prev})"}], ":ets.new(:t_term, [:named_table, :public]); {start(T.Fwd, {:a, 1}), start(T.Fwd, {:a, 1})}", "p = Enum.find(Tuple.to_list(it), &Process.alive?/1); GenServer.stop(p, :normal, 5000) == :ok and :ets.lookup(:t_term, :a) == [{:a, 1}]"),
  d.(["child_spec_changed"], "a cache is started with an expiration", """
  defmodule T.Cache do
    use GenServer
    def start_link(name, opts \\\\ []), do: GenServer.start_link(T.Cache, opts, name: name)
    def init(opts), do: {:ok, opts}
    def handle_call(:ttl, _, s), do: {:reply, s[:expiration], s}
  end
  defmodule T.Users do
    def child_spec(_), do: %{id: :t_users_cache, start: {T.Cache, :start_link, [T.Users]}}
    def ttl, do: nil
  end
  defmodule T.CApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.Users], strategy: :one_for_one)
  end
  """, [{"[T.Users]}}", "[T.Users, [expiration: 300_000]]}}"}, {"def ttl, do: nil", "def ttl, do: 300_000"}], "app(T.CApp)", "ask(T.Users, :ttl) == T.Users.ttl()"),
  d.(["children_changed", "module_in_use"], "a registered server is of another module, under another name", """
  defmodule T.WebPresence do
    use GenServer
    def start_link(_), do: GenServer.start_link(T.WebPresence, %{}, name: T.WebPresence)
    def init(s), do: {:ok, s}
    def track(k), do: GenServer.call(T.WebPresence, {:track, k})
    def handle_call({:track, k}, _, s), do: {:reply, :ok, Map.put(s, k, 1)}
  end
  defmodule T.Dev do
    def join(k), do: T.WebPresence.track(k)
  end
  defmodule T.PApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.WebPresence], strategy: :one_for_one)
  end
  """, [{"T.WebPresence", "T.Presence"}], "app(T.PApp)", "T.Dev.join(1) == :ok"),
  d.(["init_changed"], "connections are stopped by another function, which options give", """
  defmodule T.Conns do
    use GenServer
    def init(opts), do: {:ok, %{stop: Keyword.get(opts, :stop, &T.Conns.sync/1), conns: [1]}}
    def sync(_), do: :sync
    def kind, do: :sync
    def handle_call(:stop, _, s), do: {:reply, s.stop.(hd(s.conns)), s}
  end
  """, [{":stop, &T.Conns.sync/1)", ":stop, &T.Conns.async/1)"}, {"def kind, do: :sync", "def async(_), do: :async\n  def kind, do: :async"}], "start(T.Conns, [])", "ask(it, :stop) == T.Conns.kind()"),
  d.(["stale_shape"], "a state becomes a struct", """
  defmodule T.Checker do
    use GenServer
    def init(id), do: {:ok, %{id: id, check: make_ref()}}
    def handle_info(:check, %{check: ref} = s), do: {:noreply, %{s | check: ref}}
  end
  """, [{"use GenServer", "use GenServer\n  defmodule State do\n    defstruct [:id, :check]\n  end"}, {"{:ok, %{id", "{:ok, %State{id"}, {"%{check: ref} = s", "%State{check: ref} = s"}], "start(T.Checker, 1)", "takes?(it, :check)"),
  d.(["child_spec_changed", "child_start_gone"], "arguments of a child's start become one tuple", """
  defmodule T.Config do
    use GenServer
    def start_link(mod, conf, opts), do: GenServer.start_link(T.Config, {mod, conf}, opts)
    def init(s), do: {:ok, s}
  end
  defmodule T.EndSup do
    use Supervisor
    def start_link(_), do: Supervisor.start_link(T.EndSup, nil, name: T.EndSup)
    def init(_), do: Supervisor.init([%{id: T.Config, start: {T.Config, :start_link, [:m, [], [name: T.Cfg]]}}], strategy: :one_for_one)
  end
  """, [{"def start_link(mod, conf, opts)", "def start_link({mod, conf, opts})"}, {"[:m, [], [name: T.Cfg]]", "[{:m, [], [name: T.Cfg]}]"}], "{:ok, p} = T.EndSup.start_link(nil); Process.unlink(p); p", "restarts?(it, T.Config)"),
  d.(["messages_changed"], "what was cast is called", """
  defmodule T.Tracker do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, :tracking, %{}}
    def untrack(p), do: :gen_statem.cast(p, {:untrack, 1})
    def handle_event({:call, f}, msg, _, s), do: handle_call(msg, f, s)
    def handle_event(:cast, msg, _, s), do: handle_cast(msg, s)
    defp handle_call(:n, f, s), do: {:keep_state, s, {:reply, f, map_size(s)}}
    defp handle_cast({:untrack, k}, s), do: {:keep_state, Map.delete(s, k)}
    defp handle_cast({:sync, _}, s), do: {:keep_state, s}
  end
  """, [{":gen_statem.cast(p, {:untrack, 1})", ":gen_statem.call(p, {:untrack, 1})"}, {"defp handle_cast({:untrack, k}, s), do: {:keep_state, Map.delete(s, k)}\n", "defp handle_call({:untrack, k}, f, s), do: {:keep_state, Map.delete(s, k), {:reply, f, :ok}}\n"}], "statem(T.Tracker, nil)", ":gen_statem.cast(it, {:untrack, 1}); :gen_statem.call(it, :n) == 0"),
  d.(["table_changed"], "a table is named as its module, which has another name", """
  defmodule T.Ets do
    def setup, do: :ets.new(T.Ets, [:named_table, :public])
    def put(k, v), do: :ets.insert(T.Ets, {k, v})
    def get(k), do: :ets.lookup(T.Ets, k)
  end
  defmodule T.Storage do
    def module, do: T.Ets
    def get(k), do: module().get(k)
    def start do
      module().setup()
      module().put(:a, 1)
    end
  end
  """, [{"T.Ets", "T.ETS"}], "T.Storage.start()", "T.Storage.get(:a) == [a: 1]"),
  d.(["stale_shape"], "a registry's values have one element less", """
  defmodule T.Mgr do
    def track(mod), do: Registry.register(T.FReg, :default, {:pool, mod, 5})
    def status do
      T.FReg
      |> Registry.lookup(:default)
      |> Enum.reduce(%{}, fn {_pid, {name, mod, n}}, acc -> Map.put(acc, name, {mod, n}) end)
    end
  end
  """, [{"{:pool, mod, 5})", "{:pool, mod})"}, {"{name, mod, n}}, acc -> Map.put(acc, name, {mod, n})", "{name, mod}}, acc -> Map.put(acc, name, {mod, Registry.count(T.FReg)})"}], "sup([{Registry, keys: :duplicate, name: T.FReg}]); T.Mgr.track(:h1)", "map_size(T.Mgr.status()) == 1"),
  d.(["module_in_use"], "a named server moves to another module", """
  defmodule T.CommandRegistry do
    use GenServer
    defstruct handlers: %{}
    def start_link, do: GenServer.start_link(T.CommandRegistry, %T.CommandRegistry{}, name: T.CommandRegistry)
    def init(s), do: {:ok, s}
    def register(c, h), do: GenServer.call(T.CommandRegistry, {:register, c, h})
    def handle_call({:register, c, h}, _, s), do: {:reply, :ok, %{s | handlers: Map.put(s.handlers, c, h)}}
  end
  defmodule T.Router do
    def register(c), do: T.CommandRegistry.register(c, :h)
  end
  """, [{"T.CommandRegistry", "T.Commands.Registry"}], "{:ok, p} = T.CommandRegistry.start_link(); Process.unlink(p); p", "T.Router.register(:c) == :ok"),
  d.(["stale_shape"], "a whole map is kept instead of the address in it, and another module takes it", """
  defmodule T.Stream do
    def run(peer), do: {:remote, peer}
  end
  defmodule T.Conn do
    use GenServer
    def init(socket) do
      %{address: peer} = info(socket)
      {:ok, %{peer: peer}}
    end
    defp info(s), do: %{address: {127, 0, 0, s}, port: 1}
    def handle_call(:stream, _, s), do: {:reply, T.Stream.run(s.peer), s}
  end
  """, [{"%{address: peer} = info(socket)", "peer = info(socket)"}, {"do: {:remote, peer}", "do: {:remote, peer.address}"}], "start(T.Conn, 1)", "ask(it, :stream) == {:remote, {127, 0, 0, 1}}"),
  d.(["table_changed"], "what was registered is looked for in a table", """
  defmodule T.View do
    use GenServer
    def init(_), do: {:ok, :ets.new(:t_scenes, [:named_table, :public])}
    def register(ref, p), do: Registry.register(T.VReg, ref, {p, nil})
    def pid(ref) do
      case Registry.lookup(T.VReg, ref) do
        [{_, {pid, _}}] -> pid
        _ -> nil
      end
    end
  end
  """, [{"Registry.register(T.VReg, ref, {p, nil})", ":ets.insert(:t_scenes, {ref, {p, nil, true}})"}, {"Registry.lookup(T.VReg, ref)", ":ets.lookup(:t_scenes, ref)"}, {"[{_, {pid, _}}] -> pid", "[{_, {pid, _, _}}] -> pid"}], "sup([{Registry, keys: :unique, name: T.VReg}]); start(T.View, nil); T.View.register(:root, self())", "is_pid(T.View.pid(:root))"),
  d.(["children_changed"], "a child that was ignored is a process now", """
  defmodule T.Hosts do
    use GenServer
    def start_link(opts) do
      connect(opts)
      :ignore
    end
    def init(s), do: {:ok, s}
    def connect(opts), do: opts
    def runs?, do: false
  end
  defmodule T.HApp do
    use Application
    def start(_, _), do: Supervisor.start_link([{T.Hosts, []}], strategy: :one_for_one, name: T.HSup)
  end
  """, [{"    connect(opts)\n    :ignore" |> String.slice(0..-1//1), "    GenServer.start_link(T.Hosts, connect(opts))"}, {"runs?, do: false", "runs?, do: true"}], "app(T.HApp)", "[{_, p, _, _}] = Supervisor.which_children(T.HSup); is_pid(p) == T.Hosts.runs?()"),
  d.(["stale_shape"], "keys of a state become texts", """
  defmodule T.Migr do
    use GenServer
    def init(_), do: {:ok, %{min: 5, max: 9}}
    def handle_info(:past, %{min: -1} = s), do: {:noreply, Map.delete(s, :min)}
    def handle_info(:past, %{min: n} = s), do: {:noreply, %{s | min: n - 1}}
  end
  """, [{"%{min: 5, max: 9}", "%{\"min\" => 5, \"max\" => 9}"}, {"%{min: -1} = s", "%{\"min\" => -1} = s"}, {"Map.delete(s, :min)", "Map.delete(s, \"min\")"}, {"%{min: n} = s", "%{\"min\" => n} = s"}, {"%{s | min: n - 1}", "%{s | \"min\" => n - 1}"}], "start(T.Migr, nil)", "takes?(it, :past)"),
  d.(["table_changed"], "a further setting is put into a table at the start", """
  defmodule T.Contract do
    use GenServer
    def init(_) do
      :ets.new(:t_contract, [:named_table, :public])
      fetch()
      {:ok, %{}}
    end
    defp fetch, do: :ets.insert(:t_contract, epoch: 1, stake: 2)
    def get(key, default \\\\ nil) do
      case :ets.lookup(:t_contract, key) do
        [{_, v}] -> v
        [] -> default
      end
    end
  end
  defmodule T.Page do
    def show, do: {T.Contract.get(:stake), "POSDAO"}
  end
  """, [{"epoch: 1, stake: 2)", "epoch: 1, stake: 2, token: %{symbol: \"POSDAO\"})"}, {"T.Contract.get(:stake), \"POSDAO\"", "T.Contract.get(:stake), T.Contract.get(:token).symbol"}], "start(T.Contract, nil)", "T.Page.show() == {2, \"POSDAO\"}"),
  d.(["table_changed"], "tables are compressed, as a function of options says", """
  defmodule T.Local do
    use GenServer
    def tab_opts, do: [:set, :named_table, read_concurrency: true]
    def init(_), do: {:ok, :ets.new(:t_local, tab_opts())}
  end
  """, [{"[:set, :named_table, read", "[:compressed, :set, :named_table, read"}], "start(T.Local, nil)", "(:compressed in T.Local.tab_opts()) == :ets.info(:t_local, :compressed)"),
  d.(["stale_shape"], "what a table holds is a record instead of a struct", """
  defmodule T.State do
    defstruct [:name, hooks: []]
    def new(n), do: %T.State{name: n}
  end
  defmodule T.Overseer do
    def start, do: :ets.new(:t_over, [:named_table, :public])
    def register(n), do: :ets.insert(:t_over, {n, T.State.new(n)})
    def ensure(n) do
      case :ets.lookup(:t_over, n) do
        [{_, %T.State{hooks: hooks}}] -> hooks
        [] -> nil
      end
    end
  end
  """, [{"def new(n), do: %T.State{name: n}", "def new(n), do: {:cache, n, []}"}, {"%T.State{hooks: hooks}}]", "{:cache, _, hooks}}]"}], "T.Overseer.start(); T.Overseer.register(:c)", "T.Overseer.ensure(:c) == []"),
  d.(["stale_shape"], "the argument of a filter of logs is a list of options", """
  defmodule T.Flog do
    def attach(level \\\\ :info), do: :logger.add_primary_filter(:t_flog, {&T.Flog.filter/2, level})
    def filter(_event, level), do: if(level == :off, do: :stop, else: :ignore)
  end
  """, [{"attach(level \\\\ :info)", "attach(opts \\\\ [level: :info])"}, {"/2, level})", "/2, opts})"}, {"filter(_event, level), do: if(level ==", "filter(_event, opts), do: if(Keyword.fetch!(opts, :level) =="}], "T.Flog.attach()", "{f, x} = :logger.get_primary_config().filters[:t_flog]; f.(%{}, x) == :ignore"),
  d.(["stale_shape"], "who subscribes is in a set, and the list is empty now", """
  defmodule T.Hub do
    use GenServer
    def init(_), do: {:ok, %{subs: []}}
    def handle_call({:sub, p}, _, s), do: {:reply, :ok, %{s | subs: [p | s.subs]}}
    def handle_call({:sub?, p}, _, s), do: {:reply, p in s.subs, s}
  end
  """, [{"%{subs: []}", "%{subs: MapSet.new()}"}, {"[p | s.subs]", "MapSet.put(s.subs, p)"}, {"p in s.subs, s", "MapSet.member?(s.subs, p), s"}], "start(T.Hub, nil)", "ask(it, {:sub?, self()}) == false"),
  d.(["stale_shape"], "a list becomes a queue, and is empty now", """
  defmodule T.Wait do
    use GenServer
    def init(_), do: {:ok, %{waiting: []}}
    def handle_call({:in, x}, _, s), do: {:reply, :ok, %{s | waiting: s.waiting ++ [x]}}
    def handle_call(:out, _, %{waiting: [x | rest]} = s), do: {:reply, x, %{s | waiting: rest}}
  end
  """, [{"%{waiting: []}", "%{waiting: :queue.new()}"}, {"s.waiting ++ [x]", ":queue.in(x, s.waiting)"}, {"def handle_call(:out, _, %{waiting: [x | rest]} = s), do: {:reply, x, %{s | waiting: rest}}", "def handle_call(:out, _, s) do\n    {{:value, x}, rest} = :queue.out(s.waiting)\n    {:reply, x, %{s | waiting: rest}}\n  end"}], "start(T.Wait, nil)", "ask(it, {:in, 1}) == :ok and ask(it, :out) == 1"),
  d.(["stale_shape"], "a server is wrapped, and the wrapper wants a state of its own", """
  defmodule T.Base do
    defmacro __using__(_) do
      quote do
        use GenServer
        def init(x), do: {:ok, %{inner: x}}
        def handle_call(:x, _, %{inner: x} = s), do: {:reply, x, s}
      end
    end
  end
  defmodule T.Impl do
    use T.Base
  end
  """, [{"{:ok, %{inner: x}}", "{:ok, {__MODULE__, x}}"}, {"%{inner: x} = s", "{_, x} = s"}], "start(T.Impl, 1)", "ask(it, :x) == 1"),
  d.(["children_changed"], "a supervisor that something started by hand has other children", """
  defmodule T.Wk do
    use GenServer
    def start_link(n), do: GenServer.start_link(T.Wk, n)
    def init(n), do: {:ok, n}
  end
  defmodule T.HandSup do
    use Supervisor
    def start, do: Supervisor.start_link(T.HandSup, nil)
    def init(_), do: Supervisor.init([Supervisor.child_spec({T.Wk, 1}, id: 1)], strategy: :one_for_one)
    def n, do: 1
  end
  """, [{"[Supervisor.child_spec({T.Wk, 1}, id: 1)]", "[Supervisor.child_spec({T.Wk, 1}, id: 1), Supervisor.child_spec({T.Wk, 2}, id: 2)]"}, {"def n, do: 1", "def n, do: 2"}], "{:ok, p} = T.HandSup.start(); Process.unlink(p); p", "length(Supervisor.which_children(it)) == T.HandSup.n()"),
  d.(["stale_shape"], "replies stand within a state that was nothing but them", """
  defmodule T.Gl do
    use GenServer
    def init(_), do: {:ok, %{}}
    def handle_info({:req, r, from}, s), do: {:noreply, Map.put(s, r, from)}
    def handle_info({:reply, r}, s) do
      {_from, s} = Map.pop(s, r)
      {:noreply, s}
    end
  end
  """, [{"def init(_), do: {:ok, %{}}", "def init(_), do: {:ok, %{previous: nil, replies: %{}}}"}, {"Map.put(s, r, from)", "put_in(s.replies[r], from)"}, {"Map.pop(s, r)", "pop_in(s.replies[r])"}], "start(T.Gl, nil)", "takes?(it, {:req, make_ref(), self()})"),
  d.(["supervisor_changed"], "supervisors that a server starts allow more restarts", """
  defmodule T.SrcSup do
    use GenServer
    def init(ids), do: {:ok, %{sups: [], ids: ids}, {:continue, :boot}}
    def handle_continue(:boot, s) do
      {:ok, p} = Supervisor.start_link(for(i <- s.ids, do: Supervisor.child_spec({Agent, fn -> i end}, id: i)), strategy: :one_for_one)
      {:noreply, %{s | sups: [p]}}
    end
    def handle_call(:sup, _, s), do: {:reply, hd(s.sups), s}
    def max, do: 3
  end
  """, [{"strategy: :one_for_one)", "strategy: :one_for_one, max_restarts: 10, max_seconds: 60)"}, {"def max, do: 3", "def max, do: 10"}], "start(T.SrcSup, [1])", "elem(:sys.get_state(ask(it, :sup)), 5) == T.SrcSup.max()"),
  d.(["children_changed"], "a child is always there, whatever the configuration", """
  defmodule T.PeerX do
    def start_link(_), do: Agent.start_link(fn -> false end, name: T.PeerX)
    def child_spec(a), do: %{id: T.PeerX, start: {T.PeerX, :start_link, [a]}}
    def leader?, do: Agent.get(T.PeerX, & &1)
  end
  defmodule T.ObSup do
    use Supervisor
    def start_link(c), do: Supervisor.start_link(T.ObSup, c)
    def init(c), do: Supervisor.init([{Task.Supervisor, []}] ++ peers(c), strategy: :one_for_one)
    defp peers(%{peer: false}), do: []
    defp peers(c), do: [{T.PeerX, c}]
    def leader?, do: false
  end
  """, [{"[{Task.Supervisor, []}] ++ peers(c), strategy", "[{Task.Supervisor, []}, {T.PeerX, c}], strategy"}, {"  defp peers(%{peer: false}), do: []\n  defp peers(c), do: [{T.PeerX, c}]\n", ""}, {"def leader?, do: false", "def leader?, do: T.PeerX.leader?()"}], "{:ok, p} = T.ObSup.start_link(%{peer: false}); Process.unlink(p); p", "T.ObSup.leader?() == false"),
  d.(["child_spec_changed"], "a worker is not to be restarted any more", """
  defmodule T.Wk do
    use GenServer
    def start_link(x), do: GenServer.start_link(T.Wk, x)
    def init(x), do: {:ok, x}
    def r, do: :permanent
  end
  """, [{"use GenServer", "use GenServer, restart: :temporary"}, {"r, do: :permanent", "r, do: :temporary"}], "sup([{T.Wk, 1}])", "{:ok, s} = :supervisor.get_childspec(it, T.Wk); s.restart == T.Wk.r()")
]

# Further changes as they stand in the histories of public projects, told anew, of kinds that no other row shows. Only the soak has them.

d = fn finds, what, old, new, run, look ->
  %{soak: true, finds: finds, what: what, old: old, new: new, run: run, look: look}
end

h = fn what, old, new, run, look -> %{soak: true, what: what, old: old, new: new, run: run, look: look} end

[
  d.(["supervisor_changed"], "a viewport's children are restarted one by one", """
  defmodule T.Drv do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.VSup do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(c), do: build(c.drivers, Map.delete(c, :drivers)) |> Supervisor.init(strategy: :one_for_all)
    defp build([], c), do: [{T.Drv, c}]
    defp build(ds, c), do: [{T.Drv, c} | for(d <- ds, do: Supervisor.child_spec({T.Drv, d}, id: d))]
    def s, do: :one_for_all
  end
  """, [{"strategy: :one_for_all", "strategy: :one_for_one"}, {"def s, do: :one_for_all", "def s, do: :one_for_one"}], "{:ok, p} = T.VSup.start_link(%{drivers: [:a], n: 1}); Process.unlink(p); p", "elem(:sys.get_state(it), 2) == T.VSup.s()"),
  d.(["messages_changed"], "online and offline become one message, which other machines do not send yet", """
  defmodule T.Shard do
    use GenServer
    def init(_), do: {:ok, %{t: :ets.new(:t_shard, [:public])}}
    def online(p, r), do: GenServer.cast(p, {:online, r})
    def offline(p, r), do: GenServer.cast(p, {:offline, r})
    def handle_cast({:offline, r}, s), do: store(r, s)
    def handle_cast({:online, r}, s) do
      Process.monitor(r.pid)
      store(r, s)
    end
    def handle_call(:n, _, s), do: {:reply, :ets.info(s.t, :size), s}
    def handle_info(_, s), do: {:noreply, s}
    defp store(r, s) do
      :ets.insert(s.t, {r.id, r})
      {:noreply, s}
    end
  end
  """, [{"GenServer.cast(p, {:online, r})", "GenServer.cast(p, {:store, r})"}, {"GenServer.cast(p, {:offline, r})", "GenServer.cast(p, {:store, r})"}, {"  def handle_cast({:offline, r}, s), do: store(r, s)\n", ""}, {"handle_cast({:online, r}, s) do\n    Process.monitor(r.pid)", "handle_cast({:store, r}, s) do\n    if r.pid, do: Process.monitor(r.pid)"}],
  "start(T.Shard, nil)", "GenServer.cast(it, {:online, %{id: 1, pid: self()}}); is_integer(ask(it, :n))"),
  d.(["children_changed"], "an endpoint is no longer started here", """
  defmodule T.End do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x, name: T.End)
    def init(x), do: {:ok, x}
  end
  defmodule T.EApp do
    use Application
    def start(_, _) do
      children = [T.End]
      Supervisor.start_link(children, strategy: :one_for_one, name: T.ETop)
    end
    def n, do: 1
  end
  """, [{"children = [T.End]", "children = [\n      #  T.End\n    ]"}, {"def n, do: 1", "def n, do: 0"}], "app(T.EApp)", "length(Supervisor.which_children(T.ETop)) == T.EApp.n()"),
  d.(["child_spec_changed"], "children of a supervisor that a server has started take a struct", """
  defmodule T.Rls do
    use GenServer
    defstruct [:source_id]
    def start_link(id) when is_atom(id), do: GenServer.start_link(__MODULE__, id)
    def init(id), do: {:ok, struct!(T.Rls, source_id: id)}
  end
  defmodule T.SSup do
    use GenServer
    def start_link(_), do: GenServer.start_link(__MODULE__, [:a])
    def init(ids) do
      {:ok, s} = Supervisor.start_link(for(i <- ids, do: Supervisor.child_spec({T.Rls, i}, id: i, restart: :transient)), strategy: :one_for_one)
      {:ok, s}
    end
    def handle_call(:s, _, s), do: {:reply, s, s}
  end
  defmodule T.LApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.SSup], strategy: :one_for_one, name: T.LTop)
  end
  """, [{"def start_link(id) when is_atom(id), do:", "def start_link(%T.Rls{source_id: id} = _r) when is_atom(id), do:"}, {"Supervisor.child_spec({T.Rls, i},", "Supervisor.child_spec({T.Rls, struct!(T.Rls, source_id: i)},"}],
  "app(T.LApp); [{_, p, _, _}] = Supervisor.which_children(T.LTop); ask(p, :s)", "restarts?(it, :a)"),
  d.(["init_changed"], "a worker also registers for updates of nodes", """
  defmodule T.Pub do
    def status, do: Registry.register(T.PubReg, "status", [])
    def update, do: Registry.register(T.PubReg, "update", [])
    def n(k), do: length(Registry.lookup(T.PubReg, k))
  end
  defmodule T.Wrk do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_) do
      T.Pub.status()
      {:ok, :idle, %{}}
    end
    def handle_event(:info, :node_up, :idle, d), do: {:next_state, :waiting, d}
    def handle_event(:info, :node_down, _, d), do: {:next_state, :idle, d}
    def wants, do: 0
  end
  """, [{"    T.Pub.status()\n", "    T.Pub.status()\n    T.Pub.update()\n"}, {"  def wants, do: 0", "  def handle_event(:info, {:node_update, _}, _, _), do: :keep_state_and_data\n  def wants, do: 1"}],
  "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.PubReg); Process.unlink(r); statem(T.Wrk, 1)", "T.Pub.n(\"update\") == T.Wrk.wants()"),
  d.(["stale_shape"], "logging can be suspended, with a timer that the start sets", """
  defmodule T.Sum do
    use GenServer
    def init(s), do: {:ok, %{summary: s}}
    def handle_info({:summary, x}, s), do: {:noreply, %{s | summary: x}}
    def suspend(_), do: :ok
  end
  """, [{"%{summary: s}}", "%{summary: s, error: nil, timeout: nil}}"}, {"def suspend(_), do: :ok", "def suspend(p), do: GenServer.call(p, :suspend)\n  def handle_call(:suspend, _, s) do\n    cancel(s.timeout)\n    {:reply, :ok, %{s | error: :x, timeout: Process.send_after(self(), :hide, 5_000_000)}}\n  end\n  def handle_info(:hide, s), do: {:noreply, %{s | error: nil, timeout: nil}}\n  defp cancel(nil), do: :ok\n  defp cancel(r) when is_reference(r), do: Process.cancel_timer(r)"}],
  "start(T.Sum, 1)", "T.Sum.suspend(it) == :ok"),
  d.(["stale_struct"], "the strategy of restarts comes from a configuration that is kept", """
  defmodule T.Raw do
    defstruct files: [], specs: []
  end
  defmodule T.Ifc do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(c), do: {:ok, :configuring, %{config: c, runner: 1}}
    def handle_event({:call, f}, :done, _, d), do: {:next_state, :configured, %{d | runner: nil}, [{:reply, f, set(d.config.specs)}]}
    defp set(specs), do: {:one_for_all, specs}
  end
  """, [{"files: [], specs: []", "files: [], strategy: :one_for_all, specs: []"}, {"set(d.config.specs)", "set(d.config.strategy, d.config.specs)"}, {"defp set(specs), do: {:one_for_all, specs}", "defp set(strategy, specs), do: {strategy, specs}"}], "statem(T.Ifc, struct!(T.Raw))", ":gen_statem.call(it, :done) == {:one_for_all, []}"),
  d.(["init_changed"], "a supervisor has a name that is put together", """
  defmodule T.MSup do
    use Supervisor
    def start_link(o), do: Supervisor.start_link(__MODULE__, o, name: :t_manager_sup)
    def init(o), do: Supervisor.init([{Agent, fn -> o end}], strategy: :one_for_one)
    def sup(_o), do: Process.whereis(:t_manager_sup)
  end
  """, [{"name: :t_manager_sup)", "name: name(o))"}, {"Process.whereis(:t_manager_sup)", "Process.whereis(name(:x))\n  defp name(o), do: String.to_atom(\"t_sup_\#{o}\")"}], "{:ok, p} = T.MSup.start_link(:x); Process.unlink(p); p", "is_pid(T.MSup.sup(:x))"),
  d.(["stale_struct"], "a backfill has the table's number itself", """
  defmodule T.Fill do
    defstruct [:id, :cursor]
  end
  defmodule T.Tab do
    use GenServer
    def init(_), do: {:ok, %{backfill: struct!(T.Fill, id: 1), consumer: %{oid: 5}}}
    def handle_call(:batch, _, s), do: {:reply, oid(s.consumer), s}
    defp oid(%{oid: o}), do: o
  end
  """, [{"[:id, :cursor]", "[:id, :cursor, :oid]"}, {"struct!(T.Fill, id: 1)", "struct!(T.Fill, id: 1, oid: 5)"}, {"oid(s.consumer)", "s.backfill.oid"}, {"  defp oid(%{oid: o}), do: o\n", ""}], "start(T.Tab, nil)", "ask(it, :batch) == 5"),
  h.("a window is closed in another way, where the state says so", """
  defmodule T.Vp do
    use GenServer
    def init(_), do: {:ok, %{size: 1}}
    def handle_cast(:size, s), do: {:noreply, %{s | size: 2}}
    def handle_call(:size, _, s), do: {:reply, s.size, s}
  end
  """, [{"%{size: 1}}", "%{size: 1, on_close: :stop}}"}, {"  def handle_call", "  def handle_cast(:close, %{on_close: c} = s) do\n    case c do\n      :stop -> :ok\n      f when is_function(f, 1) -> f.(self())\n    end\n    {:noreply, s}\n  end\n  def handle_cast(:close, s), do: {:noreply, s}\n  def handle_call"}], "start(T.Vp, nil)", "GenServer.cast(it, :size); ask(it, :size) == 2"),
  h.("subscribers are told when a graph goes", """
  defmodule T.Tabs do
    use GenServer
    def init(_), do: {:ok, {:ets.new(:t_graphs, [:public]), :ets.new(:t_subs, [:public, :bag])}}
    def handle_call({:put, pid, k}, _, {g, _} = s) do
      Process.monitor(pid)
      {:reply, :ets.insert(g, {k, pid}), s}
    end
    def handle_call(:n, _, {g, _} = s), do: {:reply, :ets.info(g, :size), s}
    def handle_info({:DOWN, _, :process, pid, _}, {g, _} = s) do
      pid |> keys(g) |> Enum.each(&:ets.delete(g, &1))
      {:noreply, s}
    end
    defp keys(pid, g), do: for([k] <- :ets.match(g, {:"$1", pid}), do: k)
  end
  """, [{"{:DOWN, _, :process, pid, _}, {g, _} = s) do", "{:DOWN, _, :process, pid, _}, {g, subs} = s) do"}, {"Enum.each(&:ets.delete(g, &1))", "Enum.each(fn k ->\n        :ets.delete(g, k)\n        for {_, p} <- :ets.lookup(subs, k), do: GenServer.cast(p, {:delete, k})\n      end)"}],
  "start(T.Tabs, nil)", "p = spawn(fn -> receive(do: (:go -> :ok)) end); ask(it, {:put, p, :k}); r = Process.monitor(p); send(p, :go); receive(do: ({:DOWN, ^r, _, _, _} -> :ok)); is_integer(ask(it, :n))"),
  h.("migrations at the start are run by another child, which ignores its start as well", """
  defmodule T.Auto do
    use GenServer
    def start_link(_), do: GenServer.start_link(__MODULE__, [])
    def init(_), do: :ignore
  end
  defmodule T.NApp do
    use Application
    def start(_, _), do: Supervisor.start_link([{Registry, keys: :unique, name: T.NReg}, T.Auto], strategy: :one_for_one, name: T.NTop)
  end
  """, """
  defmodule T.Migr do
    use GenServer
    def start_link(o), do: GenServer.start_link(__MODULE__, o)
    def init(_), do: :ignore
  end
  defmodule T.NApp do
    use Application
    def start(_, _), do: Supervisor.start_link([{T.Migr, skip: true}, {Registry, keys: :unique, name: T.NReg}], strategy: :one_for_one, name: T.NTop)
  end
  """, "app(T.NApp)", "Registry.lookup(T.NReg, 1) == []"),
  h.("a cast goes to this machine, and nobody asks for another's name", """
  defmodule T.Utils do
    def ui, do: {:ok, node()}
    def self_name, do: node()
  end
  defmodule T.Rec do
    use GenServer
    def init(_), do: {:ok, []}
    def push(p, x) do
      {:ok, _n} = T.Utils.ui()
      GenServer.cast(p, {:push, x})
    end
    def handle_cast({:push, x}, s), do: {:noreply, [x | s]}
    def handle_call(:all, _, s), do: {:reply, s, s}
  end
  """, [{"  def ui, do: {:ok, node()}\n", "  def all, do: [node() | Node.list()]\n"}, {"    {:ok, _n} = T.Utils.ui()\n", ""}], "start(T.Rec, nil)", "T.Rec.push(it, 1); is_list(ask(it, :all))"),
  h.("a table is kept short", """
  defmodule T.Logs do
    def start, do: :ets.new(:t_logs, [:named_table, :public, :ordered_set])
    def add(x), do: :ets.insert(:t_logs, {System.unique_integer([:monotonic]), x})
    def n, do: :ets.info(:t_logs, :size)
  end
  """, [{"def add(x), do: :ets.insert(:t_logs, {System.unique_integer([:monotonic]), x})", "def add(x), do: short({System.unique_integer([:monotonic]), x})\n  defp short(row) do\n    case :ets.info(:t_logs)[:size] >= 100 do\n      true ->\n        :ets.delete(:t_logs, :ets.first(:t_logs))\n        :ets.insert(:t_logs, row)\n      false -> :ets.insert(:t_logs, row)\n    end\n  end"}], "T.Logs.start(); T.Logs.add(1)", "T.Logs.add(2) and T.Logs.n() > 1"),
  h.("a size is read from a table, or not", """
  defmodule T.Pres do
    use GenServer
    def init(_), do: {:ok, %{topic: "t"}}
    def handle_call(:list, _, s), do: {:reply, %{}, s}
  end
  """, [{"{:reply, %{}, s}", "{:reply, (case size() do\n      {:ok, _} -> %{}\n      {:error, _} -> %{}\n    end), s}"}, {"  def handle_call", "  defp size do\n    try do\n      [{:pool_size, n}] = :ets.lookup(T.PresTab, :pool_size)\n      {:ok, n}\n    rescue\n      e -> {:error, Exception.message(e)}\n    end\n  end\n  def handle_call"}], "start(T.Pres, nil)", "ask(it, :list) == %{}"),
  d.(["stale_shape", "table_changed"], "rows of a pool's figures get the worker's pid", """
  defmodule T.Pm do
    def table, do: :t_pm
    def init(pool, size), do: :ets.insert(table(), {{pool, 1}, size, 0})
    def get(pool) do
      case List.first(:ets.lookup(table(), {pool, 1})) do
        nil -> {:error, :not_found}
        {_key, size, used} -> {:ok, %{size: size, available: size - used}}
      end
    end
  end
  """, [{"size, 0})", "size, 0, self()})"}, {"{_key, size, used} -> {:ok, %{", "{_key, size, used, pid} -> {:ok, %{pid: pid, "}],
  ":ets.new(:t_pm, [:public, :named_table]); T.Pm.init(:a, 5)", "match?({:ok, _}, T.Pm.get(:a))"),
  d.(["messages_changed"], "a state machine is cast what it was called with, and another still calls", """
  defmodule T.Cl do
    @behaviour :gen_statem
    def callback_mode, do: [:handle_event_function]
    def init(_), do: {:ok, :busy, %{sent: 0}}
    def handle_event({:call, from}, {:client_call, bin, ready?}, _, data) do
      d = %{data | sent: data.sent + byte_size(bin)}
      if ready?, do: {:next_state, :idle, d, {:reply, from, :ok}}, else: {:keep_state, d, {:reply, from, :ok}}
    end
  end
  defmodule T.Dbh do
    def told(pid, bin), do: :gen_statem.call(pid, {:client_call, bin, true}, 5000)
  end
  """, [{"handle_event({:call, from}, {:client_call, bin, ready?}, _, data)", "handle_event(:cast, {:client_cast, bin, ready?}, _, data)"}, {"{:next_state, :idle, d, {:reply, from, :ok}}, else: {:keep_state, d, {:reply, from, :ok}}", "{:next_state, :idle, d}, else: {:keep_state, d}"}],
  "statem(T.Cl, 1)", "T.Dbh.told(it, \"x\") == :ok"),
  d.(["stale_shape"], "subscriptions are tried again a number of times", """
  defmodule T.Ch do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, :exchange, %{id: 1, app_name: nil}}
    def handle_event({:call, f}, :subscribe, _, _data), do: {:keep_state_and_data, [{:reply, f, :ok}, {:timeout, 1000, :subscribe}]}
    def handle_event(:timeout, _, _, _), do: :keep_state_and_data
  end
  """, [{"app_name: nil}", "app_name: nil, subscribe_retries: 0}"}, {"_data), do: {:keep_state_and_data, [{:reply, f, :ok}, {:timeout, 1000, :subscribe}]}", "data), do: again(data, f)"}, {"  def handle_event(:timeout", "  defp again(%{subscribe_retries: n} = data, f) do\n    if n < 3, do: {:keep_state, %{data | subscribe_retries: n + 1}, [{:reply, f, :ok}, {:timeout, 500, :subscribe}]}, else: {:stop_and_reply, :normal, {:reply, f, :no}}\n  end\n  def handle_event(:timeout"}],
  "statem(T.Ch, 1)", ":gen_statem.call(it, :subscribe) == :ok"),
  d.(["table_changed"], "keys of a table get the search path", """
  defmodule T.Reg do
    def register(type, tenant, pid), do: :ets.insert(:t_syn, {key(type, tenant, "u"), pid})
    def find(type, tenant), do: :ets.lookup(:t_syn, key(type, tenant, "u"))
    defp key(type, tenant, user), do: {{type, tenant}, user, :session}
  end
  """, [{"{{type, tenant}, user, :session}", "{{type, tenant}, user, :session, nil}"}],
  ":ets.new(:t_syn, [:public, :named_table]); T.Reg.register(:single, \"t\", self())", "length(T.Reg.find(:single, \"t\")) == 1"),
  d.(["stale_shape"], "what is logged depends on an option that a connection keeps", """
  defmodule T.Rx do
    use GenServer
    def start(opts), do: GenServer.start(__MODULE__, Keyword.merge([backoff: 500], opts))
    def init(opts), do: {:ok, %{opts: opts, socket: nil}}
    def handle_call(:disconnect, _, s) do
      log(s, :disconnection, "lost")
      {:reply, :ok, s}
    end
    defp log(_s, _action, message), do: :logger.log(:error, message)
  end
  """, [{"[backoff: 500]", "[backoff: 500, log: [disconnection: :error]]"}, {"defp log(_s, _action, message), do: :logger.log(:error, message)", "defp log(s, action, message) do\n    level = s.opts |> Keyword.fetch!(:log) |> Keyword.fetch!(action)\n    :logger.log(level, message)\n  end"}],
  "elem(T.Rx.start(host: \"a\"), 1)", "ask(it, :disconnect) == :ok"),
  d.(["messages_changed"], "a stager asks for the mode instead of listening, and is still sent what it listened for", """
  defmodule T.Stg do
    use GenServer
    defstruct [:conf, limit: 5, mode: :global, ping_at: 0, tick: 0]
    def init(c) do
      {:ok, _} = Registry.register(T.Notes, :stager, nil)
      {:ok, struct!(T.Stg, conf: c)}
    end
    def handle_info({:notification, :stager, _}, s), do: {:noreply, %{s | ping_at: 60, mode: :global, tick: 0}}
    def handle_call(:mode, _, s), do: {:reply, s.mode, s}
  end
  """, [{"mode: :global, ping_at: 0, tick: 0]", "mode: :global]"}, {"    {:ok, _} = Registry.register(T.Notes, :stager, nil)\n", ""}, {"  def handle_info({:notification, :stager, _}, s), do: {:noreply, %{s | ping_at: 60, mode: :global, tick: 0}}\n", "  def handle_info(:stage, s), do: {:noreply, s}\n"}],
  "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.Notes); Process.unlink(r); start(T.Stg, 1)", "Registry.dispatch(T.Notes, :stager, fn es -> for {p, _} <- es, do: send(p, {:notification, :stager, %{}}) end); ask(it, :mode) == :global"),
  d.(["child_spec_changed"], "a reader's state is the serializer", """
  defmodule T.Json do
    def deserialize(x), do: {:event, x}
  end
  defmodule T.Reader do
    use GenServer
    def start_link(args), do: GenServer.start_link(__MODULE__, args)
    def init(_args), do: {:ok, :ok}
    def handle_call({:events, es}, _, state), do: {:reply, Enum.map(es, &read(&1, state)), state}
    defp read(e, _), do: {:event, e}
  end
  defmodule T.NSup do
    use Supervisor
    def start_link(c), do: Supervisor.start_link(__MODULE__, c)
    def init(_), do: Supervisor.init([{T.Reader, []}], strategy: :one_for_all)
  end
  """, [{"init(_args), do: {:ok, :ok}", "init(serializer), do: {:ok, serializer}"}, {"defp read(e, _), do: {:event, e}", "defp read(e, serializer), do: serializer.deserialize(e)"}, {"{T.Reader, []}", "{T.Reader, T.Json}"}],
  "{:ok, p} = T.NSup.start_link(1); Process.unlink(p); p", "[{_, r, _, _}] = Supervisor.which_children(it); ask(r, {:events, [1]}) == [{:event, 1}]"),
  d.(["child_spec_changed"], "the state that a server starts with is given to it", """
  defmodule T.Qu do
    use GenServer
    def start_link(s), do: GenServer.start_link(__MODULE__, s)
    def init(_), do: {:ok, %{jobs: [1], d: nil}}
    def handle_call(:jobs, _, s), do: {:reply, s.jobs, s}
  end
  defmodule T.QApp do
    use Application
    def start(_, _), do: Supervisor.start_link([{T.Qu, %{}}], strategy: :one_for_one, name: T.QTop)
  end
  """, [{"init(_), do: {:ok, %{jobs: [1], d: nil}}", "init(s), do: {:ok, %{s | jobs: Enum.filter(s.jobs, &is_integer/1)}}"}, {"{T.Qu, %{}}", "{T.Qu, %{jobs: [1], d: nil}}"}], "app(T.QApp)", "restarts?(T.QTop, T.Qu)"),
  d.(["stale_shape"], "jobs are translated when they are added, and no longer when they run", """
  defmodule T.Ex do
    def execute(e, f) when is_atom(e), do: execute(Atom.to_string(e), f)
    def execute("@daily", f), do: f.()
    def execute("* *", f), do: f.()
  end
  defmodule T.Cron do
    use GenServer
    def init(jobs), do: {:ok, %{jobs: jobs}}
    def handle_call(:tick, _, s), do: {:reply, Enum.map(s.jobs, fn {e, f} -> T.Ex.execute(e, f) end), s}
  end
  """, [{"  def execute(e, f) when is_atom(e), do: execute(Atom.to_string(e), f)\n", ""}, {"{:ok, %{jobs: jobs}}", "{:ok, %{jobs: Enum.map(jobs, fn {e, f} -> {to_string(e), f} end)}}"}], "start(T.Cron, [{:\"@daily\", &System.os_time/0}])", "length(ask(it, :tick)) == 1"),
  d.(["init_changed"], "the number of attempts that is kept becomes another", """
  defmodule T.At do
    use GenServer
    def start(opts), do: GenServer.start(__MODULE__, opts)
    def init(opts), do: {:ok, %{max: Keyword.get(opts, :max, 5), n: 0}}
    def default, do: 5
    def handle_call(:max, _, s), do: {:reply, s.max, s}
  end
  """, [{"Keyword.get(opts, :max, 5)", "Keyword.get(opts, :max, 10)"}, {"def default, do: 5", "def default, do: 10"}], "elem(T.At.start([]), 1)", "ask(it, :max) == T.At.default()"),
  d.(["init_changed"], "a limit is read from a registry's meta data, which the start puts there", """
  defmodule T.Lim do
    use GenServer
    def init(_) do
      {:ok, _} = Registry.start_link(keys: :unique, name: T.LReg)
      {:ok, 5}
    end
    def handle_call(:limit, _, s), do: {:reply, limit(s), s}
    defp limit(n), do: n
  end
  """, [{"    {:ok, 5}\n", "    :ok = Registry.put_meta(T.LReg, :limit, 5)\n    {:ok, 5}\n"}, {"defp limit(n), do: n", "defp limit(_) do\n    {:ok, n} = Registry.meta(T.LReg, :limit)\n    n\n  end"}], "start(T.Lim, nil)", "ask(it, :limit) == 5"),
  d.(["stale_shape"], "a handler of logs takes its service from its settings", """
  defmodule T.Lg do
    def attach, do: :logger.add_handler(:t_lg, T.Lg, %{config: %{to: :t_seen}})
    def log(_event, %{config: %{to: t}}), do: :ets.insert(t, {:seen, 1})
  end
  """, [{"%{to: :t_seen}}", "%{to: :t_seen, service: \"x\"}}"}, {"%{config: %{to: t}}), do: :ets.insert(t, {:seen, 1})", "%{config: %{to: t, service: s}}), do: :ets.insert(t, {:seen, s})"}],
  ":ets.new(:t_seen, [:public, :named_table]); T.Lg.attach()", ":ets.delete_all_objects(:t_seen); T.Lg.log(%{}, elem(:logger.get_handler_config(:t_lg), 1))"),
  d.(["table_changed"], "a setting in a table has another key, and another module reads it", """
  defmodule T.Wr do
    def boot do
      :ets.new(:t_settings, [:public, :named_table])
      :ets.insert(:t_settings, {:mode, :fast})
    end
  end
  defmodule T.Rd do
    def mode, do: :ets.lookup_element(:t_settings, :mode, 2)
  end
  """, [{"{:mode, :fast}", "{:run_mode, :fast}"}, {":ets.lookup_element(:t_settings, :mode, 2)", ":ets.lookup_element(:t_settings, :run_mode, 2)"}], "T.Wr.boot()", "T.Rd.mode() == :fast"),
  d.(["init_changed"], "a cache is warmed after the start", """
  defmodule T.Wc do
    use GenServer
    def init(_), do: {:ok, %{data: nil}}
    def handle_call({:get, k}, _, s), do: {:reply, get(s.data, k), s}
    defp get(_, k), do: k
  end
  """, [{"{:ok, %{data: nil}}", "{:ok, %{data: nil}, {:continue, :warm}}"}, {"defp get(_, k), do: k", "def handle_continue(:warm, s), do: {:noreply, %{s | data: %{1 => 1}}}\n  defp get(data, k), do: Map.fetch!(data, k)"}], "start(T.Wc, nil)", "ask(it, {:get, 1}) == 1"),
  d.(["init_changed"], "what is old is swept by a timer that the start sets", """
  defmodule T.Sw do
    use GenServer
    def init(_), do: {:ok, %{rows: [1]}}
    def handle_call(:timers, _, s), do: {:reply, s.rows, s}
    def sweeps, do: false
  end
  """, [{"def init(_), do: {:ok,", "def init(_), do: Process.send_after(self(), :sweep, 1) && {:ok,"}, {"def sweeps, do: false", "def sweeps, do: true\n  def handle_info(:sweep, s) do\n    Process.send_after(self(), :sweep, 1000)\n    {:noreply, %{s | rows: []}}\n  end"}], "start(T.Sw, nil)", "if T.Sw.sweeps(), do: ask(it, :timers) == [], else: true"),
  d.(["init_changed"], "a buffer is flushed at the end, for which the start traps exits", """
  defmodule T.Fl do
    use GenServer
    def init(_), do: {:ok, [1]}
    def handle_call(:b, _, s), do: {:reply, s, s}
    def flushes, do: false
  end
  """, [{"def init(_), do: {:ok, [1]}", "def init(_) do\n    Process.flag(:trap_exit, true)\n    {:ok, [1]}\n  end"}, {"def flushes, do: false", "def flushes, do: true\n  def terminate(_, s), do: send(:t_flush, {:flushed, s})"}], "start(T.Fl, nil)", "if T.Fl.flushes(), do: Process.info(it, :trap_exit) == {:trap_exit, true}, else: true"),
  d.(["init_changed"], "the owner is monitored from the start", """
  defmodule T.Ow do
    use GenServer
    def init(owner), do: {:ok, %{owner: owner}}
    def handle_call(:owner, _, s), do: {:reply, s.owner, s}
    def watches, do: false
  end
  """, [{"def init(owner), do: {:ok, %{owner: owner}}", "def init(owner) do\n    Process.monitor(owner)\n    {:ok, %{owner: owner}}\n  end"}, {"def watches, do: false", "def watches, do: true\n  def handle_info({:DOWN, _, :process, o, _}, %{owner: o} = s), do: {:stop, :normal, s}"}], "start(T.Ow, self())", "if T.Ow.watches(), do: Process.info(it, :monitors) != {:monitors, []}, else: true"),
  d.(["init_changed"], "a table that the application's start makes is read", """
  defmodule T.TApp do
    use Application
    def start(_, _) do
      Supervisor.start_link([], strategy: :one_for_one)
    end
  end
  defmodule T.Tr do
    def rate(_k), do: 0
  end
  """, [{"    Supervisor.start_link", "    :ets.new(:t_rates, [:named_table, :public])\n    Supervisor.start_link"}, {"def rate(_k), do: 0", "def rate(k) do\n    :ets.update_counter(:t_rates, k, 1, {k, 0})\n  end"}], "app(T.TApp)", "T.Tr.rate(1) >= 0"),
  d.(["init_changed", "missing_process"], "prices come from a process that only the start of another starts", """
  defmodule T.Pr do
    use GenServer
    def start_link(_), do: GenServer.start_link(__MODULE__, nil, name: T.Pr)
    def init(_), do: {:ok, 3}
    def handle_call(:price, _, n), do: {:reply, n, n}
  end
  defmodule T.Sh do
    use GenServer
    def init(_), do: {:ok, %{}}
    def handle_call(:buy, _, s), do: {:reply, price(), s}
    defp price, do: 3
  end
  """, [{"  def init(_), do: {:ok, %{}}", "  def init(_) do\n    {:ok, _} = T.Pr.start_link(nil)\n    {:ok, %{}}\n  end"}, {"defp price, do: 3", "defp price, do: GenServer.call(T.Pr, :price)"}], "start(T.Sh, nil)", "ask(it, :buy) == 3"),
  d.(["message_refused"], "a server is asked what it does not answer", """
  defmodule T.Un do
    use GenServer
    def start(_), do: GenServer.start(__MODULE__, nil, name: :t_un)
    def init(_), do: {:ok, %{n: 1}}
    def handle_call(:n, _, s), do: {:reply, s.n, s}
  end
  defmodule T.As do
    def stats, do: %{n: GenServer.call(:t_un, :n)}
  end
  """, [{"GenServer.call(:t_un, :n)", "GenServer.call(:t_un, {:count, :all})"}], "T.Un.start(nil); nil", "T.As.stats() == %{n: 1}"),
  d.(["init_changed"], "rooms are registered under another key", """
  defmodule T.Ro do
    use GenServer
    def start(id), do: GenServer.start(__MODULE__, id, name: via(id))
    def via(id), do: {:via, Registry, {T.RReg, {T.Ro, id}}}
    def init(id), do: {:ok, id}
    def say(id), do: GenServer.call(via(id), :say)
    def handle_call(:say, _, id), do: {:reply, id, id}
  end
  """, [{"{T.RReg, {T.Ro, id}}", "{T.RReg, {:room, id, 1}}"}], "{:ok, r} = Registry.start_link(keys: :unique, name: T.RReg); Process.unlink(r); elem(T.Ro.start(7), 1)", "T.Ro.say(7) == 7"),
  d.(["table_changed"], "a table takes several rows of a key", """
  defmodule T.Bg do
    use GenServer
    def init(_), do: {:ok, :ets.new(:t_bg, [:named_table, :public, :set])}
    def add(k, v), do: :ets.insert(:t_bg, {k, v})
    def all(k), do: :ets.lookup(:t_bg, k)
    def many, do: 1
  end
  """, [{":public, :set]", ":public, :bag]"}, {"def many, do: 1", "def many, do: 2"}], "start(T.Bg, nil)", "T.Bg.add(:a, 1); T.Bg.add(:a, 2); length(T.Bg.all(:a)) == T.Bg.many()"),
  d.(["supervisor_changed"], "there are eight workers", """
  defmodule T.Wk do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Pool do
    use Supervisor
    @size 2
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(_), do: Supervisor.init(for(i <- 1..@size, do: Supervisor.child_spec({T.Wk, i}, id: {T.Wk, i})), strategy: :one_for_one)
    def pick(sup, n) do
      {_, p, _, _} = List.keyfind(Supervisor.which_children(sup), {T.Wk, rem(n, @size) + 1}, 0)
      p
    end
  end
  """, [{"@size 2", "@size 4"}], "{:ok, p} = T.Pool.start_link(1); Process.unlink(p); p", "is_pid(T.Pool.pick(it, 3))"),
  d.(["child_spec_changed"], "a child has another id, by which it is found", """
  defmodule T.Idw do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Ids do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(_), do: Supervisor.init([Supervisor.child_spec({T.Idw, 1}, id: :writer)], strategy: :one_for_one)
    def writer(sup), do: Enum.find_value(Supervisor.which_children(sup), fn {id, p, _, _} -> if id == :writer, do: p end)
  end
  """, [{"id: :writer)", "id: :primary_writer)"}, {"if id == :writer", "if id == :primary_writer"}], "{:ok, p} = T.Ids.start_link(1); Process.unlink(p); p", "is_pid(T.Ids.writer(it))"),
  d.(["init_changed"], "a term that the start puts is read", """
  defmodule T.PtS do
    use GenServer
    def init(_) do
      {:ok, nil}
    end
    def key, do: :k
    def secret, do: 1
  end
  """, [{"    {:ok, nil}", "    :persistent_term.put({T.PtS, :secret}, 1)\n    {:ok, nil}"}, {"secret, do: 1", "secret, do: :persistent_term.get({T.PtS, :secret})"}], "start(T.PtS, nil)", "T.PtS.secret() == 1"),
  d.(["missing_setting"], "a setting is read that no environment has", """
  defmodule T.Env do
    def region, do: "a"
  end
  """, [{"\"a\"", "Application.fetch_env!(:changes, :t_region)"}], "nil", "is_binary(T.Env.region())"),
  d.(["stale_shape"], "there is one counter more", """
  defmodule T.Ctr do
    def start, do: :persistent_term.put({T.Ctr, :ref}, :counters.new(3, []))
    def hit, do: :counters.add(:persistent_term.get({T.Ctr, :ref}), 3, 1)
  end
  """, [{":counters.new(3, [])", ":counters.new(4, [])"}, {", 3, 1)", ", 4, 1)"}], "T.Ctr.start()", "T.Ctr.hit() == :ok"),
  d.(["stale_shape"], "a record gets a field", """
  defmodule T.Rec do
    use GenServer
    require Record
    Record.defrecordp(:st, [:sock, queue: []])
    def init(s), do: {:ok, st(sock: s)}
    def handle_call({:push, x}, _, s) do
      q = [x | st(s, :queue)]
      {:reply, length(q), st(s, queue: q)}
    end
  end
  """, [{"[:sock, queue: []]", "[:sock, queue: [], sent: 0]"}, {"st(s, queue: q)", "st(s, queue: q, sent: st(s, :sent) + 1)"}], "start(T.Rec, 1)", "is_integer(ask(it, {:push, 1}))"),
  d.(["stale_struct"], "points that are kept in a set and a queue get a third side", """
  defmodule T.Pt do
    defstruct [:x, :y]
  end
  defmodule T.Grid do
    use GenServer
    def init(_), do: {:ok, {MapSet.new([struct!(T.Pt, x: 1, y: 2)]), :queue.new()}}
    def handle_call({:has, x, y}, _, {m, _} = s), do: {:reply, MapSet.member?(m, struct!(T.Pt, x: x, y: y)), s}
  end
  """, [{"[:x, :y]", "[:x, :y, z: 0]"}], "start(T.Grid, nil)", "ask(it, {:has, 1, 2})"),
  d.(["messages_changed"], "a state of a machine has another name", """
  defmodule T.Sm do
    @behaviour :gen_statem
    def callback_mode, do: :state_functions
    def init(_), do: {:ok, :waiting, %{}}
    def waiting({:call, f}, :go, d), do: {:next_state, :running, d, {:reply, f, :ok}}
    def running({:call, f}, :go, d), do: {:next_state, :waiting, d, {:reply, f, :ok}}
  end
  """, [{"{:ok, :waiting, %{}}", "{:ok, :idle, %{}}"}, {"def waiting(", "def idle("}, {"{:next_state, :waiting, d,", "{:next_state, :idle, d,"}], "statem(T.Sm, 1)", ":gen_statem.call(it, :go) == :ok and :gen_statem.call(it, :go) == :ok"),
  d.(["mfa_gone"], "a handler that is attached has another name", """
  defmodule T.Bus do
    def attach(id, m, f), do: :ets.insert(:t_bus, {id, m, f})
    def run(x), do: for({_, m, f} <- :ets.tab2list(:t_bus), do: apply(m, f, [x]))
  end
  defmodule T.Hn do
    def attach, do: T.Bus.attach(:h, __MODULE__, :handle)
    def handle(x), do: x
  end
  """, [{":handle)", ":handle_event)"}, {"def handle(x)", "def handle_event(x)"}], ":ets.new(:t_bus, [:named_table, :public]); T.Hn.attach()", "T.Bus.run(1) == [1]"),
  d.(["supervisor_changed"], "more may run at once", """
  defmodule T.Ds do
    use DynamicSupervisor
    def start_link(x), do: DynamicSupervisor.start_link(__MODULE__, x)
    def init(_), do: DynamicSupervisor.init(strategy: :one_for_one, max_children: 1)
    def max, do: 1
  end
  """, [{"max_children: 1", "max_children: 2"}, {"def max, do: 1", "def max, do: 2"}], "{:ok, p} = T.Ds.start_link(1); Process.unlink(p); p", "for _ <- 1..2, do: DynamicSupervisor.start_child(it, {Agent, fn -> 1 end}); DynamicSupervisor.count_children(it).active == T.Ds.max()"),
  d.(["stale_shape"], "an agent's map holds sets of what were lists", """
  defmodule T.Ag do
    def start, do: Agent.start(fn -> %{} end)
    def add(p, k, v), do: Agent.update(p, fn m -> Map.update(m, k, [v], &[v | &1]) end)
    def count(p, k), do: Agent.get(p, fn m -> length(Map.get(m, k, [])) end)
  end
  """, [{"Map.update(m, k, [v], &[v | &1])", "Map.update(m, k, MapSet.new([v]), &MapSet.put(&1, v))"}, {"length(Map.get(m, k, []))", "MapSet.size(Map.get(m, k, MapSet.new()))"}], "{:ok, p} = T.Ag.start(); T.Ag.add(p, :k, 1); p", "T.Ag.add(it, :k, 2); is_integer(T.Ag.count(it, :k))"),
  d.(["stale_shape"], "a nested map gets a key that an update needs", """
  defmodule T.Ns do
    use GenServer
    def init(_), do: {:ok, %{stats: %{in: 0}, name: "a"}}
    def handle_cast({:in, n}, s), do: {:noreply, put_in(s.stats.in, s.stats.in + n)}
    def handle_call(:stats, _, s), do: {:reply, s.stats, s}
  end
  """, [{"%{in: 0}", "%{in: 0, out: 0}"}, {"  def handle_call", "  def handle_cast({:out, n}, s), do: {:noreply, update_in(s.stats.out, &(&1 + n))}\n  def outs, do: 1\n  def handle_call"}], "start(T.Ns, nil)", "if function_exported?(T.Ns, :outs, 0), do: GenServer.cast(it, {:out, 1}); is_map(ask(it, :stats))"),
  d.(["stale_shape"], "who waits is kept with the time", """
  defmodule T.Pn do
    use GenServer
    def init(_), do: {:ok, %{waiting: []}}
    def handle_call(:wait, from, s), do: {:noreply, %{s | waiting: [from | s.waiting]}}
    def handle_call(:open, _, s) do
      for from <- s.waiting, do: GenServer.reply(from, :open)
      {:reply, length(s.waiting), %{s | waiting: []}}
    end
  end
  """, [{"[from | s.waiting]", "[{from, System.monotonic_time()} | s.waiting]"}, {"for from <- s.waiting, do:", "for {{p, _} = from, t} when is_pid(p) and is_integer(t) <- s.waiting, do:"}],
  "p = start(T.Pn, nil); spawn(fn -> GenServer.call(p, :wait, :infinity) end); p",
  "wait = fn f -> if :sys.get_state(it).waiting == [], do: f.(f), else: :ok end; wait.(wait); ws = for({pid, _} <- :sys.get_state(it).waiting, do: pid); ask(it, :open); ok = Enum.all?(ws, fn w -> r = Process.monitor(w); receive do {:DOWN, ^r, _, _, _} -> true after 2000 -> false end end); spawn(fn -> GenServer.call(it, :wait, :infinity) end); ok"),
  h.("a helper takes the host instead of its address", """
  defmodule T.Host do
    defstruct [:address, :port]
    def text(h), do: h.address
  end
  defmodule T.Clu do
    use GenServer
    def init(_), do: {:ok, %{pools: %{}}}
    def handle_call({:up, host}, _, s) do
      s = start_pool(s, {host.address, host.port})
      {:reply, map_size(s.pools), s}
    end
    defp start_pool(s, {_ip, _port} = peer), do: put_in(s.pools[peer], 1)
  end
  """, [{"start_pool(s, {host.address, host.port})", "start_pool(s, host)"}, {"defp start_pool(s, {_ip, _port} = peer), do: put_in(s.pools[peer], 1)", "defp start_pool(s, %T.Host{} = h), do: put_in(s.pools[T.Host.peer(h)], 1)"}, {"def text(h), do: h.address", "def text(h), do: h.address\n  def peer(%T.Host{address: a, port: p}), do: {a, p}"}], "p = start(T.Clu, nil); ask(p, {:up, struct!(T.Host, address: 1, port: 2)}); p", "ask(it, {:up, struct!(T.Host, address: 1, port: 2)}) == 1"),
  h.("what the start casts to itself follows it, and the casts are still taken", """
  defmodule T.Agg do
    use GenServer
    def init(u) do
      :ok = GenServer.cast(self(), :populate)
      {:ok, %{uuid: u, version: 0}}
    end
    def handle_cast(:populate, s), do: {:noreply, populate(s)}
    def handle_call(:v, _, s), do: {:reply, s.version, s}
    defp populate(s), do: %{s | version: 1}
  end
  """, [{"    :ok = GenServer.cast(self(), :populate)\n    {:ok, %{uuid: u, version: 0}}", "    {:ok, %{uuid: u, version: 0}, {:continue, :populate}}"}, {"  def handle_cast(:populate", "  def handle_continue(:populate, s), do: {:noreply, populate(s)}\n  def handle_cast(:populate"}], "start(T.Agg, 1)", "ask(it, :v) == 1"),
  h.("who is tracked already is not tracked again", """
  defmodule T.Tra do
    use GenServer
    def init(_) do
      :ok = track("a", 1)
      {:ok, nil}
    end
    def track(t, k) do
      {:ok, _} = Registry.register(T.TraReg, t, k)
      :ok
    end
    def handle_call(:again, _, s), do: {:reply, track("b", 2), s}
  end
  """, [{"    {:ok, _} = Registry.register(T.TraReg, t, k)\n    :ok\n", "    case Registry.match(T.TraReg, t, k) do\n      [] ->\n        {:ok, _} = Registry.register(T.TraReg, t, k)\n        :ok\n      _ -> :ok\n    end\n"}], "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.TraReg); Process.unlink(r); start(T.Tra, nil)", "ask(it, :again) == :ok"),
  h.("a queue is filled the right way round", """
  defmodule T.Mon do
    use GenServer
    defstruct [:pid, queue: :queue.new()]
    def init(_), do: {:ok, struct!(T.Mon)}
    def handle_call(:len, _, s), do: {:reply, :queue.len(s.queue), s}
    def handle_cast(m, %T.Mon{pid: nil, queue: q} = s), do: {:noreply, %T.Mon{s | queue: :queue.in({:cast, m}, q)}}
  end
  """, [{"def handle_cast(m, %T.Mon{pid: nil, queue: q} = s), do: {:noreply, %T.Mon{s | queue: :queue.in({:cast, m}, q)}}", "def handle_cast(m, %T.Mon{pid: nil} = s), do: {:noreply, enqueue({:cast, m}, s)}\n  defp enqueue(i, %T.Mon{queue: q} = s), do: %T.Mon{s | queue: :queue.in(i, q)}"}], "start(T.Mon, nil)", "GenServer.cast(it, 1); ask(it, :len) > 0"),
  h.("what is held back is drained, by a message that is new on both sides", """
  defmodule T.Bf do
    use GenServer
    def init(_), do: {:ok, [1]}
    def handle_call(:size, _, s), do: {:reply, length(s), s}
    def size(p), do: GenServer.call(p, :size)
  end
  defmodule T.Sch do
    use GenServer
    def init(b), do: {:ok, %{buffers: %{error: b}, n: 0}}
    def handle_call(:run, _, s), do: {:reply, T.Bf.size(s.buffers.error), s}
  end
  """, [{"  def size(p)", "  def handle_call(:drain, _, s), do: {:reply, s, []}\n  def drain(p), do: GenServer.call(p, :drain)\n  def size(p)"}, {"def handle_call(:run, _, s), do: {:reply, T.Bf.size(s.buffers.error), s}", "def handle_call(:run, _, s), do: {:reply, length(drained(s, :error)), s}\n  defp drained(s, k) do\n    b = Map.fetch!(s.buffers, k)\n    items = T.Bf.drain(b)\n    if items != [], do: Enum.each(items, fn _ -> :ok end)\n    items\n  end"}], "start(T.Sch, start(T.Bf, nil))", "is_integer(ask(it, :run))"),
  h.("a tracker takes a cast with who asked", """
  defmodule T.Trk do
    @behaviour :gen_statem
    def callback_mode, do: :state_functions
    def init(_), do: {:ok, :tracking, %{pending: [], nodes: [1]}}
    def tracking(:cast, m, d), do: cast(m, d)
    def tracking({:call, f}, :n, d), do: {:keep_state_and_data, {:reply, f, length(d.pending)}}
    defp cast({:pending, n}, d), do: {:keep_state, %{d | pending: d.pending ++ [n]}}
    defp cast(_, _), do: :keep_state_and_data
  end
  """, [{"  defp cast(_, _)", "  defp cast({:pending, n, from}, d), do: pend({n, from}, d)\n  defp cast(_, _)"}, {"do: {:keep_state, %{d | pending: d.pending ++ [n]}}", "do: pend(n, d)"}, {"  def tracking({:call", "  defp pend(x, %{pending: p} = d), do: {:keep_state, %{d | pending: p ++ [x]}}\n  def tracking({:call"}], "statem(T.Trk, 1)", ":gen_statem.cast(it, {:pending, 1}); is_integer(:gen_statem.call(it, :n))"),
  h.("two functions become one with another name, for all who call", """
  defmodule T.Ovs do
    def get(n) when is_atom(n), do: retrieve(n)
    def get(_), do: nil
    def retrieve(n) do
      case :ets.lookup(:t_ovs, n) do
        [{^n, s}] -> s
        _ -> nil
      end
    end
  end
  defmodule T.Cx do
    def with(n, f), do: f.(T.Ovs.get(n))
    def raw(n), do: T.Ovs.retrieve(n)
  end
  """, [{"  def get(n) when is_atom(n), do: retrieve(n)\n  def get(_), do: nil\n  def retrieve(n) do", "  def lookup(n) when is_atom(n) do"}, {"  end\nend\ndefmodule T.Cx", "  end\n  def lookup(_), do: nil\nend\ndefmodule T.Cx"}, {"T.Ovs.get(n)", "T.Ovs.lookup(n)"}, {"T.Ovs.retrieve(n)", "T.Ovs.lookup(n)"}], ":ets.new(:t_ovs, [:named_table, :public]); :ets.insert(:t_ovs, {:a, %{v: 1}})", "T.Cx.with(:a, & &1) == %{v: 1} and T.Cx.raw(:a) == %{v: 1}"),
  h.("logs say more of what the state has", """
  defmodule T.Own do
    use GenServer
    require Logger
    def init(_), do: {:ok, %{log: false, mode: :manual, checkouts: %{}}}
    def handle_call({:checkout, p}, _, s) do
      %{checkouts: c, log: log} = s
      log && Logger.log(log, fn -> [inspect(p), " owns"] end)
      {:reply, :ok, %{s | checkouts: Map.put(c, p, 1)}}
    end
  end
  """, [{"%{checkouts: c, log: log} = s", "%{checkouts: c, log: log, mode: mode} = s"}, {"    log && Logger.log(log, fn -> [inspect(p), \" owns\"] end)\n", "    if log do\n      Logger.log(log, fn -> [inspect(p), \" in \", inspect(mode)] end)\n    end\n"}], "start(T.Own, nil)", "ask(it, {:checkout, 1}) == :ok"),
  h.("a call waits longer", """
  defmodule T.Clt do
    use GenServer
    def init(_), do: {:ok, %{n: 1}}
    def n(p, opts \\\\ []), do: GenServer.call(p, :n, Keyword.get(opts, :timeout, 5000))
    def handle_call(:n, _, s), do: {:reply, s.n, s}
  end
  """, [{":timeout, 5000)", ":timeout, 15000)"}], "start(T.Clt, nil)", "T.Clt.n(it) == 1"),
  h.("a sweep comes more often", """
  defmodule T.Swp do
    use GenServer
    @every 60_000
    def init(_) do
      Process.send_after(self(), :sweep, @every)
      {:ok, %{rows: [1]}}
    end
    def handle_info(:sweep, s) do
      Process.send_after(self(), :sweep, @every)
      {:noreply, %{s | rows: []}}
    end
  end
  """, [{"60_000", "30_000"}], "start(T.Swp, nil)", "takes?(it, :sweep)"),
  h.("a process is asked where there is one", """
  defmodule T.May do
    use GenServer
    def init(_), do: {:ok, 1}
    def handle_call(:p, _, s), do: {:reply, price(), s}
    defp price, do: 3
  end
  """, [{"defp price, do: 3", "defp price do\n    case Process.whereis(:t_prices) do\n      nil -> 3\n      pid -> GenServer.call(pid, :price)\n    end\n  end"}], "start(T.May, nil)", "ask(it, :p) == 3"),
  h.("a setting is read with a default", """
  defmodule T.Evd do
    def region, do: "a"
    def ms, do: 5
  end
  """, [{"\"a\"", "Application.get_env(:changes, :t_region, \"a\")"}, {"def ms, do: 5", "def ms, do: Application.get_env(:changes, :t_ms) || 5"}], "nil", "T.Evd.region() == \"a\" and T.Evd.ms() == 5"),
  h.("a table is made when it is needed", """
  defmodule T.Lz do
    def hit(_k), do: 1
  end
  """, [{"def hit(_k), do: 1", "def hit(k) do\n    if :ets.whereis(:t_lazy) == :undefined, do: :ets.new(:t_lazy, [:named_table, :public])\n    :ets.update_counter(:t_lazy, k, 1, {k, 0})\n  end"}], "nil", "T.Lz.hit(1) == 1"),
  h.("a compiled pattern is kept as a term once it was made", """
  defmodule T.Lt do
    def split(x), do: :binary.split(x, ",", [:global])
  end
  """, [{":binary.split(x, \",\", [:global])", ":binary.split(x, pattern(), [:global])\n  defp pattern do\n    case :persistent_term.get({T.Lt, :pattern}, nil) do\n      nil ->\n        p = \",\"\n        :persistent_term.put({T.Lt, :pattern}, p)\n        p\n      p -> p\n    end\n  end"}], "nil", "T.Lt.split(\"a,b\") == [\"a\", \"b\"]"),
  h.("workers are listed in another way", """
  defmodule T.Lw do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Ls do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(n), do: Supervisor.init(for(i <- 1..n, do: Supervisor.child_spec({T.Lw, i}, id: {T.Lw, i})), strategy: :one_for_one)
  end
  """, [{"for(i <- 1..n, do: Supervisor.child_spec({T.Lw, i}, id: {T.Lw, i}))", "Enum.map(1..n, &worker/1)"}, {"  def start_link(x), do: Supervisor.start_link(__MODULE__, x)", "  def start_link(x), do: Supervisor.start_link(__MODULE__, x)\n  defp worker(i), do: Map.put(T.Lw.child_spec(i), :id, {T.Lw, i})"}], "{:ok, p} = T.Ls.start_link(2); Process.unlink(p); p", "length(Supervisor.which_children(it)) == 2"),
  h.("errors are counted in a key that comes with the first", """
  defmodule T.Er do
    use GenServer
    def init(_), do: {:ok, %{n: 0}}
    def handle_cast(:fail, s), do: {:noreply, s}
    def handle_call(:n, _, s), do: {:reply, s.n, s}
  end
  """, [{"handle_cast(:fail, s), do: {:noreply, s}", "handle_cast(:fail, s), do: {:noreply, Map.put(s, :errors, errors(s) + 1)}\n  defp errors(%{errors: n}), do: n\n  defp errors(_), do: 0"}], "start(T.Er, nil)", "GenServer.cast(it, :fail); GenServer.cast(it, :fail); is_integer(ask(it, :n))"),
  h.("a tuple becomes a map, which code_change makes", """
  defmodule T.Mg do
    use GenServer
    def init(_), do: {:ok, {1, []}}
    def handle_call(:n, _, {n, _} = s), do: {:reply, n, s}
  end
  """, [{"{:ok, {1, []}}", "{:ok, %{n: 1, list: []}}"}, {"def handle_call(:n, _, {n, _} = s), do: {:reply, n, s}", "def handle_call(:n, _, %{n: n} = s), do: {:reply, n, s}\n  def code_change(_, {n, l}, _), do: {:ok, %{n: n, list: l}}\n  def code_change(_, s, _), do: {:ok, s}"}], "start(T.Mg, nil)", "ask(it, :n) == 1"),
  h.("every operation is answered while there is no socket", """
  defmodule T.Rc do
    use GenServer
    def init(_), do: {:ok, %{socket: :s, n: 0}}
    def handle_call({:commands, c}, _, %{socket: nil} = s), do: {:reply, {c, :closed}, s}
    def handle_call({:commands, c}, _, s), do: {:reply, {c, :ok}, %{s | n: s.n + 1}}
    def handle_call(:cancel, _, s), do: {:reply, :ok, s}
  end
  """, [{"  def handle_call({:commands, c}, _, s)", "  def handle_call(_op, _, %{socket: nil} = s), do: {:reply, {:error, :closed}, s}\n  def handle_call({:commands, c}, _, s)"}], "start(T.Rc, nil)", "ask(it, {:commands, 1}) == {1, :ok} and ask(it, :cancel) == :ok"),
  d.(["stale_shape"], "a struct has another name", """
  defmodule T.Acc do
    defstruct [:id, n: 0]
  end
  defmodule T.AccS do
    use GenServer
    def init(i), do: {:ok, struct!(T.Acc, id: i)}
    def handle_call(:n, _, %T.Acc{} = s), do: {:reply, s.n, s}
  end
  """, [{"T.Acc do", "T.Account do"}, {"struct!(T.Acc,", "struct!(T.Account,"}, {"%T.Acc{} = s", "%T.Account{} = s"}], "start(T.AccS, 1)", "ask(it, :n) == 0"),
  d.(["init_changed"], "what a process keeps in its dictionary has another key", """
  defmodule T.Pd do
    use GenServer
    def init(_) do
      Process.put(:t_conn, {:up, 1})
      {:ok, nil}
    end
    def handle_call(:conn, _, s) do
      {_, n} = Process.get(:t_conn)
      {:reply, n, s}
    end
  end
  """, [{":t_conn", ":t_connection"}], "start(T.Pd, nil)", "ask(it, :conn) == 1"),
  d.(["table_changed"], "what is active is found by a pattern of four", """
  defmodule T.Act do
    def add(id), do: :ets.insert(:t_act, {id, :n, :active})
    def active, do: :ets.match(:t_act, {:"$1", :_, :active})
  end
  """, [{"{id, :n, :active}", "{id, :n, :active, 1}"}, {"{:\"$1\", :_, :active}", "{:\"$1\", :_, :active, :_}"}], ":ets.new(:t_act, [:named_table, :public]); T.Act.add(1)", "T.Act.active() != []"),
  d.(["init_changed"], "an agent is started under another name", """
  defmodule T.Nam do
    use Agent
    def start_link(_), do: Agent.start_link(fn -> 1 end, name: :t_nam)
    def get, do: Agent.get(:t_nam, & &1)
  end
  defmodule T.NApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.Nam], strategy: :one_for_one)
  end
  """, [{":t_nam", ":t_names"}], "app(T.NApp)", "T.Nam.get() == 1"),
  d.(["table_changed"], "rooms are registered, and looked up, under another key", """
  defmodule T.Rm do
    use GenServer
    def init(id) do
      {:ok, _} = Registry.register(T.RmReg, id, nil)
      {:ok, id}
    end
    def find(id) do
      [{p, _}] = Registry.lookup(T.RmReg, id)
      p
    end
  end
  """, [{"(T.RmReg, id, nil)", "(T.RmReg, {:room, id}, nil)"}, {"(T.RmReg, id)", "(T.RmReg, {:room, id})"}], "{:ok, r} = Registry.start_link(keys: :unique, name: T.RmReg); Process.unlink(r); start(T.Rm, 1)", "is_pid(T.Rm.find(1))"),
  d.(["init_changed"], "a topic that is put together has another beginning", """
  defmodule T.Top do
    use GenServer
    def init(id) do
      {:ok, _} = Registry.register(T.TopReg, "rooms:\#{id}", nil)
      {:ok, 0}
    end
    def tell(id), do: Registry.dispatch(T.TopReg, "rooms:\#{id}", fn es -> for {p, _} <- es, do: send(p, :hit) end)
    def handle_info(:hit, n), do: {:noreply, n + 1}
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{"\"rooms:\#{id}\"", "\"room:v2:\#{id}\""}], "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.TopReg); Process.unlink(r); start(T.Top, 1)", "n = ask(it, :n); T.Top.tell(1); ask(it, :n) == n + 1"),
  d.(["table_changed"], "keys of a table were texts and are atoms", """
  defmodule T.Txt do
    def boot, do: :ets.insert(:t_txt, {"mode", 1})
    def mode do
      [{_, m}] = :ets.lookup(:t_txt, "mode")
      m
    end
  end
  """, [{"\"mode\"", ":mode"}], ":ets.new(:t_txt, [:named_table, :public]); T.Txt.boot()", "T.Txt.mode() == 1"),
  d.(["init_changed", "messages_changed"], "a timer that comes again and again has another name, and others are dropped", """
  defmodule T.Loop do
    use GenServer
    def init(_) do
      Process.send_after(self(), :tick, 600_000)
      {:ok, 0}
    end
    def handle_info(:tick, n) do
      Process.send_after(self(), :tick, 600_000)
      {:noreply, n + 1}
    end
    def handle_info(_, n), do: {:noreply, n}
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{":tick", ":tock"}], "start(T.Loop, nil)", "n = ask(it, :n); send(it, :tick); ask(it, :n) == n + 1"),
  d.(["init_changed", "messages_changed"], "an interval's message has another name, and others are logged", """
  defmodule T.Intv do
    use GenServer
    require Logger
    def init(_) do
      :timer.send_interval(600_000, {:flush, :all})
      {:ok, 0}
    end
    def handle_info({:flush, _}, n), do: {:noreply, n + 1}
    def handle_info(m, n) do
      Logger.warning(inspect(m))
      {:noreply, n}
    end
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{"{:flush, :all}", "{:flush_all, 1}"}, {"{:flush, _}", "{:flush_all, _}"}], "start(T.Intv, nil)", "n = ask(it, :n); send(it, {:flush, :all}); ask(it, :n) == n + 1"),
  d.(["init_changed", "stale_shape"], "a status has another name", """
  defmodule T.Stt do
    use GenServer
    def init(_), do: {:ok, %{status: :connected}}
    def handle_call(:text, _, s), do: {:reply, text(s.status), s}
    defp text(:connected), do: "up"
    defp text(:closed), do: "down"
  end
  """, [{":connected", ":online"}], "start(T.Stt, nil)", "is_binary(ask(it, :text))"),
  d.(["stale_shape"], "a nested struct moves into a list", """
  defmodule T.Job do
    defstruct [:id]
  end
  defmodule T.Jobs do
    use GenServer
    def init(_), do: {:ok, %{job: struct!(T.Job, id: 1)}}
    def handle_call(:ids, _, s), do: {:reply, ids(s), s}
    defp ids(s), do: [s.job.id]
  end
  """, [{"%{job: struct!(T.Job, id: 1)}", "%{job: [struct!(T.Job, id: 1)]}"}, {"[s.job.id]", "Enum.map(s.job, & &1.id)"}], "start(T.Jobs, nil)", "ask(it, :ids) == [1]"),
  d.(["children_changed", "missing_setting"], "what a supervised server needs is put by another child, that is new", """
  defmodule T.Boot do
    use GenServer
    def start_link(_), do: GenServer.start_link(__MODULE__, nil)
    def init(_) do
      :persistent_term.put(:t_boot, 5)
      {:ok, nil}
    end
  end
  defmodule T.Main do
    use GenServer
    def start_link(_), do: GenServer.start_link(__MODULE__, nil)
    def init(_), do: {:ok, nil}
    def limit, do: 5
  end
  defmodule T.BApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.Main], strategy: :one_for_one)
  end
  """, [{"[T.Main]", "[T.Boot, T.Main]"}, {"def limit, do: 5", "def limit, do: :persistent_term.get(:t_boot)"}], "app(T.BApp)", "T.Main.limit() == 5"),
  h.("a connection is made after the start, by the same function", """
  defmodule T.Cn do
    use GenServer
    def init(o), do: {:ok, connect(%{opts: o, conn: nil})}
    def handle_call(:conn, _, s), do: {:reply, s.conn, s}
    defp connect(s), do: %{s | conn: make_ref()}
  end
  """, [{"{:ok, connect(%{opts: o, conn: nil})}", "{:ok, %{opts: o, conn: nil}, {:continue, :connect}}"}, {"  defp connect", "  def handle_continue(:connect, s), do: {:noreply, connect(s)}\n  defp connect"}], "start(T.Cn, [])", "is_reference(ask(it, :conn))"),
  h.("a row is looked up, which may not be there", """
  defmodule T.Lk do
    def get(k), do: :ets.lookup(:t_lk, k)
    def limit, do: 5
  end
  """, [{"limit, do: 5", "limit do\n    case :ets.lookup(:t_lk, :limit) do\n      [{_, n}] -> n\n      [] -> 5\n    end\n  end"}], ":ets.new(:t_lk, [:named_table, :public]); :ets.insert(:t_lk, {:a, 1})", "T.Lk.limit() == 5 and T.Lk.get(:a) == [{:a, 1}]"),
  h.("only those that are on are gone through", """
  defmodule T.On do
    use GenServer
    def init(_), do: {:ok, %{all: [{1, true}, {2, false}]}}
    def handle_call(:n, _, s) do
      ids = for {id, _} <- s.all, do: id
      {:reply, length(ids), s}
    end
  end
  """, [{"for {id, _} <-", "for {id, true} <-"}], "start(T.On, nil)", "ask(it, :n) >= 1"),
  h.("a default that nobody relies on", """
  defmodule T.Df do
    use GenServer
    def start(opts), do: GenServer.start(__MODULE__, opts)
    def init(opts), do: {:ok, %{ms: Keyword.get(opts, :ms, 5000)}}
    def handle_call(:ms, _, s), do: {:reply, s.ms, s}
  end
  """, [{":ms, 5000", ":ms, 8000"}], "elem(T.Df.start(ms: 70), 1)", "ask(it, :ms) == 70"),
  h.("specifications are written out", """
  defmodule T.Wa do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Was do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x, name: T.WasN)
    def init(_), do: Supervisor.init([{T.Wa, 1}], strategy: :one_for_one)
  end
  """, [{"[{T.Wa, 1}]", "[Supervisor.child_spec({T.Wa, 1}, restart: :permanent)]"}, {"start_link(__MODULE__, x, name: T.WasN)", "start_link(__MODULE__, x, [name: T.WasN, debug: []])"}], "{:ok, p} = T.Was.start_link(1); Process.unlink(p); p", "length(Supervisor.which_children(it)) == 1"),
  h.("a handler of logs has an option with a default", """
  defmodule T.Lh do
    def attach, do: :logger.add_handler(:t_lh, T.Lh, %{config: %{to: :t_lhs}})
    def log(_e, %{config: %{to: t}}), do: :ets.insert(t, {:a, 1})
  end
  """, [{"%{config: %{to: t}}), do: :ets.insert(t, {:a, 1})", "%{config: %{to: t} = c}), do: :ets.insert(t, {:a, Map.get(c, :service, \"x\")})"}], ":ets.new(:t_lhs, [:public, :named_table]); T.Lh.attach()", "T.Lh.log(%{}, elem(:logger.get_handler_config(:t_lh), 1))"),
  h.("who subscribes does it through a helper", """
  defmodule T.Hlp do
    def k(id), do: {:room, id}
  end
  defmodule T.Sbs do
    use GenServer
    def init(id) do
      {:ok, _} = Registry.register(T.SbReg, {:room, id}, nil)
      {:ok, id}
    end
    def handle_call(:id, _, id), do: {:reply, id, id}
  end
  """, [{"def k(id), do: {:room, id}", "def k(id), do: {:room, id}\n  def join(id), do: Registry.register(T.SbReg, k(id), nil)"}, {"Registry.register(T.SbReg, {:room, id}, nil)", "T.Hlp.join(id)"}], "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.SbReg); Process.unlink(r); start(T.Sbs, 1)", "ask(it, :id) == 1"),
  h.("a server is asked what it knows, in another order", """
  defmodule T.Qs do
    use GenServer
    def start(_), do: GenServer.start(__MODULE__, nil, name: :t_qs)
    def init(_), do: {:ok, 1}
    def handle_call(:a, _, s), do: {:reply, 1, s}
    def handle_call({:b, _}, _, s), do: {:reply, 2, s}
    def handle_call({:c, _, _}, _, s), do: {:reply, 3, s}
  end
  defmodule T.Qa do
    def all, do: [GenServer.call(:t_qs, :a), GenServer.call(:t_qs, {:b, 1})]
  end
  """, [{"GenServer.call(:t_qs, {:b, 1})]", "GenServer.call(:t_qs, {:c, 1, 2}, 10_000), GenServer.call(:t_qs, {:b, 1})]"}], "T.Qs.start(nil); nil", "is_list(T.Qa.all())"),
  h.("counts of a map whose keys come", """
  defmodule T.Cts do
    use GenServer
    def init(_), do: {:ok, %{}}
    def handle_cast({:hit, k}, s), do: {:noreply, Map.update(s, k, 1, &(&1 + 1))}
    def handle_call(:sum, _, s), do: {:reply, s |> Map.values() |> Enum.sum(), s}
  end
  """, [{"Map.update(s, k, 1, &(&1 + 1))", "Map.update(s, k, 1, fn n -> bump(n) end)"}, {"  def handle_call", "  defp bump(n) when n < 1000, do: n + 1\n  defp bump(n), do: n\n  def handle_call"}], "p = start(T.Cts, nil); GenServer.cast(p, {:hit, :a}); p", "GenServer.cast(it, {:hit, :a}); GenServer.cast(it, {:hit, \"b\"}); ask(it, :sum) >= 2"),
  h.("a name is put together in another way", """
  defmodule T.Pt do
    use GenServer
    def start(n), do: GenServer.start(__MODULE__, n, name: name(n))
    def name(n), do: :"t_pt_\#{n}"
    def init(n), do: {:ok, n}
    def get(n), do: GenServer.call(name(n), :n)
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{":\"t_pt_\#{n}\"", "String.to_atom(\"t_pt_\" <> to_string(n))"}], "T.Pt.start(3)", "T.Pt.get(3) == 3"),
  h.("a timer's message is renamed, and both are taken", """
  defmodule T.Both do
    use GenServer
    def init(_) do
      Process.send_after(self(), :tick, 600_000)
      {:ok, 0}
    end
    def handle_info(:tick, n) do
      Process.send_after(self(), :tick, 600_000)
      {:noreply, n + 1}
    end
    def handle_info(_, n), do: {:noreply, n}
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{":tick", ":tock"}, {"def handle_info(:tock, n) do", "def handle_info(m, n) when m in [:tick, :tock] do"}], "start(T.Both, nil)", "n = ask(it, :n); send(it, :tick); ask(it, :n) == n + 1"),
  h.("a message that nobody sends is no longer told apart", """
  defmodule T.Nob do
    use GenServer
    require Logger
    def init(_), do: {:ok, 0}
    def handle_info(:tcp_closed, n), do: {:noreply, n}
    def handle_info(m, n) do
      Logger.debug(inspect(m))
      {:noreply, n}
    end
    def handle_call(:n, _, n), do: {:reply, n, n}
  end
  """, [{"  def handle_info(:tcp_closed, n), do: {:noreply, n}\n", ""}], "start(T.Nob, nil)", "takes?(it, :tcp_closed) and ask(it, :n) == 0")
]

# Changes as they stand in the histories of public projects, told anew: first those that break something, then those that break nothing.

soak = &Map.put(&1, :soak, true)
d = fn finds, what, old, new, run, look -> %{finds: List.wrap(finds), what: what, old: old, new: new, run: run, look: look} end
h = fn what, old, new, run, look -> %{what: what, old: old, new: new, run: run, look: look} end

[
  d.("stale_shape", "values of a map keyed by pids become lists", """
  defmodule T.Bus do
    use GenServer
    def init(_), do: {:ok, %{listeners: %{}}}
    def handle_call(:listen, {pid, _}, s), do: {:reply, :ok, %{s | listeners: Map.put(s.listeners, pid, Process.monitor(pid))}}
    def handle_call({:tell, what}, _, s) do
      for {pid, _ref} <- s.listeners, do: send(pid, {:told, what})
      {:reply, map_size(s.listeners), s}
    end
  end
  """, [{"Process.monitor(pid))}}", "[:all])}}"}, {"for {pid, _ref} <- s.listeners, do:", "for {pid, channels} <- s.listeners, :all in channels, do:"}],
  "b = start(T.Bus, nil); ask(b, :listen); b", "ask(it, {:tell, 1}) == 1"),

  soak.(d.("stale_shape", "what is registered beside a key gets an element, which the dispatcher takes apart", """
  defmodule T.Sub do
    use GenServer
    def init(t), do: {:ok, Registry.register(T.Topics, t, {:fast, self(), 1})}
    def tell(t), do: Registry.dispatch(T.Topics, t, fn all -> Enum.each(all, fn {_, {:fast, pid, _}} -> send(pid, :told) end) end)
    def handle_info(:told, s), do: {:noreply, s}
  end
  """, [{"{:fast, self(), 1}", "{:fast, self(), 1, :tenant}"}, {"{:fast, pid, _}}", "{:fast, pid, _, _}}"}],
  "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.Topics); Process.unlink(r); start(T.Sub, :a)", "T.Sub.tell(:a) == :ok")),

  soak.(d.("child_spec_changed", "a dynamic child is started with a struct now", """
  defmodule T.Mig do
    use GenServer
    defstruct [:id, :settings]
    def start_link(attrs), do: GenServer.start_link(__MODULE__, attrs)
    def init(attrs), do: {:ok, attrs}
    def handle_call(:id, _, a), do: {:reply, a.id, a}
  end
  """, [{"def start_link(attrs)", "def start_link(%T.Mig{} = attrs)"}],
  "defmodule T.MApp do\n use Application\n def start(_, _), do: Supervisor.start_link([{DynamicSupervisor, name: T.Dyn, strategy: :one_for_one}], strategy: :one_for_one)\nend\napp(T.MApp); {:ok, _} = DynamicSupervisor.start_child(T.Dyn, {T.Mig, %{id: 1, settings: 2}}); nil",
  "[{_, p, _, _}] = DynamicSupervisor.which_children(T.Dyn); s = Process.whereis(T.Dyn); Process.exit(p, :kill); ref = Process.monitor(p); receive(do: ({:DOWN, ^ref, _, _, _} -> :ok)); :sys.get_state(s); DynamicSupervisor.which_children(s) |> Enum.any?(fn {_, q, _, _} -> is_pid(q) end)")),

  soak.(d.("stale_shape", "counters get a second column", """
  defmodule T.Counter do
    use GenServer
    def init(_), do: {:ok, :ets.new(T.Counts, [:named_table, :public])}
    def inc(k), do: :ets.update_counter(T.Counts, k, {2, 1}, {k, 0})
    def get(k) do
      [{_, n}] = :ets.lookup(T.Counts, k)
      n
    end
  end
  """, [{"{k, 0})", "{k, 0, 0})"}, {"[{_, n}]", "[{_, i, d}]"}, {"    n\n", "    i - d\n"}],
  "p = start(T.Counter, nil); T.Counter.inc(:a); p", "T.Counter.get(:a) == 1")),

  soak.(d.("children_changed", "a child that ignored its start is a server now", """
  defmodule T.Epmd do
    use GenServer
    def start_link(_), do: :ignore
    def init(x), do: {:ok, x}
    def running, do: false
  end
  """, [{"def start_link(_), do: :ignore", "def start_link(x), do: GenServer.start_link(__MODULE__, x, name: __MODULE__)"}, {"running, do: false", "running, do: true"}],
  "defmodule T.EApp do\n use Application\n def start(_, _), do: Supervisor.start_link([T.Epmd], strategy: :one_for_one)\nend\napp(T.EApp)",
  "(Process.whereis(T.Epmd) != nil) == T.Epmd.running()")),

  soak.(d.("stale_shape", "an option that defaults had not is fetched from kept options", """
  defmodule T.Sched do
    use GenServer
    @defaults [timezone: :utc]
    def init(opts), do: {:ok, %{opts: Keyword.merge(@defaults, opts), jobs: []}}
    def handle_call(:new, _, s), do: {:reply, {Keyword.fetch!(s.opts, :timezone), true}, s}
  end
  """, [{"[timezone: :utc]", "[timezone: :utc, overlap: true]"}, {", true}, s}", ", Keyword.fetch!(s.opts, :overlap)}, s}"}],
  "start(T.Sched, [])", "ask(it, :new) == {:utc, true}")),

  d.("stale_struct", "a job that is scheduled lacks a field", """
  defmodule T.Job do
    defstruct [:id]
  end
  defmodule T.Runner do
    use GenServer
    def init(_), do: {:ok, %{done: []}}
    def handle_call({:in, ms}, _, s), do: {:reply, Process.send_after(self(), {:run, %T.Job{id: 1}}, ms), s}
    def handle_call({:run_now, timer}, _, s), do: {:reply, Process.cancel_timer(timer), s}
    def handle_info({:run, job}, s), do: {:noreply, %{s | done: [job.id | s.done]}}
  end
  """, [{"[:id]", "[:id, :queue]"}, {"[job.id | s.done]", "[{job.queue, job.id} | s.done]"}],
  "p = start(T.Runner, nil); ask(p, {:in, 600_000}); {p, %{__struct__: T.Job, id: 1}}", "{p, job} = it; takes?(p, {:run, job})"),

  soak.(d.("stale_shape", "a poll that wants a further key falls into the clause for everything", """
  defmodule T.Poller do
    use GenServer
    def init(id), do: {:ok, %{tenant: id, polls: 0}}
    def handle_call(:polls, _, s), do: {:reply, s.polls, s}
    def handle_info(:poll, %{tenant: _, polls: n} = s) do
      Process.send_after(self(), :poll, 600_000)
      {:noreply, %{s | polls: n + 1}}
    end
    def handle_info(_other, s), do: {:noreply, s}
  end
  """, [{"polls: 0}", "polls: 0, rate: 1}"}, {"polls: n} = s) do", "polls: n, rate: r} = s) do"}, {"n + 1}", "n + r}"}],
  "start(T.Poller, 1)", "n = ask(it, :polls); takes?(it, :poll) and ask(it, :polls) == n + 1")),

  soak.(d.("stale_shape", "a further index of counters that were made smaller", """
  defmodule T.Metrics do
    use GenServer
    def init(_), do: {:ok, %{ref: :atomics.new(2, []), n: 0}}
    def handle_call(:use, _, s), do: {:reply, :atomics.add(s.ref, 2, 1), s}
  end
  """, [{":atomics.new(2", ":atomics.new(3"}, {":atomics.add(s.ref, 2, 1)", ":atomics.add(s.ref, 3, 1)"}],
  "start(T.Metrics, nil)", "ask(it, :use) == :ok")),

  soak.(d.("stale_shape", "a persistent term's tuple becomes a map", """
  defmodule T.Conf do
    def load, do: :persistent_term.put(T.Conf, {:http, 80})
    def port do
      {_, port} = :persistent_term.get(T.Conf)
      port
    end
  end
  """, [{"{:http, 80}", "%{scheme: :http, port: 80}"}, {"{_, port} =", "%{port: port} ="}],
  "T.Conf.load()", "T.Conf.port() == 80")),

  soak.(d.("mfa_gone", "a timer calls a function that has another name", """
  defmodule T.Tick do
    def start, do: :timer.apply_after(600_000, T.Tick, :tick, [:a])
    def tick(x), do: x
  end
  """, [{":tick, [:a]", ":beat, [:a]"}, {"def tick(x)", "def beat(x)"}],
  "T.Tick.start()", "function_exported?(T.Tick, :tick, 1)")),

  soak.(d.("stale_shape", "an agent's set becomes a list", """
  defmodule T.Seen do
    def start, do: Agent.start(fn -> MapSet.new([1]) end)
    def count(p), do: Agent.get(p, &MapSet.size/1)
  end
  """, [{"MapSet.new([1])", "[1]"}, {"&MapSet.size/1", "&length/1"}],
  "elem(T.Seen.start(), 1)", "T.Seen.count(it) == 1")),

  soak.(d.("stale_shape", "a struct in a queue becomes a tuple with another struct", """
  defmodule T.Batch do
    defstruct [:messages, :key]
  end
  defmodule T.Consumer do
    use GenServer
    def init(_), do: {:ok, %{pending: [struct!(T.Batch, messages: [1], key: :a)]}}
    def handle_call(:flush, _, s), do: {:reply, Enum.map(s.pending, &size/1), s}
    defp size(%T.Batch{messages: m}), do: length(m)
  end
  """, """
  defmodule T.BatchInfo do
    defstruct [:key]
  end
  defmodule T.Consumer do
    use GenServer
    def init(_), do: {:ok, %{pending: [{[1], struct!(T.BatchInfo, key: :a)}]}}
    def handle_call(:flush, _, s), do: {:reply, Enum.map(s.pending, &size/1), s}
    defp size({m, %T.BatchInfo{}}), do: length(m)
  end
  """, "start(T.Consumer, nil)", "ask(it, :flush) == [1]")),

  soak.(d.("stale_shape", "a record gets a field", """
  defmodule T.Mon do
    use GenServer
    require Record
    Record.defrecordp(:state, timing: :manual)
    def init(t), do: {:ok, state(timing: t)}
    def handle_call(:timing, _, s), do: {:reply, state(s, :timing), s}
    def handle_info(:timeout, state(timing: :manual) = s), do: {:noreply, s}
  end
  """, [{"timing: :manual)\n  def init", "timing: :manual, history: [])\n  def init"}, {"state(timing: :manual) = s), do: {:noreply, s}", "state(timing: :manual, history: h) = s), do: {:noreply, state(s, history: [1 | h])}"}],
  "start(T.Mon, :manual)", "ask(it, :timing) == :manual and takes?(it, :timeout)")),

  soak.(d.("stale_shape", "records in a list get a timer", """
  defmodule T.Fuse do
    use GenServer
    require Record
    Record.defrecordp(:fuse, name: nil, melts: [])
    def init(_), do: {:ok, %{fuses: [fuse(name: :a)]}}
    def handle_call({:melt, n}, _, s) do
      {:value, f, rest} = :lists.keytake(n, 2, s.fuses)
      {:reply, :ok, %{s | fuses: [reset(f) | rest]}}
    end
    def handle_call(:names, _, s), do: {:reply, Enum.map(s.fuses, &fuse(&1, :name)), s}
    defp reset(fuse(melts: m) = f), do: fuse(f, melts: [1 | m])
  end
  """, [{"melts: [])\n  def init", "melts: [], timer: :none)\n  def init"}, {"defp reset(fuse(melts: m) = f)", "defp reset(fuse(melts: m, timer: :none) = f)"}],
  "start(T.Fuse, nil)", "ask(it, :names) == [:a] and ask(it, {:melt, :a}) == :ok")),

  soak.(d.("stale_shape", "a handler that a listener names starts with fewer arguments", """
  defmodule T.Handler do
    def connect(_ref, _sock, t), do: {:ok, t}
  end
  defmodule T.Listener do
    use GenServer
    def init(m), do: {:ok, %{protocol: m, ref: :r}}
    def handle_call({:accept, sock}, _, s), do: {:reply, s.protocol.connect(s.ref, sock, :tcp), s}
  end
  """, [{"connect(_ref, _sock, t)", "connect(_ref, t)"}], "start(T.Listener, T.Handler)", "ask(it, {:accept, 1}) == {:ok, :tcp}")),

  soak.(d.("stale_shape", "who waits is queued with a deadline", """
  defmodule T.Pool do
    use GenServer
    def init(_), do: {:ok, %{waiting: :queue.in({:from, 5_000}, :queue.new())}}
    def handle_call(:next, _, s) do
      case :queue.out(s.waiting) do
        {{:value, {from, _timeout}}, _} -> {:reply, from, s}
        {:empty, _} -> {:reply, nil, s}
      end
    end
  end
  """, [{"{:from, 5_000}", "{:from, {0, 0, 5_000}}"}, {"{from, _timeout}}, _}", "{from, {_, _, _}}}, _}"}],
  "start(T.Pool, nil)", "ask(it, :next) == :from")),

  soak.(d.("init_changed", "metrics are gathered at a low priority", """
  defmodule T.Metrics do
    use GenServer
    def start_link(a), do: GenServer.start_link(__MODULE__, a, name: __MODULE__)
    def init(a), do: {:ok, a}
    def priority, do: :normal
  end
  """, [{"name: __MODULE__)", "name: __MODULE__, spawn_opt: [priority: :low])"}, {"priority, do: :normal", "priority, do: :low"}],
  "{:ok, p} = T.Metrics.start_link(nil); Process.unlink(p); p", "Process.info(it, :priority) == {:priority, T.Metrics.priority()}")),

  soak.(d.("stale_shape", "monitors are kept with the keys that they are for", """
  defmodule T.Mon do
    use GenServer
    def init(_), do: {:ok, %{refs: %{}}}
    def handle_call({:watch, p}, _, s), do: {:reply, :ok, %{s | refs: Map.put(s.refs, Process.monitor(p), p)}}
    def handle_call(:count, _, s), do: {:reply, map_size(s.refs), s}
    def handle_info({:DOWN, ref, _, _, _}, s) do
      {pid, refs} = Map.pop(s.refs, ref)
      send(self(), {:gone, pid})
      {:noreply, %{s | refs: refs}}
    end
    def handle_info({:gone, _}, s), do: {:noreply, s}
  end
  """, [{"Process.monitor(p), p)}", "Process.monitor(p), {p, :key})}"}, {"{pid, refs} = Map.pop", "{{pid, _key}, refs} = Map.pop"}],
  "m = start(T.Mon, nil); a = spawn(fn -> Process.sleep(:infinity) end); b = spawn(fn -> Process.sleep(:infinity) end); ask(m, {:watch, a}); ask(m, {:watch, b}); {m, [a, b]}",
  "{m, ps} = it; p = Enum.find(ps, &Process.alive?/1); r = Process.monitor(p); Process.exit(p, :kill); receive(do: ({:DOWN, ^r, _, _, _} -> :ok)); ask(m, :count) in [0, 1]")),

  soak.(h.("children are written as maps", """
  defmodule T.Janitor do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Top do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(x), do: Supervisor.init(specs(x), strategy: :one_for_one)
    defp specs(x), do: [{T.Janitor, x}]
  end
  """, [{"[{T.Janitor, x}]", "[%{id: T.Janitor, start: {T.Janitor, :start_link, [x]}}]"}], "elem(T.Top.start_link(1), 1)", "restarts?(it, T.Janitor)")),

  soak.(h.("a task supervisor's specification in the new style", """
  defmodule T.App do
    use Application
    def start(_, _) do
      children = [%{id: Task.Supervisor, start: {Task.Supervisor, :start_link, [[name: T.TaskSup]]}, type: :supervisor}]
      Supervisor.start_link(children, strategy: :one_for_one, name: T.AppSup)
    end
  end
  """, [{"[%{id: Task.Supervisor, start: {Task.Supervisor, :start_link, [[name: T.TaskSup]]}, type: :supervisor}]", "[{Task.Supervisor, name: T.TaskSup}]"}], "app(T.App)", "length(Supervisor.which_children(T.AppSup)) == 1")),

  soak.(h.("a closure that another server keeps becomes an MFA", """
  defmodule T.Crdt do
    use GenServer
    def init(f), do: {:ok, %{on_diffs: f}}
    def handle_call(:diff, _, s), do: {:reply, s.on_diffs.(1), s}
  end
  defmodule T.DynSup do
    def start, do: GenServer.start(T.Crdt, closure(:name))
    defp closure(name), do: &on_diffs(&1, name)
    defp on_diffs(d, name), do: {name, d}
  end
  """, [{"defp closure(name), do: &on_diffs(&1, name)\n  defp on_diffs(d, name), do: {name, d}", "defp closure(name), do: Function.capture(T.DynSup, :on_diffs, 1) && fn d -> on_diffs(d, name) end\n  def on_diffs(d, name), do: {name, d}"}], "elem(T.DynSup.start(), 1)", "ask(it, :diff) == {:name, 1}")),

  soak.(h.("a struct loses a field, whose work is done at once", """
  defmodule T.Owner do
    use GenServer
    defstruct ttls: %{}, time: 0, pending: %{}
    def init(_), do: {:ok, struct!(T.Owner)}
    def handle_cast({:set, k, t}, %T.Owner{pending: p} = s), do: {:noreply, %T.Owner{s | pending: Map.put(p, k, t)}}
    def handle_call(:get, _, s), do: {:reply, map_size(s.ttls), s}
    def handle_info(:check, s), do: {:noreply, %T.Owner{s | ttls: Map.merge(s.ttls, s.pending), pending: %{}}}
  end
  """, [{"time: 0, pending: %{}", "time: 0"}, {"%T.Owner{pending: p} = s), do: {:noreply, %T.Owner{s | pending: Map.put(p, k, t)}}", "s), do: {:noreply, %T.Owner{s | ttls: Map.put(s.ttls, k, t)}}"}, {"%T.Owner{s | ttls: Map.merge(s.ttls, s.pending), pending: %{}}", "%T.Owner{s | time: s.time + 1}"}], "start(T.Owner, nil)", "GenServer.cast(it, {:set, 1, 1}); takes?(it, :check) and ask(it, :get) == 1")),

  soak.(h.("a call that nobody makes is removed", """
  defmodule T.Ets do
    use GenServer
    def init(_), do: {:ok, %{name: :tab}}
    def hit(p, k), do: GenServer.call(p, {:hit, k})
    def handle_call({:t_setup, _config}, _, s), do: {:reply, :ok, s}
    def handle_call({:hit, k}, _, s), do: {:reply, k, s}
  end
  """, [{"  def handle_call({:t_setup, _config}, _, s), do: {:reply, :ok, s}\n", ""}], "start(T.Ets, nil)", "T.Ets.hit(it, 1) == 1")),

  soak.(h.("the name that it is registered by may be given", """
  defmodule T.Named do
    use GenServer
    def start_link(_opts), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)
    def start(_opts), do: GenServer.start(__MODULE__, nil, name: __MODULE__)
    def init(_), do: {:ok, 1}
    def get, do: GenServer.call(T.Named, :get)
    def handle_call(:get, _, s), do: {:reply, s, s}
  end
  """, [{"def start_link(_opts), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)", "def start_link(opts), do: GenServer.start_link(__MODULE__, nil, name: Keyword.get(opts, :name, __MODULE__))"}], "T.Named.start([])", "T.Named.get() == 1")),

  soak.(h.("the children are made by the application, and given to its supervisor", """
  defmodule T.PollSup do
    use Supervisor
    def start_link(opts), do: Supervisor.start_link(__MODULE__, opts, name: __MODULE__)
    def init(opts), do: Supervisor.init([{Agent, fn -> opts end}], strategy: :one_for_one)
  end
  defmodule T.PollApp do
    use Application
    def start(_, _), do: T.PollSup.start_link(:opts)
  end
  """, [{"def init(opts), do: Supervisor.init([{Agent, fn -> opts end}], strategy: :one_for_one)", "def init(children), do: Supervisor.init(children, strategy: :one_for_one)"}, {"T.PollSup.start_link(:opts)", "T.PollSup.start_link(children(:opts))\n  defp children(false), do: []\n  defp children(opts), do: [{Agent, fn -> opts end}]"}],
  "app(T.PollApp)", "length(Supervisor.which_children(T.PollSup)) == 1")),

  soak.(h.("a continue instead of a timeout of nothing", """
  defmodule T.Gossip do
    use GenServer
    def init(_), do: {:ok, %{beats: 0}, 0}
    def handle_call(:beats, _, s), do: {:reply, s.beats, s}
    def handle_info(:timeout, s), do: handle_info(:heartbeat, s)
    def handle_info(:heartbeat, s) do
      Process.send_after(self(), :heartbeat, 600_000)
      {:noreply, %{s | beats: s.beats + 1}}
    end
  end
  """, [{"%{beats: 0}, 0}", "%{beats: 0}, {:continue, nil}}"}, {"def handle_info(:timeout, s), do:", "def handle_continue(_, s), do:"}],
  "start(T.Gossip, nil)", "ask(it, :beats) >= 1 and takes?(it, :heartbeat)")),

  soak.(h.("what start_link gives to init is put together otherwise", """
  defmodule T.Streamer do
    use GenServer
    def start_link({s, _} = pair), do: GenServer.start_link(__MODULE__, {pair, s})
    def init({{s, o}, _}), do: {:ok, {s, o}}
    def handle_call(:s, _, {s, _} = st), do: {:reply, s, st}
  end
  """, [{"def start_link({s, _} = pair), do: GenServer.start_link(__MODULE__, {pair, s})", "def start_link({s, o}), do: GenServer.start_link(__MODULE__, {s, [], o})"}, {"def init({{s, o}, _})", "def init({s, _, o})"}],
  "defmodule T.GApp do\n use Application\n def start(_, _), do: Supervisor.start_link([{T.Streamer, {1, 2}}], strategy: :one_for_one, name: T.GTop)\nend\napp(T.GApp)", "restarts?(T.GTop, T.Streamer)"))
]

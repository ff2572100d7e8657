# Changes as they stand in the histories of public projects, told anew, that break nothing. Only the soak has them.

h = fn what, old, new, run, look -> %{soak: true, what: what, old: old, new: new, run: run, look: look} end

[
  h.("a module is gone that a configuration in a state names, and stays loaded", """
  defmodule T.Disabled do
    def leader?(_), do: false
  end
  defmodule T.Isolated do
    def leader?(_), do: true
  end
  defmodule T.Conf do
    def peer(false), do: {T.Disabled, []}
    def peer(_), do: {T.Isolated, []}
  end
  defmodule T.Peer do
    use GenServer
    def init(peer), do: {:ok, %{peer: peer}}
    def handle_call(:leader?, _, %{peer: {mod, opts}} = s), do: {:reply, mod.leader?(opts), s}
  end
  """, [{"defmodule T.Disabled do\n  def leader?(_), do: false\nend\n", ""}, {"def leader?(_), do: true", "def leader?(opts), do: Keyword.get(opts, :leader?, true)"}, {"{T.Disabled, []}", "{T.Isolated, [leader?: false]}"}], "start(T.Peer, T.Conf.peer(false))", "ask(it, :leader?) == false"),
  h.("rows are updated in place", """
  defmodule T.Queue do
    def start, do: :ets.new(:t_queue, [:named_table, :public])
    def add(e), do: :ets.insert(:t_queue, {e.id, :pending, e})
    def mark(events) do
      :ets.insert(:t_queue, for(e <- events, do: {e.id, :ingested, e}))
      length(events)
    end
    def status(id), do: :ets.lookup_element(:t_queue, id, 2)
  end
  """, [{":ets.insert(:t_queue, for(e <- events, do: {e.id, :ingested, e}))", "for e <- events, do: :ets.update_element(:t_queue, e.id, {2, :ingested})"}, {"def status", "def truncate(0), do: :ets.match_delete(:t_queue, {:_, :ingested, :_})\n  def status"}], "T.Queue.start(); T.Queue.add(%{id: 1})", "T.Queue.mark([%{id: 1}]) == 1 and T.Queue.status(1) == :ingested"),
  h.("a pattern of two arguments becomes a comparison", """
  defmodule T.Link do
    use GenServer
    def init(ref), do: {:ok, %{ref: ref, on: true}}
    def handle_info({:DOWN, ref, :process, _, _}, %{ref: ref} = s), do: {:noreply, %{s | on: false}}
    def handle_info(:noop, s), do: {:noreply, s}
  end
  """, [{"def handle_info({:DOWN, ref, :process, _, _}, %{ref: ref} = s), do: {:noreply, %{s | on: false}}", "def handle_info({:DOWN, ref, :process, _, _}, s) do\n    if s.ref == ref, do: {:noreply, %{s | on: false}}, else: {:noreply, s}\n  end"}], "start(T.Link, 7)", "takes?(it, {:DOWN, 7, :process, self(), :x})"),
  h.("a struct loses a field that nobody reads any more", """
  defmodule T.Runner do
    use GenServer
    defmodule St do
      defstruct [:buffer, :clear?, :from]
    end
    def init(_), do: {:ok, %St{buffer: <<>>, clear?: true}}
    def handle_call({:text, t}, _, s) do
      s = %{s | buffer: s.buffer <> t}
      s = if s.clear? and s.buffer =~ "END", do: %{s | buffer: <<>>, clear?: false}, else: s
      {:reply, :ok, s}
    end
  end
  """, [{"[:buffer, :clear?, :from]", "[:buffer, :from]"}, {"buffer: <<>>, clear?: true}", "buffer: <<>>}"}, {"    s = if s.clear? and s.buffer =~ \"END\", do: %{s | buffer: <<>>, clear?: false}, else: s\n", ""}], "start(T.Runner, nil)", "ask(it, {:text, \"a\"}) == :ok"),
  h.("a breaker is installed where it is missing", """
  defmodule T.Fuse do
    def start, do: :ets.new(:t_fuse, [:named_table, :public])
    def ask(n) do
      case :ets.lookup(:t_fuse, n) do
        [{_, s}] -> s
        [] -> {:error, :not_found}
      end
    end
    def install(n), do: :ets.insert(:t_fuse, {n, :ok})
  end
  defmodule T.Map do
    use GenServer
    def init(_), do: {:ok, %{client: 1}}
    def handle_call({:el, x}, _, %{client: c} = s), do: {:reply, el(x, c), s}
    defp el(x, c), do: x + c
  end
  """, [{"defp el(x, c), do: x + c", "defp el(x, c) do\n    case T.Fuse.ask(:srtm) do\n      :ok -> x + c\n      :blown -> {:error, :unavailable}\n      {:error, :not_found} ->\n        T.Fuse.install(:srtm)\n        el(x, c)\n    end\n  end"}], "T.Fuse.start(); start(T.Map, nil)", "ask(it, {:el, 1}) == 2"),
  h.("who joins is monitored only if it works", """
  defmodule T.Subs do
    use GenServer
    def init(_), do: {:ok, %{tid: :ets.new(:t_subs, [:public]), pubs: [1]}}
    def handle_call({:sub, p}, _, s) do
      ref = Process.monitor(p)
      true = :ets.insert(s.tid, {p, ref})
      {:reply, create(s.pubs), s}
    end
    def handle_info({:DOWN, _, _, p, _}, s) do
      :ets.delete(s.tid, p)
      {:noreply, s}
    end
    defp create([_ | _]), do: {:ok, 1}
    defp create(_), do: :error
  end
  """, [{"    ref = Process.monitor(p)\n    true = :ets.insert(s.tid, {p, ref})\n    {:reply, create(s.pubs), s}\n", "    resp =\n      case create(s.pubs) do\n        {:ok, r} ->\n          ref = Process.monitor(p)\n          true = :ets.insert(s.tid, {p, ref})\n          {:ok, r}\n        other -> other\n      end\n    {:reply, resp, s}\n"}], "start(T.Subs, nil)", "ask(it, {:sub, self()}) == {:ok, 1}"),
  h.("what a module gives another is a tuple and no map", """
  defmodule T.Pres do
    def joined(topic, %{key: k, meta: m}), do: {topic, %{k => [m]}}
  end
  defmodule T.Trk do
    use GenServer
    def init(_), do: {:ok, %{mod: T.Pres}}
    def handle_call({:join, t, k, m}, _, s), do: {:reply, s.mod.joined(t, %{key: k, meta: m}), s}
  end
  """, [{"%{key: k, meta: m}), do: {topic", "{k, m}), do: {topic"}, {"joined(t, %{key: k, meta: m})", "joined(t, {k, m})"}], "start(T.Trk, nil)", "ask(it, {:join, \"t\", 1, 2}) == {\"t\", %{1 => [2]}}"),
  h.("a function may be given for the value", """
  defmodule T.Trak do
    use GenServer
    def init(_), do: {:ok, %{1 => %{a: 1}}}
    def update(p, k, meta) when is_map(meta), do: GenServer.call(p, {:update, k, meta})
    def handle_call({:update, k, new}, _, s) do
      case s do
        %{^k => _old} -> {:reply, :ok, Map.put(s, k, new)}
        _ -> {:reply, :nopresence, s}
      end
    end
  end
  """, [{"when is_map(meta)", "when is_map(meta) or is_function(meta)"}, {"def handle_call({:update, k, new}, _, s) do\n    case s do\n      %{^k => _old} -> {:reply, :ok, Map.put(s, k, new)}", "def handle_call({:update, k, f}, _, s) when is_function(f), do: updated(k, f, s)\n  def handle_call({:update, k, new}, _, s), do: updated(k, fn _ -> new end, s)\n  defp updated(k, f, s) do\n    case s do\n      %{^k => old} -> {:reply, :ok, Map.put(s, k, f.(old))}"}], "start(T.Trak, nil)", "T.Trak.update(it, 1, %{b: 1}) == :ok"),
  h.("a child gets a further option, which is nil", """
  defmodule T.RegImpl do
    use GenServer
    def start_link(opts), do: GenServer.start_link(T.RegImpl, opts, name: opts[:name])
    def init(opts) do
      state = %{name: opts[:name], t: :ets.new(:t_rimpl, [:public])}
      {:ok, state}
    end
    def handle_call({:put, k, v}, _, s), do: {:reply, :ets.insert(s.t, {k, v}), s}
  end
  defmodule T.RegSup do
    use Supervisor
    def start_link(o), do: Supervisor.start_link(T.RegSup, o)
    def init(o), do: Supervisor.init([{T.RegImpl, name: o[:name]}], strategy: :one_for_all)
  end
  """, [{"    {:ok, state}\n", "    if m = opts[:meta], do: Enum.each(m, fn {k, v} -> put(state, k, v) end)\n    {:ok, state}\n"}, {"{:reply, :ets.insert(s.t, {k, v}), s}", "{:reply, put(s, k, v), s}\n  defp put(s, k, v), do: :ets.insert(s.t, {k, v})"}, {"{T.RegImpl, name: o[:name]}", "{T.RegImpl, name: o[:name], meta: o[:meta]}"}], "{:ok, p} = T.RegSup.start_link(name: T.RName); Process.unlink(p); p", "ask(T.RName, {:put, 1, 2})"),
  h.("a struct in another's state loses a field that is counted instead", """
  defmodule T.Ring do
    defstruct [:count, :size, :nodes]
    def create, do: %T.Ring{count: 0, size: 1, nodes: []}
    def add(q, n), do: %T.Ring{q | count: q.count + 1, nodes: [n | q.nodes]}
    def pick(%T.Ring{size: size} = q, k) do
      case q.count do
        c when c < size -> :undefined
        _ -> Enum.at(q.nodes, rem(k, length(q.nodes)))
      end
    end
  end
  defmodule T.RTrk do
    use GenServer
    def init(_), do: {:ok, T.Ring.add(T.Ring.create(), :n1)}
    def handle_call({:pick, k}, _, s), do: {:reply, T.Ring.pick(s, k), s}
    def handle_call({:add, n}, _, s), do: {:reply, :ok, T.Ring.add(s, n)}
  end
  """, [{"[:count, :size, :nodes]", "[:size, :nodes]"}, {"count: 0, size", "size"}, {"count: q.count + 1, nodes", "nodes"}, {"%T.Ring{size: size} = q, k)", "%T.Ring{size: size, nodes: nodes}, k)"}, {"case q.count do", "case length(nodes) do"}, {"Enum.at(q.nodes, rem(k, length(q.nodes)))", "Enum.at(nodes, rem(k, length(nodes)))"}], "start(T.RTrk, nil)", "ask(it, {:add, :n2}) == :ok and is_atom(ask(it, {:pick, 1}))"),
  h.("a table's options say what is the default, in another order", """
  defmodule T.Loc do
    use GenServer
    def tab_opts, do: [:named_table, :public, write_concurrency: true, read_concurrency: true]
    def init(_), do: {:ok, :ets.new(:t_loc, tab_opts())}
  end
  """, [{"[:named_table, :public, write_concurrency: true, read_concurrency: true]", "[:set, :public, :named_table, {:keypos, 1}, {:read_concurrency, true}, {:write_concurrency, true}]"}], "start(T.Loc, nil)", ":ets.insert(:t_loc, {1})"),
  h.("a further clause for what an option may be", """
  defmodule T.Act do
    use GenServer
    def init(_), do: {:ok, %{hooks: []}}
    def handle_call({:del, k, opts}, _, s), do: {:reply, act({:del, k}, opts, s), s}
    defp act(msg, opts, s) do
      msg =
        case opts[:via] do
          nil -> msg
          v -> put_elem(msg, 0, v)
        end
      case s.hooks do
        [] -> msg
        l -> Enum.map(l, &{&1, msg})
      end
    end
  end
  """, [{"nil -> msg\n", "nil -> msg\n        v when is_tuple(v) -> v\n"}, {"l -> Enum.map(l, &{&1, msg})", "l -> Enum.map(l, &{&1, opts[:result] || msg})"}], "start(T.Act, nil)", "ask(it, {:del, 1, via: :purge}) == {:purge, 1}"),
  h.("a call has another name, and so has its function, which others call", """
  defmodule T.Prd do
    use GenServer
    def push_message(p, m), do: GenServer.call(p, {:push_message, m})
    def init(_), do: {:ok, []}
    def handle_call({:push_message, m}, _, s), do: {:reply, :ok, [m | s]}
  end
  defmodule T.Test do
    def push(p, m), do: T.Prd.push_message(p, m)
  end
  """, [{"def push_message(p, m), do: GenServer.call(p, {:push_message, m})", "def push_messages(p, ms), do: GenServer.call(p, {:push_messages, ms})"}, {"handle_call({:push_message, m}, _, s), do: {:reply, :ok, [m | s]}", "handle_call({:push_messages, ms}, _, s), do: {:reply, :ok, ms ++ s}"}, {"T.Prd.push_message(p, m)", "T.Prd.push_messages(p, [m])"}], "start(T.Prd, nil)", "T.Test.push(it, 1) == :ok"),
  h.("a callback is optional, and asked for each time", """
  defmodule T.EvLib do
    use GenServer
    def init(mod), do: {:ok, %{mod: mod}}
    def handle_call({:fail, e}, _, s), do: {:reply, s.mod.error(e), s}
  end
  defmodule T.Ev do
    def error(e), do: {:stop, e}
    def handle(_), do: :ok
  end
  """, [{"s.mod.error(e), s}", "on_error(s, e), s}\n  defp on_error(%{mod: mod}, e), do: if(function_exported?(mod, :error, 1), do: apply(mod, :error, [e]), else: {:stop, e})"}, {"  def error(e), do: {:stop, e}\n", ""}], "start(T.EvLib, T.Ev)", "ask(it, {:fail, 1}) == {:stop, 1}"),
  h.("functions that did nothing ask the server, which has a clause for it", """
  defmodule T.Mem do
    use GenServer
    defstruct streams: %{}, snapshots: %{}
    def start, do: GenServer.start(T.Mem, %T.Mem{}, name: T.Mem)
    def init(s), do: {:ok, s}
    def record(_), do: :ok
    def read(_), do: {:ok, 1}
    def handle_call({:append, k, v}, _, %T.Mem{streams: st} = s), do: {:reply, :ok, %T.Mem{s | streams: Map.put(st, k, v)}}
  end
  """, [{"def record(_), do: :ok", "def record(x), do: GenServer.call(T.Mem, {:record, x})"}, {"def read(_), do: {:ok, 1}", "def read(k), do: GenServer.call(T.Mem, {:read, k})"}, {"  def handle_call({:append", "  def handle_call({:read, k}, _, %T.Mem{snapshots: sn} = s), do: {:reply, {:ok, Map.get(sn, k, 1)}, s}\n  def handle_call({:record, x}, _, %T.Mem{snapshots: sn} = s), do: {:reply, :ok, %T.Mem{s | snapshots: Map.put(sn, x, x)}}\n  def handle_call({:append" |> String.slice(0..-1//1)}], "{:ok, p} = T.Mem.start(); p", "T.Mem.record(1) == :ok and T.Mem.read(1) == {:ok, 1}"),
  h.("further answers have a timeout", """
  defmodule T.Hd do
    use GenServer
    def init(_), do: {:ok, {%{read_timeout: 60_000}, %{n: 0}}, 60_000}
    def handle_info({:plug_conn, :sent}, s), do: {:noreply, s}
    def handle_info(:timeout, s), do: {:stop, :normal, s}
  end
  """, [{"def handle_info({:plug_conn, :sent}, s), do: {:noreply, s}", "def handle_info({:plug_conn, :sent}, {socket, s}), do: {:noreply, {socket, s}, socket.read_timeout}"}], "start(T.Hd, nil)", "takes?(it, {:plug_conn, :sent})"),
  h.("crashes are told from shutdowns", """
  defmodule T.Tab do
    use GenServer
    def init(_), do: {:ok, %{n: 0}}
    def handle_info({:DOWN, _r, :process, _p, _reason}, s), do: {:noreply, %{s | n: s.n + 1}}
    def handle_info(:noop, s), do: {:noreply, s}
  end
  """, [{"_p, _reason}, s), do: {:noreply, %{s | n: s.n + 1}}", "_p, :shutdown}, s), do: {:noreply, %{s | n: s.n + 1}}\n  def handle_info({:DOWN, _, :process, _, _}, s), do: {:noreply, s}"}], "start(T.Tab, nil)", "takes?(it, {:DOWN, 1, :process, self(), :boom})"),
  h.("one step is done within another function", """
  defmodule T.Coll do
    use GenServer
    def init(_), do: {:ok, %{subs: {1, MapSet.new([1])}, filter: %{1 => 1}, flush: %{1 => 1}}}
    def handle_info({{:unsub, h}, ref, :process, _, _}, s) do
      {:noreply, s |> remove(ref, h) |> Map.update!(:flush, &Map.delete(&1, h))}
    end
    defp remove(%{subs: {n, set}} = s, from, h) do
      subs = if MapSet.member?(set, from), do: {n - 1, MapSet.delete(set, from)}, else: {n, set}
      %{s | subs: subs, filter: Map.delete(s.filter, h)}
    end
  end
  """, [{"s |> remove(ref, h) |> Map.update!(:flush, &Map.delete(&1, h))", "remove(s, ref, h)"}, {"%{s | subs: subs, filter: Map.delete(s.filter, h)}", "filter = Map.delete(s.filter, h)\n    flush = Map.delete(s.flush, h)\n    %{s | subs: subs, filter: filter, flush: flush}"}], "start(T.Coll, nil)", "takes?(it, {{:unsub, 1}, 1, :process, self(), :x})"),
  h.("an interval can be set, and is what it was", """
  defmodule T.Cman do
    use GenServer
    @interval 600_000
    def init(_), do: {:ok, %{ref: Process.send_after(self(), :resolve, @interval), last: nil}}
    def handle_cast(:active, s), do: {:noreply, %{s | last: 1}}
    def handle_info(:resolve, s) do
      if s.ref, do: Process.cancel_timer(s.ref)
      {:noreply, %{s | ref: Process.send_after(self(), :resolve, @interval)}}
    end
  end
  """, [{"%{ref: Process.send_after(self(), :resolve, @interval), last", "%{ref: later(), last"}, {"%{s | ref: Process.send_after(self(), :resolve, @interval)}", "%{s | ref: later()}"}, {"  def handle_cast(:active", "  def handle_call(:last, _, s), do: {:reply, s.last, s}\n  def handle_cast({:set, t}, s), do: {:noreply, %{s | last: t}}\n  defp later, do: Process.send_after(self(), :resolve, Application.get_env(:changes, T.Cman)[:interval] || @interval)\n  def handle_cast(:active" |> String.slice(0..-1//1)}], "start(T.Cman, nil)", "takes?(it, :resolve)"),
  h.("Elixir's wrapper instead of Erlang's module", """
  defmodule T.Topic do
    use GenServer
    def start, do: :gen_server.start({:local, T.Topic}, T.Topic, [], [])
    def init(s), do: {:ok, s}
    def call(m), do: :gen_server.call(T.Topic, m)
    def cast(m), do: :gen_server.cast(T.Topic, m)
    def handle_call(:n, _, s), do: {:reply, length(s), s}
    def handle_cast({:add, x}, s), do: {:noreply, [x | s]}
  end
  """, [{":gen_server.start({:local, T.Topic}, T.Topic, [], [])", "GenServer.start(T.Topic, [], name: T.Topic)"}, {":gen_server.call(", "GenServer.call("}, {":gen_server.cast(", "GenServer.cast("}], "{:ok, p} = T.Topic.start(); p", "T.Topic.cast({:add, 1}) == :ok and is_integer(T.Topic.call(:n))"),
  h.("children are started in another order", """
  defmodule T.Oa do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.Ob do
    use GenServer
    def start_link(x), do: GenServer.start_link(__MODULE__, x)
    def init(x), do: {:ok, x}
  end
  defmodule T.OApp do
    use Application
    def start(_, _), do: Supervisor.start_link([T.Oa, T.Ob], strategy: :one_for_one, name: T.OSup)
  end
  """, [{"[T.Oa, T.Ob]", "[T.Ob, T.Oa]"}], "app(T.OApp)", "restarts?(T.OSup, T.Oa)"),
  h.("a call answers more, and who calls takes it", """
  defmodule T.Man do
    use GenServer
    def init(_), do: {:ok, %{out: %{}}}
    def checkout(m, k), do: GenServer.call(m, {:checkout, k}, :infinity)
    def handle_call({:checkout, k}, _, s), do: {:reply, :ok, %{s | out: Map.put(s.out, k, 1)}}
  end
  defmodule T.Owner do
    def out(m, k) do
      :ok = T.Man.checkout(m, k)
      k
    end
  end
  """, [{"{:reply, :ok, %{s", "{:reply, {:ok, k}, %{s"}, {"    :ok = T.Man.checkout(m, k)\n    k\n", "    {:ok, k} = T.Man.checkout(m, k)\n    k\n"}], "start(T.Man, nil)", "T.Owner.out(it, 1) == 1")
]

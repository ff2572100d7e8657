# Changes as they stand in the histories of public projects, told anew, of what stands around states: settings, handlers that are attached,
# timeouts and monitors of before, texts and sorted sets that hold terms. Only the soak has them.

d = fn finds, what, old, new, run, look ->
  %{soak: true, finds: finds, what: what, old: old, new: new, run: run, look: look}
end

h = fn what, old, new, run, look -> %{soak: true, what: what, old: old, new: new, run: run, look: look} end

hooks = """
defmodule T.Hooks do
  def add(event, fun, priority), do: :ets.insert(:t_hooks, {event, priority, fun})
  def run(event, x), do: for({_, _, {m, f}} <- :ets.lookup(:t_hooks, event), do: apply(m, f, [x]))
end

defmodule T.Log do
  def attach, do: T.Hooks.add([:t, :query, :stop], {T.Log, :handle}, 50)
  def handle(x), do: x
  def n, do: 1
end

defmodule T.Query do
  def run(x), do: T.Hooks.run([:t, :query, :stop], x)
end
"""

hooked = ":ets.new(:t_hooks, [:bag, :named_table, :public]); T.Log.attach()"

auth = """
defmodule T.Auth do
  @behaviour :gen_statem
  def callback_mode, do: :handle_event_function
  def init(_), do: {:ok, :waiting, %{n: 0}}
  def handle_event({:call, from}, :go, _, data), do: {:next_state, :ready, data, {:reply, from, :ok}}
  def handle_event({:call, from}, :state, state, _), do: {:keep_state_and_data, {:reply, from, state}}
  def timed?, do: false
end
"""

auth_timed = [
  {"{:ok, :waiting, %{n: 0}}", "{:ok, :waiting, %{n: 0}, [{:state_timeout, 900_000, :late}]}"},
  {"  def timed?, do: false", "  def handle_event(:state_timeout, :late, _, data), do: {:next_state, :failed, data}\n  def timed?, do: true"}
]

members = """
defmodule T.Members do
  use GenServer
  def init(_), do: {:ok, %{}}
  def handle_call({:join, pid}, _, s), do: {:reply, :ok, Map.put(s, pid, Process.monitor(pid))}
  def handle_call(:n, _, s), do: {:reply, map_size(s), s}
  def handle_info({:DOWN, _, :process, pid, _}, s), do: {:noreply, Map.delete(s, pid)}
  def handle_info(_, s), do: {:noreply, s}
end
"""

joined = """
s = start(T.Members, nil)
pids = for _ <- 1..2, do: spawn(fn -> receive(do: (:stop -> :ok)) end)
for pid <- pids, do: ask(s, {:join, pid})
{s, pids}
"""

one_leaves = """
{s, pids} = it
pid = Enum.find(pids, &Process.alive?/1)
{n, ref} = {ask(s, :n), Process.monitor(pid)}
send(pid, :stop)
receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
ask(s, :n) == n - 1
"""

pool = """
defmodule T.Pool do
  def size, do: Application.get_env(:changes, :t_pool, [])[:size]
end
"""

[
  d.(["init_changed"], "an event has another name, and who is attached waits for the old one", hooks, [{"[:t, :query, :stop]", "[:t, :query, :exception]"}], hooked, "T.Query.run(1) == [1]"),
  d.(["init_changed"], "a further handler is attached at the start", hooks, [{"{T.Log, :handle}, 50)", "{T.Log, :handle}, 50) and T.Hooks.add(:check, {T.Log, :handle}, 50)"}, {"def n, do: 1", "def n, do: 2"}], hooked, "length(T.Query.run(1) ++ T.Hooks.run(:check, 1)) == T.Log.n()"),
  h.("a handler is attached with another priority", hooks, [{"50)", "898)"}], hooked, "T.Query.run(1) == [1]"),
  h.("a handler does something else", hooks, [{"def handle(x), do: x", "def handle(x), do: hd([x])"}], hooked, "T.Query.run(1) == [1]"),
  d.(["init_changed"], "a state machine starts with a timeout, in the state in which it is", auth, auth_timed, "statem(T.Auth, 1)", "inspect(:sys.get_status(it), limit: :infinity) =~ \":late\" == T.Auth.timed?()"),
  h.("a state machine starts with a timeout, in a state that it has left", auth, auth_timed, "pid = statem(T.Auth, 1); :gen_statem.call(pid, :go); pid", ":gen_statem.call(it, :state) == :ready"),
  d.(["init_changed"], "logs of a process name its tenant from the start", """
  defmodule T.Ten do
    use GenServer
    require Logger
    def init(x), do: {:ok, x}
    def handle_call(:tenant, _, s), do: {:reply, Logger.metadata()[:tenant], s}
    def wants(_), do: nil
  end
  """, [{"def init(x), do: {:ok, x}", "def init(x) do\n    Logger.metadata(tenant: x)\n    {:ok, x}\n  end"}, {"def wants(_), do: nil", "def wants(x), do: x"}], "start(T.Ten, 1)", "ask(it, :tenant) == T.Ten.wants(1)"),
  d.(["init_changed"], "options that a start gives to the library", """
  defmodule T.Lib do
    use GenServer
    @callback init(term) :: {:ok, term, keyword}
    def init({mod, x}) do
      {:ok, state, opts} = mod.init(x)
      {:ok, %{mod: mod, state: state, buffer: opts[:buffer_size]}}
    end
    def handle_call(:buffer, _, s), do: {:reply, s.buffer, s}
  end
  defmodule T.Imp do
    @behaviour T.Lib
    def init(x), do: {:ok, x, buffer_size: 10}
    def buffer, do: 10
  end
  """, [{"buffer_size: 10}", "buffer_size: 100}"}, {"def buffer, do: 10", "def buffer, do: 100"}], "start(T.Lib, {T.Imp, 1})", "ask(it, :buffer) == T.Imp.buffer()"),
  d.(["messages_changed"], "the message of a monitor has a tag of its own", members, [{"Process.monitor(pid))", ":erlang.monitor(:process, pid, tag: :gone))"}, {"{:DOWN, _, :process, pid, _}", "{:gone, _, :process, pid, _}"}], joined, one_leaves),
  h.("a monitor is kept otherwise", members, [{"Process.monitor(pid))", ":erlang.monitor(:process, pid))"}], joined, one_leaves),
  d.(["missing_setting"], "a setting lacks a key that is fetched", pool, [{"[:size]", "|> Keyword.fetch!(:max_size)"}], "Application.put_env(:changes, :t_pool, size: 1)", "T.Pool.size() == 1"),
  h.("a setting's key with a default", pool, [{"[:size]", "|> Keyword.get(:max_size, 1)"}], "Application.put_env(:changes, :t_pool, size: 1)", "T.Pool.size() == 1"),
  d.(["mfa_gone"], "a job that names its function in a map", """
  defmodule T.Cron do
    use GenServer
    def init(jobs), do: {:ok, %{jobs: jobs}}
    def handle_call(:run, _, s), do: {:reply, for(j <- s.jobs, do: apply(j.mod, j.fun, j.args)), s}
  end
  defmodule T.Jobs do
    def jobs, do: [%{mod: T.Jobs, fun: :clean, args: [1]}]
    def clean(n), do: n
  end
  """, [{"fun: :clean", "fun: :sweep"}, {"def clean", "def sweep"}], "start(T.Cron, T.Jobs.jobs())", "ask(it, :run) == [1]"),
  d.(["stale_shape"], "what a sorted set holds has the time too", """
  defmodule T.Sorted do
    use GenServer
    def init(_), do: {:ok, %{queue: :gb_sets.from_list([{1, :a}, {2, :b}])}}
    def handle_call(:first, _, s) do
      {_prio, id} = :gb_sets.smallest(s.queue)
      {:reply, id, s}
    end
  end
  """, [{"[{1, :a}, {2, :b}]", "[{1, 0, :a}, {2, 0, :b}]"}, {"{_prio, id} =", "{_prio, _at, id} ="}], "start(T.Sorted, nil)", "ask(it, :first) == :a"),
  d.(["stale_shape"], "rows of a key alone count now", """
  defmodule T.Ret do
    def start, do: :ets.new(:t_ret, [:named_table, :public])
    def touch(k), do: :ets.insert(:t_ret, {k})
  end
  """, [{":ets.insert(:t_ret, {k})", "is_integer(:ets.update_counter(:t_ret, k, 1, {k, 0}))"}], "T.Ret.start(); T.Ret.touch(:a)", "T.Ret.touch(:a)"),
  h.("rows that are there count with a default", """
  defmodule T.Hits do
    def start, do: :ets.new(:t_hits, [:named_table, :public])
    def hit(k), do: if(:ets.member(:t_hits, k), do: :ets.update_counter(:t_hits, k, 1), else: new(k))
    defp new(k), do: length(for true <- [:ets.insert(:t_hits, {k, 1})], do: 1)
  end
  """, [{"if(:ets.member(:t_hits, k), do: :ets.update_counter(:t_hits, k, 1), else: new(k))", ":ets.update_counter(:t_hits, k, 1, {k, 0})"}, {"    defp new(k), do: length(for true <- [:ets.insert(:t_hits, {k, 1})], do: 1)\n" |> String.slice(2..-1//1), ""}], "T.Hits.start(); T.Hits.hit(:a)", "T.Hits.hit(:a) > 1"),
  d.(["stale_shape"], "what is packed in a text has another shape", """
  defmodule T.Pack do
    def start, do: :ets.new(:t_pack, [:named_table, :public])
    def put(k, v), do: :ets.insert(:t_pack, {k, :erlang.term_to_binary({:v1, v})})
    def get(k) do
      [{_, packed}] = :ets.lookup(:t_pack, k)
      {:v1, v} = :erlang.binary_to_term(packed)
      v
    end
  end
  """, [{"term_to_binary({:v1, v})", "term_to_binary(%{value: v})"}, {"{:v1, v} =", "%{value: v} ="}], "T.Pack.start(); T.Pack.put(:a, 1)", "T.Pack.get(:a) == 1"),
  d.(["table_changed"], "the elements of rows are in another order", """
  defmodule T.Entries do
    def start, do: :ets.new(:t_entries, [:named_table, :public])
    def put(k, v, ttl), do: :ets.insert(:t_entries, {:entry, k, ttl, v})
    def get(k), do: for({:entry, ^k, _ttl, v} <- :ets.tab2list(:t_entries), do: v)
  end
  """, [{"{:entry, k, ttl, v}", "{:entry, k, v, ttl}"}, {"{:entry, ^k, _ttl, v}", "{:entry, ^k, v, _ttl}"}], "T.Entries.start(); T.Entries.put(:k, \"v\", 60)", "T.Entries.get(:k) == [\"v\"]"),
  d.(["init_changed"], "a callback is added, which the library asked for at the start", """
  defmodule T.Stage do
    use GenServer
    def init(mod), do: {:ok, %{mod: mod, discards?: function_exported?(mod, :discarded, 1)}}
    def handle_call({:discard, n}, _, s), do: {:reply, if(s.discards?, do: s.mod.discarded(n), else: :log), s}
  end
  defmodule T.Producer do
    def wants, do: :log
  end
  """, [{"def wants, do: :log", "def discarded(_), do: :told\n  def wants, do: :told"}], "start(T.Stage, T.Producer)", "ask(it, {:discard, 1}) == T.Producer.wants()")
]

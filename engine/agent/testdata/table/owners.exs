# Changes as they stand in the histories of public projects, told anew, of what owns, watches and starts things, of entries and of names: each that breaks
# something beside one that does the same and breaks nothing. Only the soak has them.

d = fn finds, what, old, new, run, look -> %{finds: List.wrap(finds), what: what, old: old, new: new, run: run, look: look, soak: true} end
h = fn what, old, new, run, look -> %{what: what, old: old, new: new, run: run, look: look, soak: true} end

pages = """
defmodule T.Page do
  def key(host, path), do: %{host: host, path: path}
end
defmodule T.Pages do
  use GenServer
  def init(_), do: {:ok, :ets.new(T.PagesTab, [:named_table, :public])}
  def put(host, path, n), do: :ets.insert(T.PagesTab, {{:page, T.Page.key(host, path)}, n})
  def hits(host, path) do
    case :ets.lookup(T.PagesTab, {:page, T.Page.key(host, path)}) do
      [{_, n}] -> n
      [] -> 0
    end
  end
end
"""

locks = """
defmodule T.LockSup do
  use Supervisor
  def start_link(_), do: Supervisor.start_link(T.LockSup, [], name: T.LockSup)
  def init(_) do
    children = [T.Locks]
    Supervisor.init(children, strategy: :one_for_one)
  end
end
defmodule T.Locks do
  use GenServer
  def start_link(_), do: GenServer.start_link(T.Locks, [], name: T.Locks)
  def init(_) do
    :ets.new(T.LockTab, [:named_table, :public])
    {:ok, %{}}
  end
  def lock(name), do: :ets.insert_new(T.LockTab, {name, self()})
end
"""

jobs = """
defmodule T.Jobs do
  use GenServer
  def init(_), do: {:ok, %{jobs: %{}}}
  def handle_call({:add, id}, from, s), do: {:reply, :ok, put_in(s.jobs[id], %{from: from, tries: 0})}
  def handle_call({:age, id}, _, s) do
    s = put_in(s.jobs[id].tries, 1)
    {:reply, age(s.jobs[id]), s}
  end
  defp age(%{tries: n}), do: n
end
"""

subscribers = """
defmodule T.Feed do
  use GenServer
  def init(owner), do: {:ok, %{owner: owner, readers: %{}}}
  def forgets?, do: false
  def handle_call({:read, pid}, _, s) do
    {:reply, :ok, %{s | readers: Map.put(s.readers, pid, 0)}}
  end
  def handle_call(:readers, _, s), do: {:reply, Map.keys(s.readers), s}
end
"""

monitoring = [
  {"forgets?, do: false", "forgets?, do: true"},
  {"    {:reply, :ok, %{s | readers", "    Process.monitor(pid)\n    {:reply, :ok, %{s | readers"},
  {"Map.keys(s.readers), s}\n", "Map.keys(s.readers), s}\n  def handle_info({:DOWN, _, :process, pid, _}, s), do: {:noreply, %{s | readers: Map.delete(s.readers, pid)}}\n"}
]

order = """
defmodule T.Order do
  @behaviour :gen_statem
  def callback_mode, do: :handle_event_function
  def init(_), do: {:ok, :open, %{}}
  def handle_event(:info, :pay, :open, data), do: {:next_state, :paid, data}
  def handle_event(:info, :pay, :paid, _), do: :keep_state_and_data
  def handle_event(:info, :ship, :paid, _), do: :keep_state_and_data
end
"""

limiter = """
defmodule T.Limiter do
  use GenServer
  def start_link(opts), do: GenServer.start_link(T.Limiter, opts, name: T.Limiter)
  def init(opts), do: {:ok, opts[:max_calls] || 10}
  def handle_call(:max, _, n), do: {:reply, n, n}
end
"""

pool = """
defmodule T.Workers do
  def start_link(name, opts), do: Supervisor.start_link(for(n <- 1..opts[:pool][:size], do: %{id: n, start: {Agent, :start_link, [fn -> n end]}}), strategy: :one_for_one, name: name)
end
defmodule T.Mailer do
  def child_spec(name), do: %{id: T.Mailer, start: {T.Mailer, :start_link, [name]}, type: :supervisor}
  def size, do: 2
  def start_link(name), do: T.Workers.start_link(name, pool: [size: 2, overflow: 0], queue: :fifo)
end
"""

redo = """
defmodule T.Redo do
  use GenServer
  def init(_), do: {:ok, %{done: 0}}
  def handle_call(:later, _, s) do
    Process.send_after(self(), {:again, {:mail, "to", "text"}}, 600_000)
    {:reply, :ok, s}
  end
  def handle_call(:done, _, s), do: {:reply, s.done, s}
  def handle_info({:again, job}, s), do: {:noreply, redo(job, s)}
  defp redo({:mail, _to, _text}, s), do: %{s | done: s.done + 1}
  defp redo(_job, s), do: s
end
"""

redone = "n = ask(it, :done); takes?(it, {:again, {:mail, \"to\", \"text\"}}) and ask(it, :done) == n + 1"

signals = """
defmodule T.Plain do
  @behaviour :gen_event
  def init(_), do: {:ok, []}
  def handle_event(_, s), do: {:ok, s}
  def handle_call(_, s), do: {:ok, :ok, s}
end
defmodule T.Fancy do
  @behaviour :gen_event
  def init(_), do: {:ok, []}
  def handle_event(_, s), do: {:ok, s}
  def handle_call(_, s), do: {:ok, :ok, s}
end
defmodule T.Attach do
  use GenServer
  def init(_) do
    add()
    {:ok, nil}
  end
  def handler, do: T.Plain
  defp add, do: :gen_event.add_handler(T.Bus, T.Plain, [])
end
"""

attached = ":gen_event.which_handlers(T.Bus) == [T.Attach.handler()]"

sessions = """
defmodule T.Sessions do
  use GenServer
  def init(_), do: {:ok, :ets.new(T.SessionTab, [:named_table, :public])}
  def put(id, pid), do: :ets.insert(T.SessionTab, {{:session, id}, pid})
  def get(id), do: :ets.lookup_element(T.SessionTab, {:session, id}, 2)
  def handle_call({:put, id, pid}, _, s), do: {:reply, put(id, pid), s}
end
"""

[
  d.("table_changed", "a key is a tuple of what stood in a map of it", pages, [{"%{host: host, path: path}", "{host, path}"}],
     "p = start(T.Pages, nil); T.Pages.put(\"a\", \"/\", 3); p", "T.Pages.hits(\"a\", \"/\") == 3"),
  h.("a key is put together in another way, and is what it was", pages, [{"do: %{host: host, path: path}", "do: Map.put(%{host: host}, :path, path)"}],
     "p = start(T.Pages, nil); T.Pages.put(\"a\", \"/\", 3); p", "T.Pages.hits(\"a\", \"/\") == 3"),

  d.("table_changed", "the supervisor makes the table that its child made", locks,
     [{"  :ets.new(T.LockTab, [:named_table, :public])\n", ""}, {"    children = ", "    :ets.new(T.LockTab, [:named_table, :public])\n    children = "}],
     "{:ok, p} = T.LockSup.start_link([]); Process.unlink(p); p", "restarts?(it, T.Locks) and T.Locks.lock(make_ref())"),
  h.("a server's table is made by a function of another module", locks,
     [{"    :ets.new(T.LockTab, [:named_table, :public])\n", "    T.LockTables.make()\n"},
      {"defmodule T.LockSup", "defmodule T.LockTables do\n  def make, do: :ets.new(T.LockTab, [:named_table, :public])\nend\ndefmodule T.LockSup"}],
     "{:ok, p} = T.LockSup.start_link([]); Process.unlink(p); p", "restarts?(it, T.Locks) and T.Locks.lock(make_ref())"),

  d.("stale_shape", "entries of a map are put there with a further key, which a helper takes", jobs,
     [{"tries: 0}", "tries: 0, at: 1}"}, {"defp age(%{tries: n}), do: n", "defp age(%{tries: n} = job), do: n + 0 * job.at"}],
     "p = start(T.Jobs, nil); ask(p, {:add, 1}); p", "ask(it, {:age, 1}) == 1"),
  h.("entries of a map are put there with a further key, for which a helper has a default", jobs,
     [{"tries: 0}", "tries: 0, at: 1}"}, {"defp age(%{tries: n}), do: n", "defp age(%{tries: n} = job), do: n + 0 * Map.get(job, :at, 1)"}],
     "p = start(T.Jobs, nil); ask(p, {:add, 1}); p", "ask(it, {:age, 1}) == 1"),

  d.("init_changed", "readers are forgotten when they end, and those of before are not monitored", subscribers, monitoring,
     "p = start(T.Feed, self()); for _ <- 1..3, do: ask(p, {:read, spawn(fn -> receive(do: (:never -> :ok)) end)}); p",
     "[pid | _] = ask(it, :readers) |> Enum.filter(&Process.alive?/1); r = Process.monitor(pid); Process.exit(pid, :kill); receive(do: ({:DOWN, ^r, _, _, _} -> :ok)); for(_ <- 1..50, do: ask(it, :readers)); (pid not in ask(it, :readers)) == T.Feed.forgets?()"),
  h.("readers are forgotten when they end, and there are none", subscribers, monitoring, "start(T.Feed, self())", "ask(it, :readers) == []"),

  d.("messages_changed", "a state gets a number beside its name", order,
     [{"{:next_state, :paid, data}", "{:next_state, {:paid, 1}, data}"}, {":pay, :paid, _)", ":pay, {:paid, _}, _)"}, {":ship, :paid, _)", ":ship, {:paid, _}, _)"}],
     "p = statem(T.Order, nil); send(p, :pay); p", "takes?(it, :ship)"),
  h.("a state in which nobody is gets a number beside its name", order,
     [{"{:next_state, :paid, data}", "{:next_state, {:paid, 1}, data}"}, {":pay, :paid, _)", ":pay, {:paid, _}, _)"}, {":ship, :paid, _)", ":ship, {:paid, _}, _)"}],
     "statem(T.Order, nil)", "Process.alive?(it)"),

  d.("child_spec_changed", "an option of a child's is read by another name", limiter, [{"opts[:max_calls]", "opts[:limit]"}],
     "sup([{T.Limiter, max_calls: 3}])", "restarts?(it, T.Limiter) and ask(T.Limiter, :max) == 3"),
  h.("an option of a child's is read by another name, or else by its own", limiter, [{"opts[:max_calls]", "(opts[:limit] || opts[:max_calls])"}],
     "sup([{T.Limiter, max_calls: 3}])", "restarts?(it, T.Limiter) and ask(T.Limiter, :max) == 3"),

  d.("init_changed", "what a child's start begins gets other options", pool, [{"size, do: 2", "size, do: 5"}, {"[size: 2, ", "[size: 5, "}],
     "sup([{T.Mailer, T.Pool}])", "Supervisor.count_children(T.Pool).active == T.Mailer.size()"),
  h.("what a child's start begins gets its options in another order", pool, [{"pool: [size: 2, overflow: 0], queue: :fifo", "queue: :fifo, pool: [overflow: 0, size: 2]"}],
     "sup([{T.Mailer, T.Pool}])", "Supervisor.count_children(T.Pool).active == T.Mailer.size()"),

  d.("messages_changed", "what a timer will send has another shape within, and falls to a clause for everything", redo,
     [{"{:mail, \"to\", \"text\"}", "{:mail, %{to: \"to\", text: \"text\"}}"}, {"{:mail, _to, _text}", "{:mail, %{to: _}}"}],
     "p = start(T.Redo, nil); ask(p, :later); p", redone),
  h.("what a timer will send has another shape within, and the old one is taken", redo,
     [{"{:mail, \"to\", \"text\"}", "{:mail, %{to: \"to\", text: \"text\"}}"},
      {"  defp redo(_job", "  defp redo({:mail, %{to: to, text: text}}, s), do: redo({:mail, to, text}, s)\n  defp redo(_job"}],
     "p = start(T.Redo, nil); ask(p, :later); p", redone),

  d.("init_changed", "a start puts a handler of events into another's place", signals,
     [{"handler, do: T.Plain", "handler, do: T.Fancy"}, {"    add()\n", "    add()\n    :gen_event.swap_handler(T.Bus, {T.Plain, []}, {T.Fancy, []})\n"}],
     "{:ok, p} = :gen_event.start({:local, T.Bus}); _ = p; start(T.Attach, nil)", attached),
  h.("a start adds its handler of events without a helper", signals,
     [{"    add()\n", "    :gen_event.add_handler(T.Bus, T.Plain, [])\n"}, {"  defp add, do: :gen_event.add_handler(T.Bus, T.Plain, [])\n", ""}],
     "{:ok, p} = :gen_event.start({:local, T.Bus}); _ = p; start(T.Attach, nil)", attached),

  d.("table_changed", "a helper puts rows under another tag", sessions,
     [{"do: :ets.insert(T.SessionTab, {{:session, id}, pid})", "do: row({:user, id}, pid)"}, {"T.SessionTab, {:session, id}, 2)\n", "T.SessionTab, {:user, id}, 2)\n  defp row(key, pid), do: :ets.insert(T.SessionTab, {key, pid})\n"}],
     "p = start(T.Sessions, nil); ask(p, {:put, 1, p}); p", "T.Sessions.get(1) == it"),
  h.("a helper puts the rows, and gets their keys", sessions,
     [{"do: :ets.insert(T.SessionTab, {{:session, id}, pid})", "do: row({:session, id}, pid)"}, {"2)\n", "2)\n  defp row(key, pid), do: :ets.insert(T.SessionTab, {key, pid})\n"}],
     "p = start(T.Sessions, nil); ask(p, {:put, 1, p}); p", "T.Sessions.get(1) == it"),

  h.("a start runs tasks, as the server does whenever it is told to", """
  defmodule T.Runs do
    use GenServer
    def init(jobs), do: {:ok, %{jobs: jobs}}
    def handle_info(:tick, s), do: {:noreply, %{s | jobs: run(s.jobs)}}
    defp run(jobs) do
      for j <- jobs, do: Task.start(T.Runs, :job, [j])
      jobs
    end
    def job(j), do: j
  end
  """, [{"{:ok, %{jobs: jobs}}", "{:ok, %{jobs: run(jobs)}}"}],
  "start(T.Runs, [1])", "takes?(it, :tick)")
]

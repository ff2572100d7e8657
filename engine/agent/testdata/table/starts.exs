# What starts of the new version do, and running processes have not done: under a condition, for an option, for a handler, in a table.

d = fn finds, what, old, new, run, look -> %{finds: List.wrap(finds), what: what, old: old, new: new, run: run, look: look} end
h = fn what, old, new, run, look -> %{what: what, old: old, new: new, run: run, look: look} end
soak = &Map.put(&1, :soak, true)

limits = """
defmodule T.Limits do
  use GenServer
  def init(_) do
    table = :ets.new(T.Limits, [:named_table, :public])
    :ets.insert(table, {:burst, 3})
    {:ok, nil}
  end
  def get(key) do
    case :ets.lookup(T.Limits, key) do
      [{_, n}] -> n
      [] -> nil
    end
  end
end

defmodule T.Gate do
  def burst, do: T.Limits.get(:burst)
  def rate, do: 5
end
"""

puts_rate = {"    {:ok, nil}", "    :ets.insert(table, [{:rate, 5}, {:size, 9}])\n    {:ok, nil}"}

own = """
defmodule T.Own do
  use GenServer
  def init(_) do
    table = :ets.new(:own, [:set])
    :ets.insert(table, {:burst, 3})
    {:ok, %{table: table}}
  end
  def handle_call(:limit, _, s), do: {:reply, limit(s), s}
  defp limit(_s), do: 5
end
"""

puts_own = {"    {:ok, %{table", "    :ets.insert(table, {:limit, 5})\n    {:ok, %{table"}

flags = """
defmodule T.Flags do
  def load do
    :ets.new(T.Flags, [:named_table, :public])
    :ets.insert(T.Flags, {:alpha, true})
  end
  def on?(flag), do: :ets.lookup(T.Flags, flag) == [{flag, true}]
end

defmodule T.Page do
  def parts, do: if(T.Flags.on?(:alpha), do: [:news, :chat], else: [:news])
end

defmodule T.FApp do
  use Application
  def start(_, _) do
    T.Flags.load()
    Supervisor.start_link([], strategy: :one_for_one)
  end
end
"""

feed = """
defmodule T.Feed do
  use GenServer
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)
  def init(opts) do
    mode = Keyword.get(opts, :mode, :active)
    if mode == :active do
      Process.send_after(self(), :poll, 0)
    end
    {:ok, %{mode: mode, polled: 0}}
  end
  def polls, do: false
  def handle_call(:polled, _, s), do: {:reply, s.polled > 0, s}
  def handle_info(:poll, s), do: {:noreply, %{s | polled: s.polled + 1}}
end
"""

polled = "ask(it, :polled) == T.Feed.polls()"

source = """
defmodule T.Source do
  use GenServer
  def init(:quiet), do: {:ok, []}
  def init({:file, _path}), do: {:ok, []}
  def init(_), do: {:ok, [], {:continue, :listen}}
  def handle_continue(:listen, s) do
    Process.flag(:trap_exit, true)
    {:noreply, s}
  end
  def traps, do: false
end
"""

traps = "Process.info(it, :trap_exit) == {:trap_exit, T.Source.traps()}"

hub = """
defmodule T.Hub do
  use GenServer
  def init(_), do: {:ok, []}
  def join(name, pid), do: GenServer.call(T.Hub, {:join, name, pid})
  def name(pid), do: {:member, pid}
  def handle_call({:join, name, pid}, _, all), do: {:reply, :ok, [{name, pid} | all]}
  def handle_call(:pids, _, all), do: {:reply, Keyword.values(all), all}
end

defmodule T.One do
  use GenServer
  def init(_) do
    T.Hub.join(:work, self())
    {:ok, 1}
  end
end

defmodule T.Two do
  use GenServer
  def init(_) do
    {:ok, 2}
  end
  def works, do: false
end
"""

hubbed = "start(T.Hub, nil, name: T.Hub); start(T.One, nil); start(T.Two, nil)"
in_hub = "it in ask(T.Hub, :pids) == T.Two.works()"

tries = """
defmodule T.Tries do
  use GenServer
  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)
  def init(opts), do: {:ok, %{opts: opts, n: 0}}
  def handle_call(:try, _, s), do: {:reply, next(s), s}
  def expected, do: :again
  defp next(_s), do: :again
end
"""

ends = {"defp next(_s), do: :again", "defp next(s), do: if(s.n < s.opts[:retries], do: :again, else: :ends)"}

audited = """
defmodule T.Jobs do
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, %{name: name})
  def init(s), do: {:ok, s}
  def handle_call(:run, _, s), do: {:reply, run(s), s}
  defp run(s), do: {s.name, note()}
  defp note, do: :ets.update_counter(:t_audit, :n, 1, {:n, 0}) > 0
end
"""

audits = "{:ok, p} = T.Jobs.start_link(1); Process.unlink(p); :ets.new(:t_audit, [:named_table, :public]); p"

around = """
defmodule T.Setup do
  def run do
    :ets.new(T.Table, [:named_table, :public])
  end
  def limit, do: 5
end

defmodule T.SSup do
  use Supervisor
  def start_link(x), do: Supervisor.start_link(__MODULE__, x)
  def init(_) do
    Supervisor.init([], strategy: :one_for_one)
  end
end

defmodule T.SApp do
  use Application
  def start(_, _) do
    T.Setup.run()
    T.SSup.start_link(nil)
  end
end
"""

limited = """
defmodule T.Limited do
  use GenServer
  def init(opts), do: {:ok, %{config: [limit: Keyword.get(opts, :limit, 10)]}}
  def default, do: 10
  def handle_call(:limit, _, s), do: {:reply, s.config[:limit], s}
end
"""

listener = """
defmodule T.Listener do
  use GenServer
  @topics [:news, :jobs]
  def init(_) do
    Enum.each(@topics, &Registry.register(T.Topics, &1, nil))
    {:ok, nil}
  end
  def topics, do: @topics
end
"""

listens = "{:ok, r} = Registry.start_link(keys: :duplicate, name: T.Topics); Process.unlink(r); start(T.Listener, nil)"
heard = "Enum.sort(Registry.keys(T.Topics, it)) == Enum.sort(T.Listener.topics())"

# What telemetry does, in a table of the same name and with the same rows.
bus = """
defmodule T.Bus do
  def attach(id, event, fun, settings), do: :ets.insert(:t_bus, {:handler, id, event, fun, settings})
  def execute(event, measured) do
    for {_, _, ^event, fun, settings} <- :ets.tab2list(:t_bus), do: fun.(event, measured, %{}, settings)
  end
end

defmodule T.Sink do
  def attach, do: T.Bus.attach(:sink, [:t, :stop], &T.Stats.handle/4, :count)
end

defmodule T.Stats do
  def handle([:t, :stop], _, _, :count), do: T.Stats.Table.add(1)
  def handle(_, _, _, _), do: :ok
end

defmodule T.Stats.Table do
  def add(n), do: :ets.update_counter(:t_seen, :n, n, {:n, 0})
end

defmodule T.Query do
  def run, do: T.Bus.execute([:t, :stop], %{n: 2})
end
"""

attached = ":ets.new(:t_bus, [:named_table, :public]); :ets.new(:t_seen, [:named_table, :public]); T.Sink.attach()"
counts = "match?([n] when is_integer(n), T.Query.run())"

[
  d.("init_changed", "options: a further option has a default that a start puts among those that are kept", tries,
    [{"%{opts: opts, n: 0}", "%{opts: Keyword.put_new(opts, :retries, 0), n: 0}"}, ends, {"expected, do: :again", "expected, do: :ends"}], "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()"),
  soak.(d.("init_changed", "options: jobs are audited if a state says so, as start_link has it do", audited,
    [{"%{name: name})", "%{name: name, audit: true})"}, {"{s.name, note()}", "{s.name, s[:audit] && note()}"}], audits, "ask(it, :run) == {1, true}")),
  soak.(d.("init_changed", "options: a pace was a name, and is compared with a pair", tries,
    [{"opts: opts, n: 0", "opts: opts, n: 0"}, {"defp next(_s), do: :again", "defp next(s), do: if(s.n == {0, :tries}, do: :ends, else: :again)"}, {"n: 0}", "n: {0, :tries}}"}, {"expected, do: :again", "expected, do: :ends"}],
    "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()")),
  h.("options: a further option has a default where it is read as well", tries,
    [{"%{opts: opts, n: 0}", "%{opts: Keyword.put_new(opts, :retries, 3), n: 0}"}, {"defp next(_s), do: :again", "defp next(s), do: if(s.n < Keyword.get(s.opts, :retries, 3), do: :again, else: :ends)"}], "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()"),
  soak.(h.("options: what a start makes is made where it is missing", tries,
    [{"%{opts: opts, n: 0}", "%{opts: opts, n: 0, seen: %{}}"}, {"defp next(_s), do: :again", "defp next(s), do: if(map_size(Map.get(s, :seen) || %{}) == 0, do: :again, else: :ends)"}], "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()")),
  soak.(h.("options: a further option that is off unless it is given", tries,
    [{"%{opts: opts, n: 0}", "%{opts: opts, n: 0, strict: Keyword.get(opts, :strict, false)}"}, {"defp next(_s), do: :again", "defp next(s), do: if(s[:strict], do: :ends, else: :again)"}], "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()")),
  soak.(h.("options: a further option is kept, and read by nobody", tries,
    [{"%{opts: opts, n: 0}", "%{opts: Keyword.merge([retries: 3], opts), n: 0}"}], "start(T.Tries, home: 1)", "ask(it, :try) == T.Tries.expected()")),

  soak.(d.("init_changed", "options: another default of an option, within what is kept of the configuration", limited, [{":limit, 10)", ":limit, 50)"}, {"default, do: 10", "default, do: 50"}], "start(T.Limited, [])", "ask(it, :limit) == T.Limited.default()")),
  soak.(d.("init_changed", "options: another default of an option, in a tuple", String.replace(String.replace(limited, "%{config: [limit: Keyword.get(opts, :limit, 10)]}", "{Keyword.get(opts, :limit, 10), 0}"), "s.config[:limit]", "elem(s, 0)"),
    [{":limit, 10)", ":limit, 50)"}, {"default, do: 10", "default, do: 50"}], "start(T.Limited, [])", "ask(it, :limit) == T.Limited.default()")),
  soak.(d.("init_changed", "options: another default of an option, which an Agent keeps", """
  defmodule T.Held do
    def start_link(opts), do: Agent.start_link(fn -> %{limit: Keyword.get(opts, :limit, 10), n: 0} end)
    def limit(agent), do: Agent.get(agent, & &1.limit)
    def default, do: 10
  end
  """, [{":limit, 10)", ":limit, 50)"}, {"default, do: 10", "default, do: 50"}], "{:ok, p} = T.Held.start_link([]); Process.unlink(p); p", "T.Held.limit(it) == T.Held.default()")),
  soak.(h.("options: another default of an option, and who runs was given one", limited, [{":limit, 10)", ":limit, 50)"}], "start(T.Limited, limit: 7)", "ask(it, :limit) == 7")),
  d.(["init_changed", "stale_shape"], "handlers: what a handler is attached with is another atom, by another module", bus, [{":count)\nend", ":sum)\nend"}, {"_, _, :count), do: T.Stats.Table.add(1)", "%{n: n}, _, :sum), do: T.Stats.Table.add(n)"}], attached, counts),
  soak.(d.(["init_changed", "stale_shape"], "handlers: what a handler is attached with is a pair, and it takes no other", bus,
    [{":count)\nend", "{:count, 1})\nend"}, {"_, _, :count), do: T.Stats.Table.add(1)", "_, _, {:count, by}), do: T.Stats.Table.add(by)"}, {"  def handle(_, _, _, _), do: :ok\n", ""}], attached, counts)),
  soak.(d.(["init_changed", "stale_shape"], "handlers: a handler is attached to the event under another name, by another module", bus,
    [{"[:t, :stop], &", "[:t, :done], &"}, {"handle([:t, :stop]", "handle([:t, :done]"}, {"execute([:t, :stop]", "execute([:t, :done]"}], attached, counts)),
  soak.(d.("init_changed", "handlers: what is saved is told in another way, and the row that says so is of before", """
  defmodule T.Saved do
    def listen, do: :ets.insert(:t_saved, {:on_save, &T.Saved.told/2, :short})
    def told(x, :short), do: x
    def save(x), do: for({_, fun, how} <- :ets.lookup(:t_saved, :on_save), do: fun.(x, how))
  end
  """, [{"told/2, :short}", "told/2, :long}"}, {"told(x, :short)", "told(x, :long)"}], ":ets.new(:t_saved, [:named_table, :public]); T.Saved.listen()", "T.Saved.save(1) == [1]")),
  soak.(h.("handlers: a handler leaves an event to others, and stays attached to it", bus, [{"T.Stats.Table.add(1)", ":ok"}], attached, "length(T.Query.run()) == 1")),
  h.("handlers: a handler gets a clause for other settings, which nobody has yet", bus, [{"  def handle(_, _, _, _)", "  def handle(_, %{n: n}, _, :sum), do: T.Stats.Table.add(n)\n  def handle(_, _, _, _)"}], attached, counts),
  soak.(h.("handlers: a handler compares its settings by other means", bus, [{"_, _, :count), do: T.Stats.Table.add(1)", "_, _, kind) when kind in [:count, :sum], do: T.Stats.Table.add(1)"}], attached, counts)),

  d.("init_changed", "starts: one that is passive polls as well", feed, [{"if mode == :active do", "if mode in [:active, :passive] do"}, {"polls, do: false", "polls, do: true"}],
    "start(T.Feed, mode: :passive)", polled),
  soak.(d.("init_changed", "starts: a feed polls, however it is started", feed,
    [{"    if mode == :active do\n      Process.send_after(self(), :poll, 0)\n    end\n", "    poll()\n"}, {"polls, do: false", "polls, do: true\n  defp poll, do: Process.send_after(self(), :poll, 0)"}],
    "start(T.Feed, mode: :passive)", polled)),
  soak.(d.("init_changed", "starts: a quiet source listens, too", source, [{"def init(:quiet), do: {:ok, []}", "def init(:quiet), do: {:ok, [], {:continue, :listen}}"}, {"traps, do: false", "traps, do: true"}],
    "start(T.Source, :quiet)", traps)),
  soak.(d.("init_changed", "starts: a source that reads a file listens, too", source, [{"def init({:file, _path}), do: {:ok, []}", "def init({:file, _path}) do\n    Process.flag(:trap_exit, true)\n    {:ok, []}\n  end"}, {"traps, do: false", "traps, do: true"}],
    "start(T.Source, {:file, 1})", traps)),
  soak.(d.("init_changed", "starts: one of a pair says what is idle, and sweeps as well", """
  defmodule T.Sweeper do
    use GenServer
    def init({name, :idle}), do: {:ok, {name, 0}}
    def init({name, _mode}) do
      Process.send_after(self(), :sweep, 0)
      {:ok, {name, 0}}
    end
    def sweeps, do: false
    def handle_call(:swept, _, {_, n} = s), do: {:reply, n > 0, s}
    def handle_info(:sweep, {name, n}), do: {:noreply, {name, n + 1}}
  end
  """, [{"def init({name, :idle}), do: {:ok, {name, 0}}", "def init({name, :idle}) do\n    Process.send_after(self(), :sweep, 0)\n    {:ok, {name, 0}}\n  end"}, {"sweeps, do: false", "sweeps, do: true"}],
  "start(T.Sweeper, {:a, :idle})", "ask(it, :swept) == T.Sweeper.sweeps()")),
  soak.(d.("init_changed", "starts: a client listens as a server does", """
  defmodule T.Peer do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(opts) do
      data = %{mode: opts[:mode], heard: false}
      if data.mode == :server, do: {:ok, :up, data, [{:next_event, :internal, :listen}]}, else: {:ok, :up, data}
    end
    def listens, do: false
    def handle_event(:internal, :listen, _, data), do: {:keep_state, %{data | heard: true}}
    def handle_event({:call, from}, :heard, _, data), do: {:keep_state, data, {:reply, from, data.heard}}
  end
  """, [{"else: {:ok, :up, data}", "else: {:ok, :up, data, [{:next_event, :internal, :listen}]}"}, {"listens, do: false", "listens, do: true"}],
  "statem(T.Peer, mode: :client)", ":gen_statem.call(it, :heard) == T.Peer.listens()")),
  soak.(d.("init_changed", "starts: a further topic stands in the list that is listened to", listener, [{"[:news, :jobs]", "[:news, :jobs, :audit]"}], listens, heard)),
  soak.(h.("starts: the topics that are listened to are in another order", listener, [{"[:news, :jobs]", "[:jobs, :news]"}], listens, heard)),
  soak.(d.("init_changed", "starts: start_link makes a table before it starts the server", feed, [{"def start_link(opts), do: ", "def start_link(opts), do: :ets.new(T.Feed, [:named_table, :public]) && "}, {"polls, do: false", "polls, do: :ets.whereis(T.Feed) == :undefined"}],
    "{:ok, p} = T.Feed.start_link(mode: :passive); Process.unlink(p); p", polled)),
  soak.(h.("starts: a further mode polls, which nobody knew", feed, [{"if mode == :active do", "if mode in [:active, :once] do"}, {"polls, do: false", "polls, do: false\n  def modes, do: [:active, :once]"}], "start(T.Feed, mode: :passive)", polled)),
  soak.(h.("starts: a further mode does something of its own, which nobody knew", feed, [{"    {:ok, %{mode", "    if mode == :once, do: send(self(), :poll)\n    {:ok, %{mode"}], "start(T.Feed, mode: :passive)", polled)),
  soak.(d.("init_changed", "starts: what is done later is done for lazy ones as well", """
  defmodule T.Link do
    use GenServer
    def init(opts), do: {:ok, %{lazy: Keyword.get(opts, :lazy, false), up: false}, {:continue, :connect}}
    def handle_continue(:connect, %{lazy: true} = s), do: {:noreply, s}
    def handle_continue(:connect, s) do
      Process.send_after(self(), :ping, 0)
      {:noreply, s}
    end
    def pings, do: false
    def handle_call(:up, _, s), do: {:reply, s.up, s}
    def handle_info(:ping, s), do: {:noreply, %{s | up: true}}
  end
  """, [{"%{lazy: true} = s), do: {:noreply, s}", "%{lazy: true} = s) do\n    Process.send_after(self(), :ping, 0)\n    {:noreply, s}\n  end"}, {"pings, do: false", "pings, do: true"}],
  "start(T.Link, lazy: true)", "ask(it, :up) == T.Link.pings()")),
  soak.(h.("starts: a file that is read at the start is closed again", feed, [{"    {:ok, %{mode", "    {:ok, file} = File.open(\"/dev/null\", [:read])\n    :eof = IO.read(file, :line)\n    :ok = File.close(file)\n    {:ok, %{mode"}], "start(T.Feed, mode: :passive)", polled)),
  d.("init_changed", "starts: another server does a server's work, and joins for it", hub, [{"    T.Hub.join(:work, self())\n", ""}, {"    {:ok, 2}", "    T.Hub.join(:work, self())\n    {:ok, 2}"}, {"works, do: false", "works, do: true"}], hubbed, in_hub),
  soak.(h.("starts: a condition of a start is another function", feed,
    [{"    if mode == :active do\n      Process.send_after(self(), :poll, 0)\n    end\n", "    begin(mode)\n"}, {"def polls", "defp begin(:active), do: Process.send_after(self(), :poll, 0)\n  defp begin(_mode), do: nil\n  def polls"}],
    "start(T.Feed, mode: :passive)", polled)),
  h.("starts: one that is passive polls as well, and none runs", feed, [{"if mode == :active do", "if mode in [:active, :passive] do"}, {"polls, do: false", "polls, do: true"}],
    "start(T.Feed, [])", "takes?(it, :poll) and ask(it, :polled)"),
  soak.(h.("starts: what is done if it is active is done in a continue", feed,
    [{"    if mode == :active do\n      Process.send_after(self(), :poll, 0)\n    end\n    {:ok, %{mode: mode, polled: 0}}\n", "    s = %{mode: mode, polled: 0}\n    if mode == :active, do: {:ok, s, {:continue, :poll}}, else: {:ok, s}\n"},
     {"def polls", "def handle_continue(:poll, s) do\n    Process.send_after(self(), :poll, 0)\n    {:noreply, s}\n  end\n  def polls"}],
    "start(T.Feed, mode: :passive)", polled)),
  soak.(h.("starts: a new server knows its name, which is made of its pid", hub, [{"    {:ok, 2}", "    {:ok, T.Hub.name(self())}"}], hubbed, in_hub)),

  d.("init_changed", "starts: a term is put by what the application's start calls", around, [{"  end\n  def limit, do: 5", "    :persistent_term.put({T.Setup, :limit}, 5)\n  end\n  def limit, do: :persistent_term.get({T.Setup, :limit}, nil)"}], "app(T.SApp)", "T.Setup.limit() == 5"),
  soak.(d.("init_changed", "starts: a supervisor makes a table", around, [{"  def init(_) do\n", "  def init(_) do\n    :ets.new(T.Names, [:named_table, :public])\n"}, {"limit, do: 5", "limit, do: if(:ets.whereis(T.Names) != :undefined, do: 5)"}], "app(T.SApp)", "T.Setup.limit() == 5")),
  soak.(h.("starts: a supervisor makes the table that the application made", around, [{"    T.Setup.run()\n", ""}, {"  def init(_) do\n", "  def init(_) do\n    T.Setup.run()\n"}], "app(T.SApp)", ":ets.info(T.Table, :size) == 0")),

  d.("table_changed", "rows: a limit that the start puts into its table is asked for by another module", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"),
  soak.(d.("table_changed", "rows: a flag that the application's start puts into a table, by another module", flags,
    [{"{:alpha, true})", "[{:alpha, true}, {:beta, true}])"}, {"on?(:alpha)", "on?(:beta)"}], "app(T.FApp)", "T.Page.parts() == [:news, :chat]")),
  soak.(d.("table_changed", "rows: limits stand in a list, and the start puts them one by one", String.replace(limits, ":ets.insert(table, {:burst, 3})", "for {key, n} <- [burst: 3], do: :ets.insert(table, {key, n})"),
    [{"[burst: 3]", "[burst: 3, rate: 5]"}, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}], "start(T.Limits, nil)", "T.Gate.rate() == 5")),
  soak.(d.("table_changed", "rows: flags stand under keys that are put together", """
  defmodule T.Marks do
    use GenServer
    @marks %{alpha: true}
    def init(_) do
      :ets.new(T.Marks, [:named_table, :public])
      Enum.each(@marks, fn {mark, on} -> :ets.insert(T.Marks, {{:mark, mark}, on}) end)
      {:ok, nil}
    end
    def on?(mark), do: match?([{_, true}], :ets.lookup(T.Marks, {:mark, mark}))
  end
  defmodule T.Shown do
    def shown?, do: T.Marks.on?(:alpha)
  end
  """, [{"%{alpha: true}", "%{alpha: true, beta: true}"}, {"on?(:alpha)", "on?(:beta)"}], "start(T.Marks, nil)", "T.Shown.shown?()")),
  soak.(d.("table_changed", "rows: who may enter is a member of a table that a supervisor fills", """
  defmodule T.Doors do
    use Supervisor
    def start_link(x), do: Supervisor.start_link(__MODULE__, x)
    def init(_) do
      :ets.new(T.Doors, [:named_table, :public])
      :ets.insert(T.Doors, {:front})
      Supervisor.init([], strategy: :one_for_one)
    end
    def enter, do: :front
  end
  """, [{"{:front})", "[{:front}, {:back}])"}, {"def enter, do: :front", "def enter, do: if(:ets.member(T.Doors, :back), do: :front, else: :nowhere)"}],
  "{:ok, p} = T.Doors.start_link(nil); Process.unlink(p); p", "T.Doors.enter() == :front")),
  soak.(d.("table_changed", "rows: a limit is put into a table without a name, which a state holds", own,
    [puts_own, {"limit(_s), do: 5", "limit(s) do\n    [{_, n}] = :ets.lookup(s.table, :limit)\n    n\n  end"}], "start(T.Own, nil)", "ask(it, :limit) == 5")),
  soak.(h.("rows: a limit that a state's table lacks is put there by who asks for it", own,
    [puts_own, {"limit(_s), do: 5", "limit(s) do\n    :ets.insert_new(s.table, {:limit, 5})\n    :ets.lookup_element(s.table, :limit, 2)\n  end"}], "start(T.Own, nil)", "ask(it, :limit) == 5")),
  soak.(h.("rows: a cache is warmed at the start, and who finds nothing there works it out", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || String.to_integer(\"5\")"}], "start(T.Limits, nil)", "T.Gate.rate() == 5")),
  h.("rows: what the start puts into a table is what is taken where nothing is there", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || 5"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"),
  soak.(h.("rows: what the start puts into a table is put by a code_change as well", limits,
    [puts_rate, {"  def get(key)", "  def code_change(_, s, _), do: :ets.insert(T.Limits, {:rate, 5}) && {:ok, s}\n  def get(key)"}, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}],
    "start(T.Limits, nil)", "T.Gate.rate() == 5")),
  soak.(h.("rows: what the start puts into a table is read by nobody", limits, [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:burst) + 2"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"))
]

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

  d.("table_changed", "a helper puts rows under another tag", sessions,
     [{"do: :ets.insert(T.SessionTab, {{:session, id}, pid})", "do: row({:user, id}, pid)"}, {"T.SessionTab, {:session, id}, 2)\n", "T.SessionTab, {:user, id}, 2)\n  defp row(key, pid), do: :ets.insert(T.SessionTab, {key, pid})\n"}],
     "p = start(T.Sessions, nil); ask(p, {:put, 1, p}); p", "T.Sessions.get(1) == it"),
  h.("a helper puts the rows, and gets their keys", sessions,
     [{"do: :ets.insert(T.SessionTab, {{:session, id}, pid})", "do: row({:session, id}, pid)"}, {"2)\n", "2)\n  defp row(key, pid), do: :ets.insert(T.SessionTab, {key, pid})\n"}],
     "p = start(T.Sessions, nil); ask(p, {:put, 1, p}); p", "T.Sessions.get(1) == it")
]

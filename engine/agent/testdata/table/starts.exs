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

[
  d.("table_changed", "rows: a limit that the start puts into its table is asked for by another module", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"),
  soak.(d.("table_changed", "rows: a flag that the application's start puts into a table, by another module", flags,
    [{"{:alpha, true})", "[{:alpha, true}, {:beta, true}])"}, {"on?(:alpha)", "on?(:beta)"}], "app(T.FApp)", "T.Page.parts() == [:news, :chat]")),
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
  soak.(h.("rows: a cache is warmed at the start, and who finds nothing there works it out", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || String.to_integer(\"5\")"}], "start(T.Limits, nil)", "T.Gate.rate() == 5")),
  h.("rows: what the start puts into a table is what is taken where nothing is there", limits,
    [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || 5"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"),
  soak.(h.("rows: what the start puts into a table is put by a code_change as well", limits,
    [puts_rate, {"  def get(key)", "  def code_change(_, s, _), do: :ets.insert(T.Limits, {:rate, 5}) && {:ok, s}\n  def get(key)"}, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}],
    "start(T.Limits, nil)", "T.Gate.rate() == 5")),
  soak.(h.("rows: what the start puts into a table is read by nobody", limits, [puts_rate, {"def rate, do: 5", "def rate, do: T.Limits.get(:burst) + 2"}], "start(T.Limits, nil)", "T.Gate.rate() == 5"))
]

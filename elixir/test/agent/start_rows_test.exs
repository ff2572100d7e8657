Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.StartRowsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Pair, StartRows, Value, Versions}

  @source """
  defmodule T.Limits do
    use GenServer
    def init(opts) do
      table = :ets.new(:start_rows_test, [:named_table, :public])
      :ets.insert(table, {:burst, opts[:burst]})
      {:ok, nil}
    end
    def get(key) do
      case :ets.lookup(:start_rows_test, key) do
        [{_, n}] -> n
        [] -> nil
      end
    end
  end

  defmodule T.Gate do
    def rate, do: 5
    def both, do: {T.Limits.get(:burst), 1}
  end
  """

  @puts {"    {:ok, nil}", "    :ets.insert(table, {:rate, 5})\n    {:ok, nil}"}
  @reads {"def rate, do: 5", "def rate, do: T.Limits.get(:rate)"}

  # {what, edits, rows}
  @changes [
    {"a row that another module reads, and finds nothing", [@puts, @reads],
     [{T.Limits, "T.Gate.rate/0", :rate}]},
    {"a row that is read as an element of it",
     [@puts, {"def rate, do: 5", "def rate, do: :ets.lookup_element(:start_rows_test, :rate, 2)"}],
     [{T.Limits, "T.Gate.rate/0", :rate}]},
    {"a row without which an answer is an error",
     [
       @puts,
       {"def rate, do: 5",
        "def rate do\n    with nil <- T.Limits.get(:rate), do: {:error, :unlimited}\n  end"}
     ], [{T.Limits, "T.Gate.rate/0", :rate}]},
    {"one of several, by an option, with a key that is a tuple",
     [
       {"{:burst, opts[:burst]})", "[{:burst, opts[:burst]}, {{:rate, 1}, opts[:rate]}])"},
       {"def rate, do: 5", "def rate, do: T.Limits.get({:rate, 1})"}
     ], [{T.Limits, "T.Gate.rate/0", {:rate, 1}}]},
    {"one of a list",
     [
       {"    {:ok, nil}", "    Enum.each([:size, :rate], &:ets.insert(table, {&1, 5}))\n    {:ok, nil}"},
       @reads
     ], [{T.Limits, "T.Gate.rate/0", :rate}]},
    {"where there is none, something else is called that may well give the same",
     [@puts, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || Application.get_env(:t, :rate)"}], []},
    {"where there is none, it is what the start puts",
     [@puts, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || 5"}], []},
    {"where there is none, who reads it puts it",
     [
       @puts,
       {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || :ets.insert(:start_rows_test, {:rate, 5})"}
     ], []},
    {"where there is none, it is logged, and missed",
     [@puts, {"def rate, do: 5", "def rate, do: T.Limits.get(:rate) || IO.puts(\"none\") || nil"}],
     [{T.Limits, "T.Gate.rate/0", :rate}]},
    {"nobody reads it", [@puts, {"{T.Limits.get(:burst), 1}", "{1, T.Limits.get(:burst)}"}], []},
    {"only its start reads it", [@puts, {"{:ok, nil}", "{:ok, get(:rate)}"}], []},
    {"a row that the running version puts", [{"def rate, do: 5", "def rate, do: T.Limits.get(:burst)"}], []},
    {"a code_change puts it",
     [
       @puts,
       @reads,
       {"  def get(",
        "  def code_change(_, s, _), do: {:ok, put(s)}\n  defp put(s), do: :ets.insert(:start_rows_test, {:rate, s})\n  def get("}
     ], []},
    {"the same by a function of its own",
     [
       {"    :ets.insert(table, {:burst, opts[:burst]})\n", "    fill(table, opts)\n"},
       {"  def get(", "  defp fill(t, opts), do: :ets.insert(t, [{:burst, opts[:burst]}])\n  def get("}
     ], []}
  ]

  defp missing(edits, processes \\ %{T.Limits => 1}) do
    pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
    by_module = Map.new(pairs, &{&1.module, &1})

    live = %{
      processes: processes,
      supervisors: [],
      applications: [],
      children: [],
      codes: &Pair.code_of(by_module, &1, &2)
    }

    StartRows.missing(pairs, live)
  end

  test "rows that a start puts, and a table lacks" do
    :ets.new(:start_rows_test, [:named_table, :public])
    :ets.insert(:start_rows_test, {:burst, 3})

    for {what, edits, rows} <- @changes do
      assert {what, for({module, how, :start_rows_test, key} <- missing(edits), do: {module, how, key})} ==
               {what,
                for(
                  {module, reader, key} <- rows,
                  do: {module, "#{reader} reads, once its start has put it,", key}
                )}
    end

    # Who does not run puts nothing, and nothing is missed that is there.
    assert missing([@puts, @reads], %{}) == []
    :ets.insert(:start_rows_test, {:rate, 5})
    assert missing([@puts, @reads]) == []
  end

  @own """
  defmodule T.Own do
    use GenServer
    def init(_) do
      table = :ets.new(:own, [:set])
      :ets.insert(table, {:burst, 3})
      {:ok, %{table: table}}
    end
    def handle_call(:rate, _, s), do: {:reply, rate(s), s}
    def handle_call(:burst, _, s), do: {:reply, :ets.lookup_element(s.table, :burst, 2), s}
    defp rate(_), do: 5
  end
  """

  @own_puts {"    {:ok, %{table", "    :ets.insert(table, {:rate, 5})\n    {:ok, %{table"}

  test "rows of tables that states hold" do
    held = fn edits, table ->
      [pair] = Versions.pairs(Versions.beams(@own), @own |> Versions.edited(edits) |> Versions.beams())

      StartRows.held(
        pair,
        [{:gen_server, Value.of(%{table: table})}],
        &Pair.code_of(%{T.Own => pair}, &1, &2)
      )
    end

    table = :ets.new(:own, [:set])
    :ets.insert(table, {:burst, 3})
    reads = {"rate(_), do: 5", "rate(s), do: :ets.lookup_element(s.table, :rate, 2)"}
    assert held.([@own_puts, reads], table) == [{:rate, {:handle_call, 3}, 1}]
    assert held.([@own_puts], table) == []
    assert held.([{"rate(_), do: 5", "rate(s), do: length(:ets.lookup(s.table, :burst))"}], table) == []
    # Whether it is there only its owner can tell.
    assert held.([@own_puts, reads], :ets.new(:own, [:private])) == []
    :ets.insert(table, {:rate, 5})
    assert held.([@own_puts, reads], table) == []
  end
end

Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.ElsewhereTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Elsewhere, Pair, Versions}

  @source """
  defmodule T.Rooms do
    def find(id), do: Registry.lookup(ElsewhereTest, id)
    def put(id, pid), do: Registry.register(ElsewhereTest, id, pid)
    def kept(id), do: :ets.lookup(:elsewhere_full, id)
  end
  """

  # {what, edits, what it reads now}
  @changes [
    {"nothing that matters", [{"def put(id, pid)", "def put(id, pid \\\\ nil)"}], []},
    {"a table instead of a registry",
     [{"Registry.lookup(ElsewhereTest, id)", ":ets.lookup(:elsewhere_empty, id)"}],
     [
       "find/1 reads the table :elsewhere_empty, in which nothing is, and the running code reads the registry ElsewhereTest, in which 1 entry stays"
     ]},
    {"a table that is not there", [{":elsewhere_full", ":elsewhere_gone"}],
     [
       "kept/1 reads the table :elsewhere_gone, in which nothing is, and the running code reads the table :elsewhere_full, in which 2 entries stay"
     ]},
    {"one that has something", [{"Registry.lookup(ElsewhereTest, id)", ":ets.lookup(:elsewhere_full, id)"}],
     []},
    {"one that is filled where it is read",
     [
       {":ets.lookup(:elsewhere_full, id)",
        "(:ets.insert_new(:elsewhere_empty, {id, 1}); :ets.lookup(:elsewhere_empty, id))"}
     ], []},
    {"one beside the other",
     [{"def kept(id), do: ", "def kept(id), do: :ets.lookup(:elsewhere_empty, id) ++ "}], []},
    {"another function",
     [{"  def kept", "  def more(id), do: :ets.lookup(:elsewhere_empty, id)\n  def kept"}], []},
    {"a code_change that fills it",
     [
       {":elsewhere_full", ":elsewhere_empty"},
       {"  def kept",
        "  def code_change(_, s, _), do: {:ok, :ets.insert(:elsewhere_empty, {s, 1})}\n  def kept"}
     ], []}
  ]

  setup_all do
    start_supervised!({Registry, keys: :unique, name: ElsewhereTest})
    :ok
  end

  setup do
    {:ok, _} = Registry.register(ElsewhereTest, :lobby, nil)
    for name <- [:elsewhere_full, :elsewhere_empty], do: :ets.new(name, [:named_table, :public])
    :ets.insert(:elsewhere_full, [{1, 1}, {2, 2}])
    :ok
  end

  test "what moves from one place to another" do
    for {what, edits, found} <- @changes do
      pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      assert {what, told(pairs, [], nil)} == {what, found}
    end
  end

  test "a module with another name, and the table that is called as it is" do
    new = String.replace(@source, "T.Rooms", "T.Halls") |> String.replace(":elsewhere_full", "T.Halls")
    old = Versions.beams(String.replace(@source, ":elsewhere_full", "T.Rooms"))
    :ets.new(T.Rooms, [:named_table]) |> :ets.insert({1, 1})
    pairs = Versions.pairs(old, Versions.beams(new))
    [was] = Versions.pairs(%{}, old)
    assert ["kept/1 reads the table T.Halls" <> _] = told(pairs, [{T.Rooms, :app}], Pair.code(was, :new))
  end

  defp told(pairs, removed, code) do
    for %{name: "table_changed", severity: :warn, detail: detail} <-
          Elsewhere.findings(pairs, removed, fn :old, T.Rooms -> code end),
        do: detail
  end
end

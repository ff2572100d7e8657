Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.TableOwnersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Pair, TableOwners, Versions}

  @source """
  defmodule T.Locks do
    use GenServer
    def init(_) do
      :ets.new(:table_owners_test, [:named_table])
      {:ok, nil}
    end
    def lock(n), do: :ets.insert_new(:table_owners_test, {n})
  end
  defmodule T.Make do
    def unlock(n), do: :ets.delete(:table_owners_test, n)
  end
  """
  @made "    :ets.new(:table_owners_test, [:named_table])\n"

  # {what, edits, whether it is told of}
  @changes [
    {"nothing that matters", [{"{:ok, nil}", "{:ok, 1}"}], false},
    {"no longer made", [{@made, ""}], true},
    {"made by a helper",
     [
       {@made, "    make()\n"},
       {"  def lock", "  defp make, do: :ets.new(:table_owners_test, [:named_table])\n  def lock"}
     ], false},
    {"made by another module",
     [
       {@made, "    T.Make.make()\n"},
       {"  def unlock", "  def make, do: :ets.new(:table_owners_test, [:named_table])\n  def unlock"}
     ], false},
    {"no longer made, nor used",
     [
       {@made, ""},
       {":ets.insert_new(:table_owners_test, {n})", "n"},
       {":ets.delete(:table_owners_test, n)", "n"}
     ], false},
    {"given away by a code_change",
     [
       {@made, ""},
       {"  def lock",
        "  def code_change(_, s, _), do: :ets.give_away(:table_owners_test, Process.whereis(T.Sup), nil) && {:ok, s}\n  def lock"}
     ], false}
  ]

  test "tables that end with their owners" do
    :ets.new(:table_owners_test, [:named_table])

    for {what, edits, told} <- @changes do
      pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      codes = codes(pairs)
      found = TableOwners.findings(pairs, %{self() => T.Locks}, codes)

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, if(told, do: [{"table_changed", :warn}], else: [])}

      # Somebody else's.
      assert TableOwners.findings(pairs, %{self() => T.Make}, codes) == []
    end
  end

  defp codes(pairs),
    do: fn version, module -> pairs |> Map.new(&{&1.module, &1}) |> Pair.code_of(version, module) end
end

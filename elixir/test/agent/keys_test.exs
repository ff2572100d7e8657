Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.KeysTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Keys, Versions}

  @source """
  defmodule T.Settings do
    def mode, do: :ets.lookup_element(:keys_test, :mode, 2)
    def limit do
      case :ets.lookup(:keys_test, :limit) do
        [{_, n}] -> n
        [] -> 5
      end
    end
  end
  """

  @nothing_runs %{processes: %{}, children: [], supervisors: [], applications: []}

  # {what, edits, keys}
  @changes [
    {"nothing that matters", [{"[] -> 5", "[] -> 6"}], []},
    {"a key that is not there, which raises", [{":mode, 2", ":run_mode, 2"}], [":run_mode"]},
    {"a key that took the place of one that is there",
     [{"lookup(:keys_test, :limit)", "lookup(:keys_test, :max)"}], [":max"]},
    {"a further key",
     [{"  def limit do", "  def more, do: :ets.lookup(:keys_test, :more) != []\n  def limit do"}], []},
    {"a key whose absence is caught",
     [
       {":ets.lookup_element(:keys_test, :mode, 2)",
        "(try do :ets.lookup_element(:keys_test, :run_mode, 2) rescue _ -> nil end)"}
     ], []},
    {"a key that is put there, unless it is",
     [
       {"do: :ets.lookup_element(:keys_test, :mode, 2)",
        "do: (:ets.insert_new(:keys_test, {:run_mode, :slow}); :ets.lookup_element(:keys_test, :run_mode, 2))"}
     ], []},
    {"one of the keys that are put there",
     [
       {"do: :ets.lookup_element(:keys_test, :mode, 2)",
        "do: (:ets.insert(:keys_test, [{:a, 1}, {:run_mode, self()}]); :ets.lookup_element(:keys_test, :run_mode, 2))"}
     ], []},
    {"another key is put there",
     [
       {"do: :ets.lookup_element(:keys_test, :mode, 2)",
        "do: (:ets.insert_new(:keys_test, {:walk_mode, :slow}); :ets.lookup_element(:keys_test, :run_mode, 2))"}
     ], [":run_mode"]},
    {"a key that is there", [{":mode, 2", ":limit, 2"}], []},
    {"a key without which a function can only raise",
     [
       {"  def limit do",
        "  def max, do: get(:max).n\n  defp get(key), do: (case :ets.lookup(:keys_test, key) do [{_, n}] -> n; [] -> nil end)\n  def limit do"}
     ], []},
    {"a key without which another does",
     [
       {"  def mode, do: ", "  def other, do: 1\n  def mode, do: get(:max).n + "},
       {"  def limit do",
        "  defp get(key), do: (case :ets.lookup(:keys_test, key) do [{_, n}] -> n; [] -> nil end)\n  def limit do"}
     ], ["mode/0 can only raise without :max"]},
    {"a key that took another's place, without which it can only raise",
     [
       {"[{_, n}] -> n\n      [] -> 5", "[{_, n}] -> n"},
       {"lookup(:keys_test, :limit)", "lookup(:keys_test, :max)"}
     ], ["reads :max"]},
    {"a key without which it does something else",
     [
       {"  def mode, do: ", "  def mode, do: (get(:max) || 1) + "},
       {"  def limit do",
        "  defp get(key), do: (case :ets.lookup(:keys_test, key) do [{_, n}] -> n; [] -> nil end)\n  def limit do"}
     ], []},
    {"a table that is not there", [{"lookup(:keys_test, :limit)", "lookup(:keys_test_2, :max)"}], []}
  ]

  test "keys that no row has" do
    :ets.new(:keys_test, [:named_table, :public])
    :ets.insert(:keys_test, mode: :fast, limit: 3)

    for {what, edits, keys} <- @changes do
      new = Versions.edited(@source, edits)
      found = Keys.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)), @nothing_runs)

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- keys, do: {"table_changed", :warn})}

      for {f, key} <- Enum.zip(found, keys), do: assert(f.detail =~ "#{key} in the table :keys_test")
    end
  end
end

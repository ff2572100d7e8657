Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.TablesTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Tables, Versions}

  @source """
  defmodule T.Sessions do
    def make, do: :ets.new(:tables_test, [:named_table, :public])
    def put(id, pid), do: :ets.insert(:tables_test, {{:session, id}, pid})
    def handle_call({:put, id, pid}, _, s), do: {:reply, put(id, pid), s}
  end
  """
  @row "do: :ets.insert(:tables_test, {{:session, id}, pid})"
  @helper {"  def handle_call",
           "  defp row(key, pid), do: :ets.insert(:tables_test, {key, pid})\n  def handle_call"}

  # {what, edits, evidence}
  @changes [
    {"another value", [{"id}, pid})", "id}, {pid, 1}})"}], []},
    {"another tag", [{"{:session, id}", "{:user, id}"}], ["rows of another shape"]},
    {"a helper puts the same rows", [{@row, "do: row({:session, id}, pid)"}, @helper], []},
    {"a helper puts other rows", [{@row, "do: row({:user, id}, pid)"}, @helper], ["rows of another shape"]},
    {"a helper, with what is given as it comes", [{@row, "do: row(id, pid)"}, @helper],
     ["rows of another shape"]},
    {"other options", [{":public]", ":public, :ordered_set]"}], ["with other options"]}
  ]

  test "rows of other shapes, and other options" do
    :ets.new(:tables_test, [:named_table, :public])
    :ets.insert(:tables_test, {{:session, 1}, self()})

    for {what, edits, evidence} <- @changes do
      found =
        Tables.findings(
          Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
        )

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- evidence, do: {"table_changed", :warn})}

      for {f, text} <- Enum.zip(found, evidence), do: assert(f.detail =~ text)
    end
  end
end

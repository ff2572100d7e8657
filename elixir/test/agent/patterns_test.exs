Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.PatternsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Patterns, Versions}

  @source """
  defmodule T.Finder do
    def active, do: :ets.match(:patterns_test, {:"$1", :_, :active})
    def old(n), do: :ets.select(:patterns_test, [{{:"$1", :"$2", :_}, [{:<, :"$2", n}], [:"$1"]}])
    def find(id), do: Registry.lookup(PatternsTest, id)
    def all, do: :ets.tab2list(:patterns_test)
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"{:<,", "{:\"=<\","}], []},
    {"rows of four", [{":_, :active}", ":_, :active, :_}"}],
     ["rows of another size in the table :patterns_test"]},
    {"rows of four, under a condition", [{":\"$2\", :_}", ":\"$2\", :_, :_}"}], ["rows of another size"]},
    {"rows of three and of four",
     [{"  def all", "  def more, do: :ets.match(:patterns_test, {:\"$1\", :_, :active, :_})\n  def all"}],
     []},
    {"other keys", [{"PatternsTest, id)", "PatternsTest, {:room, id})"}],
     ["keys of another shape in the registry PatternsTest"]},
    {"keys that may be the same", [{"PatternsTest, id)", "PatternsTest, id + 0)"}], []}
  ]

  test "what is looked for in another shape than there is" do
    :ets.new(:patterns_test, [:named_table, :public])
    :ets.insert(:patterns_test, {1, 2, :active})
    start_supervised!({Registry, keys: :unique, name: PatternsTest})
    {:ok, _} = Registry.register(PatternsTest, 7, nil)

    for {what, edits, findings} <- @changes do
      new = Versions.edited(@source, edits)
      found = Patterns.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)))

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- findings, do: {"table_changed", :warn})}

      for {f, evidence} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end
end

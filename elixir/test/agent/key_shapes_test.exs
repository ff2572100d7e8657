Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.KeyShapesTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFacts, KeyShapes, Pair, Versions}

  @source """
  defmodule T.Page do
    def key(host, path), do: %{host: host, path: path}
  end
  defmodule T.Pages do
    def hits(host, path), do: :ets.lookup(:key_shapes_test, {:page, T.Page.key(host, path)})
    def all(n), do: :ets.member(:key_shapes_test, n)
  end
  """

  # {what, edits, whether it is told of}
  @changes [
    {"nothing that matters", [{"path: path}", "path: path, }"}], false},
    {"a tuple", [{"%{host: host, path: path}", "{host, path}"}], true},
    {"a map of other keys", [{"path: path}", "at: path}"}], true},
    {"another tag", [{"{:page,", "{:site,"}], true},
    {"a further element", [{"{:page,", "{:page, 1,"}], true},
    {"a constant",
     [
       {":ets.member(:key_shapes_test, n)",
        ":ets.member(:key_shapes_test, {:page, n, 1}) and :ets.member(:key_shapes_test, :all)"}
     ], true},
    {"a constant alone", [{":ets.member(:key_shapes_test, n)", ":ets.member(:key_shapes_test, :all)"}],
     false},
    {"of which nothing is known", [{"%{host: host, path: path}", "Map.new(host: host, path: path)"}], false},
    {"a key of which nothing is known",
     [{":ets.member(:key_shapes_test, n)", ":ets.member(:key_shapes_test, n + 1)"}], false}
  ]

  test "keys that are put together otherwise" do
    :ets.new(:key_shapes_test, [:named_table])
    old = Versions.beams(@source)

    for {what, edits, told} <- @changes, filled <- [false, true] do
      if filled, do: :ets.insert(:key_shapes_test, {{:page, %{host: "a", path: "/"}}, 1})
      new = @source |> Versions.edited(edits) |> Versions.beams()
      pairs = Versions.pairs(old, new)
      found = KeyShapes.findings(pairs, fn [T.Page] -> [T.Pages] end, codes(pairs, old), [])
      wanted = if told and filled, do: [{"table_changed", :warn, "T.Pages"}], else: []
      assert {what, for(f <- found, do: {f.name, f.severity, f.subject})} == {what, wanted}
      # Of which more is told already.
      told = [%{detail: "puts rows of another shape into the table :key_shapes_test than those"}]
      assert KeyShapes.findings(pairs, fn [T.Page] -> [T.Pages] end, codes(pairs, old), told) == []
      :ets.delete_all_objects(:key_shapes_test)
    end
  end

  # Those of modules that stay as they are, too.
  defp codes(pairs, beams) do
    by_module = Map.new(pairs, &{&1.module, &1})

    fn version, module ->
      if is_map_key(by_module, module),
        do: Pair.code_of(by_module, version, module),
        else: with(beam when beam != nil <- beams[module], {:ok, code} <- CodeFacts.functions(beam), do: code)
    end
  end
end
